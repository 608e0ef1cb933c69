"""Tells receivers of what they will never get: a finding about what found no room in the spool."""

from __future__ import annotations

import time
from collections.abc import Callable

from detector.moments import moment
from detector.sinks.protocol import Sender
from detector.sinks.spool import SpoolWriter
from ethogram.contracts.baseline import Subject
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import (
    FINDING_SCHEMA,
    Finding,
    FindingEvidence,
    Severity,
    fingerprint_of,
)

__all__ = ["RULE", "Notices"]

RULE = "sink-dropped"
_EACH_NS = 60 * 10**9


class Notices:
    """Adds to a spool, once there is room in it again, how much was dropped; once a minute."""

    def __init__(self, sender: Sender, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._sender, self._now_ns = sender, now_ns
        self._told_ns: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def tell(
        self, sink: str, findings: SpoolWriter, events: SpoolWriter | None, *, is_last: bool = False
    ) -> bool:
        """Add to the spool *findings* what it and *events* dropped; say whether there was any."""
        now_ns = self._now_ns()
        lost = findings.untold, events.untold if events else 0
        if not any(lost) or (not is_last and now_ns - self._told_ns.get(sink, 0) < _EACH_NS):
            return False
        total = findings.dropped + (events.dropped if events else 0)
        self._first.setdefault(sink, moment(now_ns))
        finding = self._finding(sink, *lost, total=total, now=moment(now_ns))
        if not findings.add_notice(finding.line(), is_new=sink not in self._told_ns):
            return False
        self._told_ns[sink] = now_ns
        for spool in (findings, events):
            if spool:
                spool.say_told()
        return True

    def _finding(self, sink: str, findings: int, events: int, *, total: int, now: str) -> Finding:
        severity: Severity = "medium" if findings else "low"
        host = escape(self._sender.host) or "?"
        counts = {"findings": findings, "events": events}
        parts = [f"{number:,} {word}" for word, number in counts.items() if number]
        return Finding(
            schema=FINDING_SCHEMA,
            time=now,
            fingerprint=fingerprint_of([RULE, host, sink]),
            layer="indicator",
            rule=RULE,
            title="Not everything was sent to this receiver",
            reason="the spool of the sink was full, or its disk: what came then is lost to it",
            severity=severity,
            attack=(),
            workload=Subject(kind="Host", name=host, cluster=self._sender.cluster),
            instance_key=host,
            evidence=FindingEvidence(dimension="losses", observed=f"{' and '.join(parts)} dropped"),
            state="degraded",
            workload_state="degraded",
            phase="unknown",
            first_seen=self._first[sink],
            last_seen=now,
            count=total,
        )
