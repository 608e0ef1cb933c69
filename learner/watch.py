"""For how long each instance of a workload was watched, in each phase, and running what image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from learner.dimensions import canonical

__all__ = ["FEWEST_WINDOWS", "Watch", "watches"]

# Fewer windows of the steady phase do not tell what recurs from what does not.
FEWEST_WINDOWS = 60
_WINDOWS, _PHASE = canonical(["windows"]), canonical(["phase"])


@dataclass(slots=True)
class Watch:
    """One instance: from when to when, in nanoseconds, and its windows by phase."""

    first: int = 0
    last: int = 0
    digest: str | None = None
    windows: dict[str, int] = field(default_factory=dict)

    @property
    def steady(self) -> int:
        """Its windows of the steady phase."""
        return self.windows.get("steady", 0) + self.windows.get("unknown", 0)

    @property
    def length(self) -> int:
        return self.last - self.first


def watches(rows: pd.DataFrame) -> Mapping[str, Watch]:
    """Return the watch of each instance that *rows* about an observation name."""
    found: dict[str, Watch] = {}
    watched = rows[rows.dimension == "observation"]
    totals = watched[watched.key == _WINDOWS]
    for name, first, last in zip(totals.instance_key, totals["first"], totals["last"], strict=True):
        watch = found.setdefault(name, Watch(int(first), int(last)))
        watch.first, watch.last = min(watch.first, int(first)), max(watch.last, int(last))
    parts = watched[watched.key == _PHASE]
    for name, phase, count in zip(parts.instance_key, parts.phase, parts.windows, strict=True):
        if name in found:
            windows = found[name].windows
            windows[phase] = windows.get(phase, 0) + int(count)
    subjects = rows[rows.dimension == "subject"].sort_values(["last", "key"])
    for name, key in zip(subjects.instance_key, subjects.key, strict=True):
        if name in found:
            found[name].digest = json.loads(key).get("image_digest")
    return found
