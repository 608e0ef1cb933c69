"""How well the workloads were seen in one window: what was lost, and what nobody could see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = ["Visibility", "visibilities"]

_NONE, _FILTER = 0, 2
# What the container runtime does on the way in comes before the filter.
_OWN_PHASES = ("startup", "steady", "exec")


@dataclass(frozen=True, slots=True)
class Visibility:
    """How well one workload was seen in one window.

    *lost* events were its own, *unowned* ones may have been. *has_filter*: some instance runs under
    a seccomp filter; *has_none*: some instance runs without one.
    """

    lost: int = 0
    unowned: int = 0
    is_blind: bool = False
    has_filter: bool = False
    has_none: bool = False


def visibilities(
    coverage: pa.Table, losses: pa.Table, instances: pa.Table
) -> dict[int, Visibility]:
    """Return how well each workload that *coverage* has was seen, by its number.

    *coverage* and *losses* are a window's, *instances* all that they refer to.
    """
    lost: dict[int, int] = defaultdict(int)
    unowned = 0
    for loss in losses.select(["workload", "count"]).to_pylist():
        if loss["workload"] is None:
            unowned += loss["count"]
        else:
            lost[loss["workload"]] += loss["count"]
    seccomp = instances.select(["instance", "seccomp_mode"]).to_pylist()
    mode_of = {row["instance"]: row["seccomp_mode"] for row in seccomp}
    covered: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in coverage.select(["workload", "instance", "phase", "state"]).to_pylist():
        covered[row["workload"]].append(row)
    return {
        number: _visibility(rows, mode_of, lost=lost[number], unowned=unowned)
        for number, rows in covered.items()
    }


def _visibility(
    rows: Iterable[Mapping[str, Any]], mode_of: Mapping[int, int | None], *, lost: int, unowned: int
) -> Visibility:
    """Return the visibility of one workload by its *rows* of table `coverage`."""
    modes = {mode_of.get(row["instance"]) for row in rows if row["phase"] in _OWN_PHASES}
    return Visibility(
        lost=lost,
        unowned=unowned,
        is_blind=any(row["state"] == "blind" for row in rows),
        has_filter=_FILTER in modes,
        has_none=_NONE in modes,
    )
