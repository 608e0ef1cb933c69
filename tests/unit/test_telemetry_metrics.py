"""The metrics: what is exposed is what the documents, the alert rules and the dashboard name."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from detector.tally import LATENCY_BOUNDS_S, Tally
from ethogram.contracts.finding import SEVERITIES, WorkloadState
from profiler.telemetry.families import exposition
from profiler.telemetry.reading import Reading
from tests.sinks import make_finding
from tests.telemetry import (
    BASELINES,
    DASHBOARD,
    SENSOR,
    asked_for,
    make_reading,
    make_sink,
    queries,
    read_tally,
)

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
FINDING = make_finding()
ADDED = {"instance", "job", "le"}  # by Prometheus, and the bound of a bucket


def samples(reading: Reading) -> list[Sample]:
    text = exposition(reading).decode()
    return [one for family in text_string_to_metric_families(text) for one in family.samples]


def value(reading: Reading, name: str, **labels: str) -> float:
    (found,) = [one.value for one in samples(reading) if (one.name, one.labels) == (name, labels)]
    return found


def test_a_reading_is_exposed_number_by_number() -> None:
    reading = make_reading()
    assert value(reading, "ethogram_events_total", kind="calls") == 5
    assert value(reading, "ethogram_lost_events_total") == 9
    assert value(reading, "ethogram_losses_total", kind="ring_full", place="files") == 9
    assert value(reading, "ethogram_workloads", state="ok") == 2
    assert value(reading, "ethogram_sink_dropped_total", sink="file", number="1") == 2
    assert value(reading, "ethogram_baselines") == 3
    assert value(reading, "ethogram_baseline_changes_total") == 2
    assert value(reading, "ethogram_sensor_findings_total", rule="sensor-killed") == 0
    assert value(reading, "ethogram_sensor_gap_seconds", cause="killed") == 12.5
    assert value(reading, "ethogram_sensor_programs_changed") == 1
    assert value(reading, "ethogram_detector_models", state="scoring") == 1
    assert value(reading, "ethogram_detector_models", state="refused") == 0
    assert value(reading, "ethogram_scorer_up") == 1
    assert value(reading, "ethogram_scorer_restarts_total") == 3
    assert value(reading, "ethogram_scorer_windows_total", result="scored") == 70
    assert value(reading, "process_resident_memory_bytes") > 1_000_000


def test_every_rate_has_its_zero_from_the_start() -> None:
    graded = [one for one in samples(make_reading()) if one.name == "ethogram_findings_total"]
    assert len(graded) == 3 * len(SEVERITIES)
    assert {one.value for one in graded} == {0.0}


def test_before_the_first_window_its_time_is_absent_and_not_1970() -> None:
    names = {one.name for one in samples(make_reading(ended_s=None, windows=0))}
    assert "ethogram_windows_total" in names
    assert "ethogram_last_window_timestamp_seconds" not in names


def test_what_only_a_watch_has_a_recording_does_not_show() -> None:
    shown = samples(make_reading(command="record", watch=None, sinks=(), workloads={"recorded": 3}))
    assert not [one.name for one in shown if re.search("finding|baseline|sink|sensor", one.name)]


def test_two_sinks_of_one_kind_are_two_series() -> None:
    reading = make_reading(sinks=(make_sink(), make_sink(number=2, works=False)))
    assert value(reading, "ethogram_sink_up", sink="file", number="1") == 1
    assert value(reading, "ethogram_sink_up", sink="file", number="2") == 0


def test_a_label_is_escaped_whatever_it_holds() -> None:
    name = 'a"} 1\nb\\'
    assert value(make_reading(workloads={name: 4}), "ethogram_workloads", state=name) == 4


def test_the_document_lists_every_metric_with_its_type_and_labels() -> None:
    """Both ways: nothing is exposed that it lacks, and it has nothing that is not exposed."""
    documented = {}
    for names, kind, labels in re.findall(
        r"^\| (`(?:ethogram|process)_[^|]+) \| (\w+) \|([^|]*)\|", DOCS.read_text(), re.MULTILINE
    ):
        of_each = re.sub(r":[^;]*", "", labels)  # without their values
        for name in re.findall(r"`(\w+)`", names):
            documented[name] = (kind, set(re.findall(r"`(\w+)`", of_each)))
    tally = Tally()
    tally.count(FINDING)
    text = exposition(make_reading(watch=read_tally(tally))).decode()
    shown = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for one in family.samples for label in one.labels} - {"le"}
        shown[name] = (family.type, labels)
    assert shown == documented


# --- what others ask for --------------------------------------------------------------------------


def exposed() -> dict[str, dict[str, set[str]]]:
    """Return every name with the values of its labels; of states those there are."""
    tally = Tally()
    tally.count(FINDING)
    shown: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    states = dict.fromkeys(get_args(WorkloadState), 0)
    for one in samples(make_reading(watch=read_tally(tally), workloads=states)):
        shown[one.name].update({})
        for label, content in one.labels.items():
            shown[one.name][label].add(content)
    return shown | {
        "up": {},
        "ethogram_last_finding_timestamp_seconds": {"severity": {*SEVERITIES}},
        "ethogram_sensor_last_finding_timestamp_seconds": {"rule": {*SENSOR.findings}},
    }


@pytest.mark.parametrize("expression", sorted(set(queries())))
def test_rules_and_dashboard_ask_for_what_is_exposed(expression: str) -> None:
    known = exposed()
    asked = list(asked_for(expression))
    assert asked
    for metric, matchers in asked:
        assert metric in known
        for label, wanted in matchers.items():
            assert label in known[metric] or label in ADDED, (metric, label)
            if label not in ADDED:
                assert set(wanted.split("|")) <= known[metric][label]
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    for label in {word.strip() for words in grouped for word in words.split(",")}:
        assert any(label in known[metric] for metric, _ in asked) or label in ADDED


def test_legends_of_the_dashboard_name_labels_that_are_left() -> None:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            by = re.search(r"by \(([^)]*)\)", target["expr"])
            metrics = [metric for metric, _ in asked_for(target["expr"])]
            known = set(by[1].split(", ")) if by else {"instance", *exposed()[metrics[0]]}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


# --- the tally ------------------------------------------------------------------------------------


def test_latencies_fall_into_their_buckets() -> None:
    now = [0]
    tally = Tally(lambda: now[0])
    for milliseconds in (1, 2, 3, 70_000):
        now[0] = milliseconds * 10**6
        tally.told(0)
    seen = tally.reading(BASELINES).latency
    assert seen.counts[:2] == (2, 1)  # a bound belongs to its bucket
    assert seen.counts[len(LATENCY_BOUNDS_S)] == 1
    assert seen.total == pytest.approx(70.006)
    reading = make_reading(watch=tally.reading(BASELINES))
    assert value(reading, "ethogram_finding_latency_seconds_bucket", le="0.005") == 3
    assert value(reading, "ethogram_finding_latency_seconds_bucket", le="+Inf") == 4
    assert value(reading, "ethogram_finding_latency_seconds_count") == 4


def test_a_clock_that_went_back_makes_no_negative_latency() -> None:
    tally = Tally(lambda: 0)
    tally.told(10**9)
    assert tally.reading(BASELINES).latency.total == 0


def test_a_reading_does_not_change_when_the_tally_goes_on() -> None:
    tally = Tally()
    before = tally.reading(BASELINES)
    tally.count(FINDING)
    tally.told(0)
    assert sum(before.findings.values()) == 0
    assert sum(before.latency.counts) == 0
    assert sum(tally.reading(BASELINES).findings.values()) == 1
