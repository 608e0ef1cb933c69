"""What can be done to a sensor: the rules of findings about the sensor itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ethogram.contracts.finding import SensorState, Severity
from ethogram.indicators.protocol import renumbered

__all__ = ["ATTACK", "RULES", "Rule", "Trouble"]

# Disable or modify tools; until version 18 a part of "impair defenses".
ATTACK = renumbered("T1685", before="T1562.001")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about the sensor; *state* is how well it sees while that is so."""

    id: str
    title: str
    reason: str
    severity: Severity
    state: SensorState = "ok"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was done to the sensor, or befell it, between two times in nanoseconds UTC.

    Troubles of one rule and *identity* are one finding. *instance* is whose doing it is, where that
    is known. *severity* where it is another than the rule's.
    """

    rule: str
    observed: str
    first_ns: int
    last_ns: int
    identity: str = ""
    count: int = 1
    instance: int | None = None
    severity: Severity | None = None


_ALL = (
    Rule(
        "sensor-killed", "Watch was killed",
        "it ended without having been asked to: what happened until the next one began was not "
        "seen", "high",
    ),
    Rule(
        "sensor-gap", "Nobody watched",
        "a watch ended and the next one began later: what happened between was not seen", "info",
    ),
    Rule(
        "sensor-stalled", "Watch was stopped",
        "it did not run for far longer than a window: what the kernel kept for it was judged late, "
        "and what found no room there was lost", "high", "degraded",
    ),
    Rule(
        "sensor-traced", "Process attached to the watch",
        "a debugger can read and change all that the watch knows and says", "critical", "degraded",
    ),
    Rule(
        "sensor-detached", "Program of the sensor was detached",
        "what it saw is not seen any more: only a restart attaches it again", "critical", "blind",
    ),
    Rule(
        "sensor-silenced", "Sensor was silenced",
        "its programs run and record nothing, because their memory was written by another",
        "critical", "blind",
    ),
    Rule(
        "sensor-silent", "Sensor does not hear itself",
        "what the watch does for the purpose was not reported by the kernel", "high", "degraded",
    ),
    Rule(
        "sensor-full", "Sensor had no room for events",
        "a ring, or a map that all share, was full: events came faster than they were taken",
        "medium", "degraded",
    ),
    Rule(
        "sensor-quota", "Workload used up its quota",
        "it did more different things in a window than are kept of one workload: of the rest only "
        "the number is known", "medium", "degraded",
    ),
    Rule(
        "sensor-clock", "Wall clock was stepped",
        "times that others note no longer fit those of before; findings go on by the clock as it "
        "was when the watch began", "medium",
    ),
    Rule(
        "sensor-state", "State of the watch was written by another",
        "what was told before decides what is told again", "high",
    ),
)  # fmt: skip

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _ALL}
