"""Readings to serve, and what queries in `deploy/` ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from detector.options import AnomalyStatus, BaselinesStatus, ModelStatus
from detector.sensor.troubles import RULES as RULES_OF_SENSOR
from detector.tally import Tally, reading_of
from profiler.options import Keeping
from profiler.telemetry.reading import Reading, SensorReading, SinkReading, WatchReading

__all__ = [
    "ANOMALY",
    "BASELINES",
    "DASHBOARD",
    "DEPLOY",
    "KEEPING",
    "RULES",
    "SENSOR",
    "asked_for",
    "make_reading",
    "make_sink",
    "queries",
    "read_tally",
]

KEEPING = Keeping(place="/r", recording_id="r", state="recording", windows=7, lost=3, waiting=11)
BASELINES = BaselinesStatus(3, "2026-11-23T06:00:00Z", changes=2)
SENSOR = SensorReading(
    findings=dict.fromkeys(RULES_OF_SENSOR, 0), last_s={"sensor-killed": 7.0},
    changed=1, gap_s={"killed": 12.5}, heard_s=8.0,
)  # fmt: skip
ANOMALY = AnomalyStatus(
    "scoring",
    restarts=3,
    scored=70,
    withheld=4,
    models=(
        ModelStatus("a.yaml", "a.skops", "scoring"),
        ModelStatus("b.yaml", "b.skops", "loading"),
    ),
)
DEPLOY = Path(__file__).parents[1] / "deploy"
RULES = DEPLOY / "prometheus" / "ethogram.rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "ethogram.json"

_VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}
_METRIC = re.compile(r"\b((?:ethogram|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'([a-z_]+)(=~|=)"([^"]*)"')


def make_sink(**fields: Any) -> SinkReading:
    """Return how a sink stands that works, but for *fields*."""
    whole = {"sink": "file", "number": 1, "works": True, "sent": 41, "refused": 0, "damaged": 0,
             "dropped": 2, "waiting_bytes": 300}  # fmt: skip
    return SinkReading(**whole | fields)


def read_tally(tally: Tally) -> WatchReading:
    """Return the reading of *tally*, with all that there may be."""
    return replace(
        tally.reading(BASELINES), recording=KEEPING, sensor=SENSOR, anomaly=reading_of(ANOMALY)
    )


def make_reading(**fields: Any) -> Reading:
    """Return a reading of a watch that has everything there is, but for *fields*."""
    tally = Tally(lambda: 10**9)
    whole: dict[str, Any] = {
        "command": "watch", "version": "1.2.3", "loader": "core", "tier": "full",
        "window_s": 1.0, "tick_s": 100.0, "ended_s": 1.5, "windows": 7,
        "programs": {"attached": 22, "refused": 0, "absent": 1},
        "events": {"calls": 5, "execs": 4, "opens": 3, "connects": 2},
        "lost": 9, "losses": {("ring_full", "files"): 9},
        "workloads": {"ok": 2, "blind": 0, "degraded": 0},
        "watch": read_tally(tally), "sinks": (make_sink(),),
    }  # fmt: skip
    return Reading(**whole | fields)


def queries() -> Iterator[str]:
    """Yield every expression of the dashboard and of the alert rules."""
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        yield from (_filled(target["expr"]) for target in panel["targets"])
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def _filled(expression: str) -> str:
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def asked_for(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the metrics in *expression*, and what their labels are compared with."""
    for metric, matchers in _METRIC.findall(expression):
        yield metric, {name: value for name, _, value in _MATCHER.findall(matchers)}
