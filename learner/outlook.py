"""How settled one workload's items are: by dimension, in all, and what nothing can be said of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ethogram.contracts.baseline import DIMENSIONS, Coverage, Observation, Phase
from learner.coverage import estimate
from learner.evidence import Item
from learner.novelty import Novelty
from learner.richness import runs_of
from learner.timeline import Timeline, blind_of, timeline_of

__all__ = ["outlook"]

_STEADY: tuple[Phase, ...] = ("steady", "unknown")
_STARTUP: tuple[Phase, ...] = ("startup", "runtime")
_RUN = ["recording_id", "instance_key"]


def outlook(
    items: Sequence[Item], watched: pd.DataFrame, observation: Observation
) -> dict[str, Any]:
    """Return the fields of a baseline that say how settled *items* are, and what was *watched*.

    Coverage is that of the steady phase: what startup shows comes in every start, not in every
    window, and is not new when the steady phase shows it again. A workload that never became steady
    is judged by its startup.
    """
    by_phase = observation.phases
    steady = sum(by_phase.get(phase, 0) for phase in _STEADY)
    windows = steady or by_phase.get("startup", 0)
    if not windows:
        return {}
    phases = _STEADY if steady else _STARTUP[:1]
    sample = _Sample(
        phases=phases,
        before=_STARTUP if steady else (),
        windows=windows,
        runs=len(watched.loc[watched.instance_key != "", _RUN].drop_duplicates()),
        line=timeline_of(watched, phases),
    )
    unknown = observation.not_observed or ()
    whole = sample.novelty(sample.new(items))
    return {
        "coverage": {
            dimension: sample.coverage([item for item in items if item.dimension == dimension])
            for dimension in DIMENSIONS
            if dimension not in unknown
        },
        "settled": round(whole.settled, 6) if whole.is_enough else None,
        "blind": blind_of(watched),
    }


@dataclass(frozen=True)
class _Sample:
    """What is looked at: windows of *phases*, without what those *before* had shown."""

    phases: tuple[Phase, ...]
    before: tuple[Phase, ...]
    windows: int
    runs: int
    line: Timeline

    def new(self, items: Sequence[Item]) -> list[Item]:
        """Return those of *items* that the phases show, and show first."""
        return [
            item
            for item in items
            if any(phase in item.phases for phase in self.phases)
            and not any(phase in item.phases for phase in self.before)
        ]

    def windows_of(self, item: Item) -> int:
        return sum(item.phases.get(phase, 0) for phase in self.phases)

    def novelty(self, items: Sequence[Item]) -> Novelty:
        spans = [[item.spans[one] for one in self.phases if one in item.spans] for item in items]
        first = np.array([min(start for start, _ in span) for span in spans], np.int64)
        last = np.array([max(end for _, end in span) for span in spans], np.int64)
        return Novelty(
            first=self.line.at(first),
            last=self.line.at(last),
            windows=np.array([self.windows_of(item) for item in items], float),
            length_s=self.line.seconds,
            window_s=self.line.window_s,
        )

    def coverage(self, items: Sequence[Item]) -> Coverage:
        """Return the coverage of *items*, all of one dimension."""
        new = self.new(items)
        known_before = sum(any(phase in item.phases for phase in self.before) for item in items)
        alone = [item.a_run for item in items if item.runs == 1]
        runs = runs_of([item.runs for item in items], alone, self.runs)
        return estimate(
            [self.windows_of(item) for item in new],
            self.windows,
            novelty=self.novelty(new),
            before=known_before,
            runs=runs,
        )
