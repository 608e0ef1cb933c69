"""New values of arguments between two baselines, in words."""

from __future__ import annotations

from collections.abc import Iterator

from ethogram.contracts.baseline import Baseline, CallArguments

__all__ = ["argument_notes"]

_SHOWN = 8


def argument_notes(old: Baseline, new: Baseline) -> Iterator[str]:
    """Yield which calls of both are given values now that they were not given before.

    What the container runtime gave is not the workload's. A call that is new is told as a rule.
    """
    before = {(call.arch, call.name, call.index): call for call in old.arguments or ()}
    for call in new.arguments or ():
        known = before.get((call.arch, call.name, call.index))
        if known is None or known.others:
            continue
        added = sorted(_own(call) - _own(known))
        words = [f"{value:#x}" for value in added[:_SHOWN]]
        if len(added) > _SHOWN:
            words.append(f"{len(added) - _SHOWN} more")
        if call.others:
            words.append("others that are not told")
        if words:
            where = f"argument {call.index} of {call.name} ({call.arch})"
            yield f"{where} was given new values: {', '.join(words)}"


def _own(call: CallArguments) -> set[int]:
    return {one.value for one in call.values if set(one.phases) != {"runtime"}}
