"""How grave a deviation is, and which technique of ATT&CK it may be part of.

The value decides: `grades`, `file_grades` and `network_grades` have the classes. Then the state of
the workload tempers it. Nothing is hidden by that, and the reason says so:

- `learning`: one step down, at least low, because what a thin baseline lacks may be normal
- `rollout`: at most low, because a new version does new things; what is high stays so
- while a container starts, and in what entered it from outside, as `kubectl exec` does: medium is
  low, because both do much that a service at work does not; what is high stays so
- what was tried and refused: one step down, at least low
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from detector.file_grades import of_file
from detector.grades import Class, of_capability, of_exec, of_operation, of_syscall
from detector.network_grades import of_dns, of_listen, of_peer
from ethogram.contracts.baseline import (
    AnyValue,
    CapabilityValue,
    Dimension,
    DnsValue,
    ExecValue,
    FileValue,
    ListenValue,
    OperationValue,
    PeerValue,
    SyscallValue,
)
from ethogram.contracts.finding import SEVERITIES, Severity, WorkloadState
from ethogram.indicators.protocol import Technique, renumbered

__all__ = ["GROUPED_PHASES", "ROLLOUT_REASON", "Grade", "grade", "rule_of"]

# What a state tempers stays low at least: `info` is for the record, and reaches nobody.
_SMALLEST = ("info", "low")
_TRIED = "it was tried and refused"
_LEARNING = "graded one step down, because the baseline is thin and may lack what is normal"
_STARTING = "graded one step down, because the container is starting"
_SESSION = "graded one step down, because it is of a session that entered the container"
ROLLOUT_REASON = "graded low at most, because the image is new and a new version does new things"


# What a container does in these is much, and short: it is told together.
GROUPED_PHASES = frozenset({"startup", "exec"})


@dataclass(frozen=True, slots=True)
class Grade:
    """How a deviation is told: *reason* says in a sentence why it matters, and what tempers it."""

    severity: Severity
    attack: tuple[Technique, ...]
    title: str
    reason: str


def rule_of(dimension: Dimension) -> str:
    """Return the name of the rule that a deviation of *dimension* breaks."""
    return f"deviation-{dimension}"


# Renumbered in this version of ATT&CK: either number finds it.
_BEFORE = MappingProxyType({"T1685.006": "T1070.002"})


def _techniques(name: str) -> tuple[Technique, ...]:
    return renumbered(name, _BEFORE[name]) if name in _BEFORE else (Technique(name),)


def grade(
    value: AnyValue,
    workload_state: WorkloadState = "ok",
    *,
    granted: bool = True,
    phase: str = "steady",
) -> Grade:
    """Return how grave it is that a workload in *workload_state* shows *value* in *phase*.

    *granted*: it happened; else it was tried and refused.
    """
    found = _class_of(value)
    severity, reasons = found.severity, [found.reason]
    if not granted:
        severity = max(_lowered(severity), "low", key=SEVERITIES.index)
        reasons.append(_TRIED)
    if workload_state == "learning" and severity not in _SMALLEST:
        severity = _lowered(severity)
        reasons.append(_LEARNING)
    elif workload_state == "rollout" and severity == "medium":
        severity = "low"
        reasons.append(ROLLOUT_REASON)
    if severity == found.severity == "medium" and phase in GROUPED_PHASES:
        severity = "low"
        reasons.append(_SESSION if phase == "exec" else _STARTING)
    return Grade(
        severity=severity,
        attack=tuple(one for name in found.techniques for one in _techniques(name)),
        title=found.title,
        reason="; ".join(reasons),
    )


def _lowered(severity: Severity) -> Severity:
    return SEVERITIES[max(0, SEVERITIES.index(severity) - 1)]


def _class_of(value: AnyValue) -> Class:  # noqa: PLR0911  one for each kind of value
    match value:
        case SyscallValue():
            return of_syscall(value)
        case ExecValue():
            return of_exec(value)
        case FileValue():
            return of_file(value)
        case PeerValue():
            return of_peer(value)
        case ListenValue():
            return of_listen(value)
        case DnsValue():
            return of_dns(value)
        case CapabilityValue():
            return of_capability(value)
        case OperationValue():
            return of_operation(value)
