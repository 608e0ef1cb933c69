"""How completely a recording saw what happened: states of windows, and losses by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ethogram.cli.behaviour import title_of
from ethogram.cli.screen import count
from ethogram.contracts.escape import printable
from ethogram.contracts.keys import workload_key_of

if TYPE_CHECKING:
    from ethogram.contracts.recording import Recording

__all__ = ["Completeness", "Loss", "completeness_of", "loss_lines"]

Loss = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Completeness:
    """Windows of instances by state, losses, programs that are not attached.

    Losses are by kind, place and key of the workload; empty where it is not known whose it is.
    """

    states: dict[str, int]
    losses: dict[Loss, int]
    missing: tuple[tuple[str, str], ...]
    is_truncated: bool
    ended: bool

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "coverage": self.states,
            "losses": [
                {
                    "kind": kind,
                    "place": printable(place),
                    "workload": title_of(key) if key else None,
                    "count": number,
                }
                for (kind, place, key), number in self.losses.items()
            ],
            "is_truncated": self.is_truncated,
        }

    def lines(self) -> Iterator[str]:
        """Yield it in lines."""
        if self.states:
            yield f"coverage: {_coverage_words(self.states)}"
        yield from loss_lines(self.losses)
        for name, why in self.missing:
            yield f"not attached: `{printable(name)}`: {printable(why)}"
        if self.is_truncated:
            yield "the recorder was killed while it wrote: the open window is missing"
        elif not self.ended:
            yield "the recording has no end yet: it is running, or the recorder was killed"


def _coverage_words(states: Mapping[str, int]) -> str:
    """Return how many windows were seen completely; a window counts once an instance and phase."""
    if set(states) == {"complete"}:
        return "complete in every window"
    listed = ", ".join(f"{number:,} {state}" for state, number in states.items())
    return f"{listed}, by window, instance and phase"


def loss_lines(losses: Mapping[Loss, int]) -> Iterator[str]:
    """Yield *losses* in lines; that nothing was lost is worth one."""
    for (kind, place, key), number in losses.items():
        whose = f", of `{title_of(key)}`" if key else ""
        yield f"lost: {count(number, 'event')}, {printable(kind)} in {printable(place)}{whose}"
    if not losses:
        yield "nothing lost"


def completeness_of(recording: Recording) -> Completeness:
    """Return how complete *recording* is."""
    states = Counter(recording.table("coverage")["state"].to_pylist())
    names = {row["workload"]: workload_key_of(row)
             for row in recording.table("workloads").to_pylist()}  # fmt: skip
    losses: Counter[Loss] = Counter()
    for row in recording.table("losses").to_pylist():
        losses[row["kind"], row["place"], names.get(row["workload"], "")] += row["count"]
    programs = recording.manifest.programs
    return Completeness(
        states=dict(states.most_common()),
        losses=dict(losses.most_common()),
        missing=tuple((p.name, p.error or p.state) for p in programs if p.state != "attached"),
        is_truncated=recording.is_truncated,
        ended=recording.manifest.ended is not None,
    )
