"""How well the workloads were seen in one window: what was lost, and what nobody could see."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = ["Visibility", "loss_words", "visibilities"]

_NONE, _FILTER = 0, 2
# What the container runtime does on the way in comes before the filter.
_OWN_PHASES = ("startup", "steady", "exec")
# Of containers of which nobody knows the name: what has one is none of them.
_NAMELESS = "unresolved"
_WHY = {
    "ring_full": "the ring was full", "map_full": "a table was full",
    "quota": "more than its share", "read_fault": "memory that could not be read",
    "truncated": "too long, and cut", "recursion": "within another event",
    "storage": "no memory", "slots_full": "too many containers", "malformed": "malformed",
    "disk": "the disk", "unseen": "done where no hook looks",
}  # fmt: skip
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Visibility:
    """How well one workload was seen in one window.

    *lost* events were its own, *unowned* ones may have been; *why* says in words what was lost of
    both, and how. *has_filter*: some instance runs under a seccomp filter; *has_none*: some
    instance runs without one.
    """

    lost: int = 0
    unowned: int = 0
    why: str = ""
    is_blind: bool = False
    has_filter: bool = False
    has_none: bool = False


def visibilities(
    coverage: pa.Table, losses: pa.Table, instances: pa.Table
) -> dict[int, Visibility]:
    """Return how well each workload that *coverage* has was seen, by its number.

    *coverage* and *losses* are a window's, *instances* all that they refer to.
    """
    lost: dict[int | None, Counter[tuple[str, str]]] = defaultdict(Counter)
    for loss in losses.select(["workload", "kind", "place", "count"]).to_pylist():
        if loss["workload"] is not None or loss["kind"] != _NAMELESS:
            lost[loss["workload"]][loss["kind"], loss["place"]] += loss["count"]
    seccomp = instances.select(["instance", "seccomp_mode"]).to_pylist()
    mode_of = {row["instance"]: row["seccomp_mode"] for row in seccomp}
    covered: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in coverage.select(["workload", "instance", "phase", "state"]).to_pylist():
        covered[row["workload"]].append(row)
    return {
        number: _visibility(rows, mode_of, lost=lost[number], unowned=lost[None])
        for number, rows in covered.items()
    }


def loss_words(lost: Counter[tuple[str, str]]) -> str:
    """Return what was *lost*, by kind and place, and why, the most first."""
    words = [
        f"{place}: {_WHY.get(kind, kind)}"
        for (kind, place), _ in sorted(lost.items(), key=lambda one: (-one[1], one[0]))
    ]
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return "; ".join(words[:_NAMED]) + more


def _visibility(
    rows: Iterable[Mapping[str, Any]],
    mode_of: Mapping[int, int | None],
    *,
    lost: Counter[tuple[str, str]],
    unowned: Counter[tuple[str, str]],
) -> Visibility:
    """Return the visibility of one workload by its *rows* of table `coverage`."""
    modes = {mode_of.get(row["instance"]) for row in rows if row["phase"] in _OWN_PHASES}
    return Visibility(
        lost=lost.total(),
        unowned=unowned.total(),
        why=loss_words(lost or unowned),
        is_blind=any(row["state"] == "blind" for row in rows),
        has_filter=_FILTER in modes,
        has_none=_NONE in modes,
    )
