"""Sightings of what is strange: windows that a model finds so, and sequences that none knows."""

from __future__ import annotations

from detector.anomaly.new_sequences import Found
from detector.anomaly.replies import Strange
from detector.sighting import Sighting
from ethogram.contracts.baseline import ModelReference
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import Severity, WorkloadState

__all__ = ["sighting_of", "sighting_of_new"]

RULE = "anomaly-calls"
TITLE = "Calls unlike those that were learnt"
_RARE = 1.0
_TOLD = 3
_CLEAR: frozenset[WorkloadState] = frozenset({"ok"})


def sighting_of(
    reply: Strange, reference: ModelReference, state: WorkloadState, *, about: str, count: int
) -> Sighting:
    budget = reference.alerts.budget if reference.alerts else "its budget"
    names = [escape(name) for name in reply.detectors[:_TOLD]]
    by = f"; {' and '.join(names)} find it strangest" if names else ""
    chance = f", p-value {reply.p_value:.1g}" if reply.p_value is not None else ""
    reasons = [escape(reason) for reason in reply.reasons]
    return Sighting(
        layer="anomaly",
        rule=RULE,
        title=TITLE,
        reason=f"its calls in {reply.seconds:g} s are stranger than the threshold that keeps "
        f"{budget}{chance}{by}",
        severity=_severity(reply, state),
        attack=(),
        instance=reply.instance,
        phase="steady",
        dimension="syscalls",
        observed="; ".join(reasons) or "calls out of their usual proportions",
        exe=None,
        exec_id=None,
        first_ns=reply.first_ns,
        last_ns=reply.last_ns,
        count=count,
        identity=f"{reference.sha256} {escape(about)}",
        p_value=reply.p_value,
        expected=tuple(escape(usual) for usual in reply.usual[:_TOLD]),
        is_timed=False,  # it is of a whole window of the model, told when that was scored
    )


def sighting_of_new(found: Found, reference: ModelReference) -> Sighting:
    """Return what tells of sequences that the model does not know, whatever the others are like."""
    many = str(found.count) if found.is_whole else f"more than {found.learnt}"
    return Sighting(
        layer="anomaly",
        rule=RULE,
        title=TITLE,
        reason=f"it makes {many} sequences of six calls in a window that were never learnt; no "
        f"window had more than {found.learnt} that were new when it was",
        severity="info",
        attack=(),
        instance=found.instance,
        phase="steady",
        dimension="syscalls",
        observed="; ".join(f"{words}: new" for words in found.shown),
        exe=None,
        exec_id=None,
        first_ns=found.first_ns,
        last_ns=found.last_ns,
        count=int(found.is_new),
        identity=f"{reference.sha256} {escape(found.about)}",
        is_timed=False,
    )


def _severity(reply: Strange, state: WorkloadState) -> Severity:
    """Return medium for what is ten times rarer than what is just flagged, else low.

    At the threshold the budget's episodes are expected of a workload that does nothing new. What a
    baseline is too thin for, or another image does, may be strange and normal.
    """
    return "medium" if reply.beyond >= _RARE and state in _CLEAR else "low"
