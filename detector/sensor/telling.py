"""From what was done to the sensor to a sighting, which `Findings` tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from detector.findings import Findings, Whose
from detector.processes import ProcessTree
from detector.sensor.kept_findings import KeptFinding
from detector.sensor.troubles import ATTACK, RULES, Trouble
from detector.sighting import Sighting
from ethogram.contracts.baseline import Subject
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import Finding, SensorState
from ethogram.contracts.keys import instance_key
from ethogram.indicators.compliance import LOGS

__all__ = ["last_words", "sensor_whose", "sighting_of"]

DIMENSION = "sensor"
_SUBJECT = Subject(kind="Sensor", name="ethogram")


def sighting_of(trouble: Trouble, *, is_ours: bool) -> Sighting:
    """Return *trouble* as it is told: of the sensor where *is_ours*, else of its instance."""
    rule = RULES[trouble.rule]
    return Sighting(
        layer="indicator",
        rule=rule.id,
        title=rule.title,
        reason=rule.reason,
        severity=trouble.severity or rule.severity,
        attack=ATTACK,
        instance=-1 if is_ours or trouble.instance is None else trouble.instance,
        phase="steady",
        dimension=DIMENSION,
        observed=escape(trouble.observed),
        exe=None,
        exec_id=None,
        first_ns=trouble.first_ns,
        last_ns=trouble.last_ns,
        count=trouble.count,
        identity=trouble.identity or rule.id,
        confidence="high",
        compliance=LOGS,
        is_timed=False,
    )


def sensor_whose(host_id: str, run: str, state: SensorState) -> Whose:
    """Return what a finding about the sensor itself says of whose it is: of one *run* on a host."""
    return Whose(
        subject=_SUBJECT,
        instance_key=instance_key(host_id, f"watch-{run}"),
        container_id=None,
        state=state,
        workload_state="ok" if state == "ok" else state,
        baseline=None,
    )


def last_words(
    host_id: str, run: str, pid: int, *, told: Mapping[str, KeptFinding], now_ns: int
) -> Finding:
    """Return what is to be told of a watch that is killed, by who outlives it.

    It is the finding that the next watch tells, too, once it knows how long nobody watched.
    """
    trouble = Trouble(
        "sensor-killed", f"the watch, pid {pid}, ended without having been asked to",
        now_ns, now_ns, identity="killed",
    )  # fmt: skip
    found: list[Finding] = []
    findings = Findings(ProcessTree(), found.append)
    findings.recall({key: replace(one, instances=set(one.instances)) for key, one in told.items()})
    findings.take(sighting_of(trouble, is_ours=True), sensor_whose(host_id, run, "ok"), now_ns)
    return found[-1]
