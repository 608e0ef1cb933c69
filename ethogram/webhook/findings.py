"""Decisions as findings: what sinks get of them, each once a minute however often it comes again.

A controller tries again for ever what is refused. So a decision is told when it is new, and then
with its count, no more often than every minute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from ethogram.contracts.baseline import Subject
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import (
    FINDING_SCHEMA,
    Finding,
    FindingEvidence,
    Severity,
    fingerprint_of,
)
from ethogram.webhook.breaches import Breach, Mode, shown
from ethogram.webhook.requests import Request
from ethogram.webhook.review import Decision, Ruling

__all__ = ["RULE_PREFIX", "Tellings", "finding_of"]

RULE_PREFIX = "admission-"
_AGAIN_S = 60.0
_MOST = 10_000
_SEVERITIES: Mapping[Mode, Severity] = MappingProxyType(
    {"enforce": "medium", "warn": "low", "audit": "info"}
)
_DONE: Mapping[Mode, str] = MappingProxyType(
    {"enforce": "refused", "warn": "let in with a warning", "audit": "let in and noted"}
)


@dataclass(slots=True)
class _Told:
    first: str
    count: int
    at_s: float


class Tellings:
    """What was told already, of the newest so many; *clock* is monotonic, *now* is UTC."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._clock, self._now = clock, now
        self._told: OrderedDict[tuple[str | None, ...], _Told] = OrderedDict()

    def take(self, request: Request, decision: Decision) -> Iterator[Finding]:
        """Yield what is to be told of *decision* now; of a dry run nothing ever is."""
        if request.is_dry_run:
            return
        at_s, time = self._clock(), _time(self._now())
        for ruling in decision.rulings:
            if ruling.exemption is not None or ruling.mode not in _SEVERITIES:
                continue
            # Before a finding is made of it: most come again and again.
            key = (ruling.mode, *_parts(decision, ruling.breach))
            told = self._told.pop(key, None)
            is_due = told is None or at_s - told.at_s >= _AGAIN_S
            told = told or _Told(time, 0, at_s)
            told.count += 1
            self._told[key] = told
            if len(self._told) > _MOST:
                self._told.popitem(last=False)
            if is_due:
                told.at_s = at_s
                finding = finding_of(request, decision, ruling, time)
                yield finding.model_copy(update={"first_seen": told.first, "count": told.count})


def finding_of(request: Request, decision: Decision, ruling: Ruling, time: str) -> Finding:
    """Return the finding that tells at *time* of a rule that a pod broke."""
    breach, whose = ruling.breach, decision.whose
    container = breach.container.name if breach.container else None
    image = breach.container.body.get("image") if breach.container else None
    done = _DONE[ruling.mode]
    return Finding(
        schema=FINDING_SCHEMA,
        time=time,
        fingerprint=fingerprint_of((*_parts(decision, breach), ruling.mode)),
        layer="deviation" if breach.source == "learnt" else "indicator",
        rule=f"{RULE_PREFIX}{breach.rule}",
        title=f"Pod {done} at admission",
        reason=f"{breach.message} (asked by {escape(request.user) or 'nobody named'})",
        severity=_SEVERITIES[ruling.mode],
        attack=(),
        workload=Subject(
            namespace=_text(whose.namespace),
            kind=_text(whose.kind) or "Pod",
            name=_text(whose.name) or "unnamed",
            container=_text(container),
            image=_text(image) if isinstance(image, str) else None,
        ),
        instance_key=escape(request.uid),
        evidence=FindingEvidence(
            dimension="admission", observed=_observed(breach), expected=(breach.required,)
        ),
        state="ok",
        workload_state="ok",
        phase="unknown",
        first_seen=time,
        last_seen=time,
        count=1,
    )


def _parts(decision: Decision, breach: Breach) -> tuple[str | None, ...]:
    """Return what tells a decision from others, however often it comes again."""
    whose = decision.whose
    container = breach.container.name if breach.container else None
    value = shown(breach.value)
    return (whose.namespace, whose.kind, whose.name, container, breach.rule, breach.field, value)


def _observed(breach: Breach) -> str:
    value = "not set" if breach.value is None else shown(breach.value)
    return f"{escape(breach.field)}: {value}"


def _text(text: str | None) -> str | None:
    return escape(text) if text else None


def _time(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
