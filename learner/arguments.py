"""The arguments of calls in a summary, as a baseline states them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import pandas as pd

from ethogram.contracts.baseline import PHASES, ArgumentValue, CallArguments, Phase
from ethogram.contracts.syscall_names import name_of
from ethogram.contracts.tables import ENUMS
from learner.completeness import objects
from learner.dimensions import decode_argument, split_quarantine_key

__all__ = ["arguments_of", "joined"]

# A filter of so many comparisons is none any more, and a baseline is read by people.
_MOST_VALUES = 256

_Call: TypeAlias = "tuple[str, str, int]"  # architecture, name, index


class _Seen:
    """The values of one argument: how often, and in which phases."""

    def __init__(self) -> None:
        self.calls: dict[int, int] = defaultdict(int)
        self.phases: dict[int, set[Phase]] = defaultdict(set)
        self.others = False

    def take(self, value: int | None, calls: int, phases: Iterable[Phase]) -> None:
        if value is None:
            self.others = True
            return
        self.calls[value] += calls
        self.phases[value].update(phases)

    def values(self) -> Iterator[ArgumentValue]:
        """Yield the values in their order; of too many those that were given most often."""
        kept = sorted(self.calls, key=lambda value: (-self.calls[value], value))[:_MOST_VALUES]
        for value in sorted(kept):
            phases = tuple(phase for phase in PHASES if phase in self.phases[value])
            yield ArgumentValue(value=value, calls=self.calls[value], phases=phases)

    def stated(self, call: _Call) -> CallArguments:
        arch, name, index = call
        return CallArguments(
            arch=arch,  # type: ignore[arg-type]  # pydantic refuses a word that is none
            name=name,
            index=index,
            others=self.others or len(self.calls) > _MOST_VALUES,
            values=tuple(self.values()),
        )


def arguments_of(
    rows: pd.DataFrame, shared: pd.DataFrame, *, include_exec: bool
) -> tuple[CallArguments, ...] | None:
    """Return what *rows* of one workload say, None where not every recording of it looked.

    What was given while an indicator fired is no value to allow, nor one of which anybody was told
    that it is refused: its argument has others.
    """
    inputs = objects(shared, "input")
    if not inputs or not all(fields.get("arguments") for fields in inputs):
        return None
    if not include_exec:
        rows = rows[rows.phase != "exec"]
    seen: dict[_Call, _Seen] = defaultdict(_Seen)
    for call, phase, value, calls in _told(rows[rows.dimension == "arguments"]):
        seen[call].take(value, calls, [phase])
    for call, _, value, _ in _told(_quarantined(rows)):
        if value not in seen[call].calls:
            seen[call].others = True
    return _stated(seen)


def joined(
    old: tuple[CallArguments, ...] | None, new: tuple[CallArguments, ...] | None
) -> tuple[CallArguments, ...] | None:
    """Return what either says, None where one of them does not know."""
    if old is None or new is None:
        return None
    seen: dict[_Call, _Seen] = defaultdict(_Seen)
    for call in (*old, *new):
        mine = seen[call.arch, call.name, call.index]
        mine.others |= call.others
        for value in call.values:
            mine.take(value.value, value.calls, value.phases)
    return _stated(seen)


def _stated(seen: dict[_Call, _Seen]) -> tuple[CallArguments, ...]:
    return tuple(seen[call].stated(call) for call in sorted(seen))


def _told(rows: pd.DataFrame) -> Iterator[tuple[_Call, Phase, int | None, int]]:
    for arch, key, phase, calls in zip(rows.arch, rows.key, rows.phase, rows.calls, strict=True):
        number, index, value = decode_argument(key)
        name = name_of(str(arch), number) if arch in ENUMS["arch"] else None
        if name is not None:  # of a recorder that knows more calls than this version
            yield (str(arch), name, index), phase, value, int(calls)


def _quarantined(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows[rows.dimension == "quarantine"]
    parts = [split_quarantine_key(key) for key in rows.key]
    return rows.assign(
        dimension=[dimension for dimension, _, _ in parts], key=[key for _, key, _ in parts]
    ).query("dimension == 'arguments'")
