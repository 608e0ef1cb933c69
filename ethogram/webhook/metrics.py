"""What the webhook counts, in Prometheus' text format.

Labels are words of this program, and no name of a namespace, pod or user: the series stay some
hundred, whatever is asked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ethogram import __version__
from ethogram.webhook.requests import Request
from ethogram.webhook.review import Decision

__all__ = ["BOUNDS_S", "Counts"]

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)
_PROCESS = ProcessCollector(registry=None)
_RESOURCES = frozenset({"pods", "pods/ephemeralcontainers"})


class Counts(Collector):
    """Totals since the start. Each is changed by one thread, and read by another."""

    def __init__(self) -> None:
        self.reviews: Counter[tuple[str, str, str, str]] = Counter()
        self.breaches: Counter[tuple[str, str]] = Counter()
        self.bad: Counter[str] = Counter()
        self.patches: Counter[str] = Counter()
        self.told = 0
        self.untold = 0
        self.reloads: Counter[str] = Counter(taken=0, refused=0)
        self.configurations: Counter[str] = Counter(taken=0, refused=0)
        self.expires_s: float | None = None
        self.exemptions: Counter[str] = Counter(active=0, expired=0)
        self._seconds = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def took(self, seconds: float) -> None:
        """Count an answer that took *seconds*."""
        self._seconds[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def decided(self, request: Request, decision: Decision) -> None:
        """Count a *decision*."""
        resource = request.of if request.of in _RESOURCES else "controllers"
        if decision.outcome == "skipped" and request.of not in _RESOURCES:
            resource = "others"
        dry_run = "true" if request.is_dry_run else "false"
        self.reviews[resource, decision.outcome, decision.mode, dry_run] += 1
        for one in decision.rulings:
            self.breaches[one.breach.rule, "exempt" if one.exemption else one.mode] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield _gauge("build_info", "Always 1; what runs here.", ("version", "command"),
                     {(__version__, "webhook"): 1})  # fmt: skip
        yield _counter(
            "admission_reviews", "Answers of the validating webhook.",
            ("resource", "outcome", "mode", "dry_run"), self.reviews,
        )  # fmt: skip
        yield _counter(
            "admission_breaches", "Rules that pods broke, and what came of it.",
            ("rule", "action"), self.breaches,
        )  # fmt: skip
        yield _counter("admission_bad_requests", "What was no review, by why.", ("reason",),
                       _by_one(self.bad))  # fmt: skip
        yield _counter("admission_mutations", "Answers of the mutating webhook.", ("profile",),
                       _by_one(self.patches))  # fmt: skip
        yield _counter("admission_findings", "Decisions told to sinks.", (), {(): self.told})
        yield _counter("admission_findings_dropped", "Decisions that found no room on the way.",
                       (), {(): self.untold})  # fmt: skip
        yield _counter("certificate_reloads", "Changes of the certificate's files.", ("result",),
                       _by_one(self.reloads))  # fmt: skip
        yield _counter("configuration_reloads", "Changes of the configuration and baselines.",
                       ("result",), _by_one(self.configurations))  # fmt: skip
        if self.expires_s is not None:
            yield _gauge("certificate_expiry_timestamp_seconds", "When the certificate ends.", (),
                         {(): self.expires_s})  # fmt: skip
        yield _gauge("admission_exemptions", "Exemptions of the configuration.", ("state",),
                     _by_one(self.exemptions))  # fmt: skip
        family = HistogramMetricFamily(
            "ethogram_admission_seconds", "From the whole request to its answer."
        )
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        family.add_metric((), list(zip(bounds, accumulate(self._seconds), strict=True)),
                          self._sum_s)  # fmt: skip
        yield family

    def exposition(self) -> bytes:
        """Return this, and what this process takes."""
        return generate_latest(_Given((*self.collect(), *_PROCESS.collect())))


class _Given(Collector):
    def __init__(self, metrics: tuple[Metric, ...]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _by_one(values: Counter[str]) -> dict[tuple[str, ...], float]:
    return {(label,): value for label, value in dict(values).items()}


def _counter(name: str, words: str, labels: tuple[str, ...], values: object) -> Metric:
    return _filled(CounterMetricFamily(f"ethogram_{name}", words, labels=labels), values)


def _gauge(name: str, words: str, labels: tuple[str, ...], values: object) -> Metric:
    return _filled(GaugeMetricFamily(f"ethogram_{name}", words, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: object) -> Metric:
    assert isinstance(values, dict)
    for key, value in sorted(dict(values).items()):
        family.add_metric(key, value)
    return family
