"""Every metric: its name, its labels, what it means, and its value in a reading.

Labels are few and short: words of this program and no workload's name, path or address. So the
series stay some hundred whatever runs here, and nothing a workload chose is among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from profiler.telemetry.reading import (
    AnomalyReading,
    Distribution,
    Reading,
    SensorReading,
    SinkReading,
    WatchReading,
)

if TYPE_CHECKING:
    from profiler.options import Keeping

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PROCESS = ProcessCollector(registry=None)
_SINK_LABELS = ("sink", "number")
_Values = Mapping[Any, float]  # by the values of the labels, in a tuple


@dataclass(frozen=True, slots=True)
class _Given(Collector):
    """A registry of metrics that are there already."""

    metrics: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def exposition(reading: Reading) -> bytes:
    """Return *reading*, and what this process takes, in Prometheus' text format."""
    metrics = (*_session(reading), *_watch(reading.watch), *_sinks(reading.sinks))
    return generate_latest(_Given((*metrics, *_PROCESS.collect())))


def _session(reading: Reading) -> Iterator[Metric]:
    yield _gauge(
        "build_info", "Always 1; what runs here, in its labels.",
        ("version", "command", "loader", "tier"),
        {(reading.version, reading.command, reading.loader, reading.tier): 1},
    )  # fmt: skip
    yield _counter("windows", "Windows judged, or written.", (), {(): reading.windows})
    yield _gauge("window_seconds", "How long a window is.", (), {(): reading.window_s})
    if reading.ended_s is not None:
        yield _gauge(
            "last_window_timestamp_seconds", "When the last window ended.", (),
            {(): reading.ended_s},
        )  # fmt: skip
    yield _gauge(
        "programs", "Kernel programs; refused counts those that are needed.", ("state",),
        _by_one(reading.programs),
    )  # fmt: skip
    yield _counter("events", "What was seen of the targets.", ("kind",), _by_one(reading.events))
    yield _counter("lost_events", "Events that could not be taken.", (), {(): reading.lost})
    yield _counter(
        "losses", "The same by what became of them and where.", ("kind", "place"), reading.losses
    )
    yield _gauge(
        "workloads", "Workloads by the state they are in.", ("state",), _by_one(reading.workloads)
    )


def _watch(watch: WatchReading | None) -> Iterator[Metric]:
    if watch is None:
        return
    yield _gauge("baselines", "Baselines that are watched by.", (), {(): watch.baselines})
    yield _counter(
        "baseline_changes", "How often others took their place.", (), {(): watch.baseline_changes}
    )
    yield _gauge(
        "baselines_refused", "1 where the newest are not those that are watched by.", (),
        {(): int(watch.is_refused)},
    )  # fmt: skip
    yield _counter(
        "findings", "Findings, each once, and again where it became graver.",
        ("layer", "severity"), watch.findings,
    )  # fmt: skip
    yield _counter(
        "findings_suppressed", "Findings that somebody said not to tell of, each once.",
        ("layer", "severity"), watch.suppressed,
    )  # fmt: skip
    yield _counter(
        "incidents", "Process trees with several findings, and again where it became graver.",
        ("severity",), watch.incidents,
    )  # fmt: skip
    yield _gauge(
        "last_finding_timestamp_seconds", "When a finding of this severity was last new.",
        ("severity",), _by_one(watch.last_s),
    )  # fmt: skip
    yield _histogram(
        "finding_latency_seconds",
        "From the event to the finding's line on standard output.",
        watch.latency,
    )
    yield from _recording(watch.recording)
    yield from _sensor(watch.sensor)
    if watch.anomaly is not None:
        yield from _anomaly(watch.anomaly)


def _recording(recording: Keeping | None) -> Iterator[Metric]:
    if recording is None:
        return
    yield _gauge(
        "recording_up", "1 while the recording takes rows, 0 where they are lost.", (),
        {(): int(recording.state in {"recording", "ended"})},
    )  # fmt: skip
    yield _gauge(
        "recording_waiting_rows", "Rows that wait to be written.", (), {(): recording.waiting}
    )
    yield _counter(
        "recording_lost_rows", "Rows that the recording lacks, for want of time or room.", (),
        {(): recording.lost},
    )  # fmt: skip


def _sensor(sensor: SensorReading | None) -> Iterator[Metric]:
    if sensor is None:
        return
    yield _counter(
        "sensor_findings", "What was done to the sensor, by rule, each time.", ("rule",),
        _by_one(sensor.findings),
    )  # fmt: skip
    yield _gauge(
        "sensor_last_finding_timestamp_seconds", "When that was last so.", ("rule",),
        _by_one(sensor.last_s),
    )  # fmt: skip
    yield _gauge(
        "sensor_programs_changed", "Programs that do not run as they were attached.", (),
        {(): sensor.changed},
    )  # fmt: skip
    yield _gauge(
        "sensor_gap_seconds", "How long nobody watched before this watch, by why.", ("cause",),
        _by_one(sensor.gap_s),
    )  # fmt: skip
    if sensor.heard_s is not None:
        yield _gauge(
            "sensor_sign_timestamp_seconds", "When the kernel side last gave the sign it is to.",
            (), {(): sensor.heard_s},
        )  # fmt: skip


def _anomaly(anomaly: AnomalyReading) -> Iterator[Metric]:
    yield _gauge(
        "detector_models", "Anomaly models of the baselines that apply.", ("state",),
        _by_one(anomaly.models),
    )  # fmt: skip
    yield _gauge(
        "scorer_up", "1 where the process that asks models works, or has none to ask.", (),
        {(): int(anomaly.works)},
    )  # fmt: skip
    yield _counter(
        "scorer_restarts", "How often that process ended and was started again.", (),
        {(): anomaly.restarts},
    )  # fmt: skip
    yield _counter(
        "scorer_windows", "Windows for models, by what became of them.", ("result",),
        _by_one(anomaly.windows),
    )  # fmt: skip


def _sinks(sinks: tuple[SinkReading, ...]) -> Iterator[Metric]:
    if not sinks:
        return
    named = {(one.sink, str(one.number)): one for one in sinks}
    yield _gauge(
        "sink_up", "1 where the sink takes findings, 0 where they wait or are refused.",
        _SINK_LABELS, {key: int(one.works) for key, one in named.items()},
    )  # fmt: skip
    yield _gauge(
        "sink_waiting_bytes", "What waits in the sink's spool.", _SINK_LABELS,
        {key: one.waiting_bytes for key, one in named.items()},
    )  # fmt: skip
    for name, words in (
        ("sent", "Lines that arrived."),
        ("dropped", "Lines that the spool had no room for."),
        ("refused", "Lines that the receiver will never take."),
        ("damaged", "Lines that were torn on the disk."),
    ):
        values = {key: getattr(one, name) for key, one in named.items()}
        yield _counter(f"sink_{name}", f"{words} In the life of its spool.", _SINK_LABELS, values)


# --- forms ----------------------------------------------------------------------------------------


def _by_one(values: Mapping[str, float]) -> _Values:
    return {(label,): value for label, value in values.items()}


def _gauge(name: str, words: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = GaugeMetricFamily(f"ethogram_{name}", words, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counter(name: str, words: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = CounterMetricFamily(f"ethogram_{name}", words, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(name: str, words: str, seen: Distribution) -> Metric:
    family = HistogramMetricFamily(f"ethogram_{name}", words)
    bounds = [*map(str, seen.bounds), "+Inf"]
    counts = accumulate(seen.counts)
    family.add_metric((), list(zip(bounds, counts, strict=True)), seen.total)
    return family
