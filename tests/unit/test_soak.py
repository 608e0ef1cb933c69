"""What a soak makes of findings: rates, bounds and causes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from ethogram.contracts.finding import Finding
from tests.recordings import shop_recording
from tests.replay import Replay
from tests.soak.events import Event, schedule
from tests.soak.score import MARKER, Soak, cause_of, upper_bound, write
from tests.unit.test_detector_judge import write_baselines
from tests.unit.test_detector_quiet import NEW, rolled_out, small

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def finding(tmp_path_factory: pytest.TempPathFactory) -> Finding:
    place = tmp_path_factory.mktemp("shop")
    replay = Replay(write_baselines(shop_recording(place / "rec"), place / "baselines"))
    replay.recording(shop_recording(place / "again"))
    (found,) = replay.rows(8, **rolled_out(5, NEW), **small(5))
    return found


def event(finding: Finding, kind: str, after_s: float, app: str = "checkout") -> Event:
    began = _seconds(finding) - after_s
    return Event(kind, app, began, began + 1)


def _seconds(finding: Finding) -> float:
    return datetime.fromisoformat(finding.first_seen).timestamp()


@pytest.mark.parametrize(("found", "bound"), [(0, 2.996), (1, 4.744), (3, 7.754), (100, 118.1)])
def test_the_bound_is_that_of_poisson(found: int, bound: float) -> None:
    assert upper_bound(found) == pytest.approx(bound, abs=0.05)


def test_the_cause_is_the_last_that_was_done_to_the_workload(finding: Finding) -> None:
    events = [event(finding, "restart", 9), event(finding, "rollout", 3)]
    events += [event(finding, "scale up", 1, "another"), event(finding, "restart", -30)]
    assert cause_of(finding, events) == "rollout"
    assert cause_of(finding, [event(finding, "restart", 60)]) == "load"


def test_what_is_written_has_rates_causes_and_the_findings(
    finding: Finding, tmp_path: Path
) -> None:
    document = tmp_path / "soak.md"
    document.write_text(f"head\n{MARKER}\nbefore-this\n")
    events = [event(finding, "rollout", 3)]
    other = finding.model_copy(update={"incident": "of another replica", "severity": "medium"})
    soak = Soak(
        learnt={"checkout": 90.0}, watched_s=8640, replicas={"checkout": 3}, replica_s=25920,
        uses=7, events=events, lines=[other, finding, finding], losses="", trouble=[],
        states={"checkout": "learning: too little"}, kernel="6.1",
    )  # fmt: skip
    write(document, soak)
    text = document.read_text()
    assert text.startswith("head\n")
    assert "before-this" not in text
    assert "| high or critical | 0 | 0.0 | 30 | 0 | 0.0 | 30 | 0.1 | 30, with none |" in text
    assert "| medium | 0 | 0.0 | 30 | 1 | 10.0 | 47 | 1.0 |" in text
    assert "| low | 1 | 10.0 | 47 | 1 | 10.0 | 47 |" in text
    assert "| checkout | 1.5 min | learning: too little |" in text
    assert "told in 3 lines (other replicas, counts), in 2 incidents" in text
    assert "| rollout | 1 | 0 | 0 | 0 | 1 | 0 |" in text


def test_the_schedule_scales_down_what_it_scaled_up_and_rolls_each_out_once() -> None:
    planned = list(schedule(1200))
    assert planned == sorted(planned)
    kinds = [(kind, app) for _, kind, app in planned]
    for app in ("nginx", "redis", "postgres", "python", "node"):
        assert kinds.count(("rollout", app)) == 1
        assert kinds.count(("scale up", app)) >= kinds.count(("scale down", app)) >= 1
