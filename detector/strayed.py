"""A deviation of a known instance, and how grave it is there."""

from __future__ import annotations

from typing import NamedTuple

from detector.deviations import Deviation
from detector.grading import GROUPED_PHASES, Grade
from detector.sightings import graded
from detector.watched import Watched, Workload

__all__ = ["SMALL", "Strayed", "grade_of", "grouped_phases"]

# What is told together, where one thing explains it.
SMALL = ("info", "low")


class Strayed(NamedTuple):
    """What strays from a baseline, by the number of the instance that shows it."""

    instance: int
    deviation: Deviation


def grouped_phases(workload: Workload) -> frozenset[str]:
    """Return the phases whose small change is told together; a command may be nothing but start."""
    return GROUPED_PHASES if workload.is_container else GROUPED_PHASES - {"startup"}


def grade_of(found: Strayed, watched: Watched) -> Grade:
    """Return how grave *found* is in the state that its workload is in."""
    workload = watched.of_instance(found.instance)
    state = watched.newness_of(workload, found.deviation.dimension)
    return next(graded([found.deviation], state, grouped_phases(workload)))[1]
