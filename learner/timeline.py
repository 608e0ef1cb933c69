"""When a workload was watched: its intervals joined to one axis of observed seconds.

Recordings have gaps between them, replicas overlap. On the axis gaps are left out and what was
watched of several instances at once counts once: what happens every night happens to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ethogram.contracts.baseline import Blind, Phase
from ethogram.contracts.coverage_models import Weekday
from learner.dimensions import canonical

__all__ = ["Timeline", "blind_of", "timeline_of"]

_WINDOWS, _PHASE = canonical(["windows"]), canonical(["phase"])
_LIFE = ["recording_id", "instance_key"]
_HOUR_NS, _DAY_NS = 3600 * 10**9, 86400 * 10**9
_DAYS: tuple[Weekday, ...] = (
    "Thu",
    "Fri",
    "Sat",
    "Sun",
    "Mon",
    "Tue",
    "Wed",
)  # from the first of January 1970
# What comes at random and less often than this was missed with more than 5 %.
_CERTAIN = -math.log(0.05)
_Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True)
class Timeline:
    """Disjoint intervals in order, with nanoseconds at which they start and end."""

    starts: _Array
    ends: _Array
    window_s: float

    @property
    def seconds(self) -> float:
        """How long it was watched in all."""
        return float((self.ends - self.starts).sum()) / 1e9

    def at(self, times_ns: _Array) -> _Array:
        """Return where on the axis *times_ns* are; what is in a gap is at its edge."""
        if not len(self.starts):
            return np.zeros(len(times_ns))
        before = np.concatenate(([0], np.cumsum(self.ends - self.starts)))
        index = np.clip(np.searchsorted(self.starts, times_ns, side="right") - 1, 0, None)
        inside = np.clip(times_ns - self.starts[index], 0, (self.ends - self.starts)[index])
        seconds: _Array = (before[index] + inside) / 1e9
        return seconds


def timeline_of(rows: pd.DataFrame, phases: Sequence[Phase] | None = None) -> Timeline:
    """Return when *rows* about one workload say that it was watched, in *phases* or in all.

    Other phases than all are taken to be an instance's last: a summary knows how many windows it
    was in them, and startup comes first.
    """
    watched = rows[rows.dimension == "observation"]
    whole = watched[watched.key == _WINDOWS].set_index(_LIFE)
    if phases is not None:
        chosen = watched[(watched.key == _PHASE) & watched.phase.isin(phases)]
        counted = chosen.groupby(_LIFE).windows.sum()
        whole = whole[whole.index.isin(counted.index)]
        share = np.minimum(1.0, counted.reindex(whole.index) / np.maximum(1, whole.windows))
    else:
        share = pd.Series(1.0, index=whole.index)
    first, last = whole["first"].to_numpy(np.int64), whole["last"].to_numpy(np.int64)
    lengths = ((last - first) * share.to_numpy(float)).astype(np.int64)
    starts, ends = _joined(last - lengths, last)
    windows = int(whole.windows.sum())
    return Timeline(starts, ends, float((last - first).sum()) / 1e9 / windows if windows else 0.0)


def _joined(starts: _Array, ends: _Array) -> tuple[_Array, _Array]:
    """Return the union of intervals as disjoint ones in order."""
    joined: list[list[int]] = []
    for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        elif end > start:
            joined.append([start, end])
    pairs = np.array(joined, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def blind_of(rows: pd.DataFrame) -> Blind:
    """Return what *rows* about one workload cannot speak for."""
    line = timeline_of(rows)
    watched = rows[(rows.dimension == "observation") & (rows.key == _PHASE)]
    starts = len(watched.loc[watched.phase == "startup", _LIFE].drop_duplicates())
    hours: set[int] = set()
    days: set[int] = set()
    for start, end in zip(line.starts.tolist(), line.ends.tolist(), strict=True):
        first, last = start // _HOUR_NS, (end - 1) // _HOUR_NS
        hours.update(hour % 24 for hour in range(first, min(last, first + 23) + 1))
        first, last = start // _DAY_NS, (end - 1) // _DAY_NS
        days.update(day % 7 for day in range(first, min(last, first + 6) + 1))
    return Blind(
        watched_seconds=round(line.seconds, 3),
        rarer_than_seconds=round(line.seconds / _CERTAIN, 3),
        starts=starts,
        start_share=round(1 - 0.05 ** (1 / starts), 6) if starts else 1.0,
        hours_of_day=tuple(sorted(hours)),
        days_of_week=tuple(_DAYS[day] for day in sorted(days, key=lambda day: (day + 3) % 7)),
    )
