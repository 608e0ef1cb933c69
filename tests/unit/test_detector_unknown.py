"""Workloads without a baseline: told once each, or recorded alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector.baselines import Baselines
from detector.library import Library
from detector.live import Live
from detector.sensor.kept_findings import KeptFinding
from detector.unknown import RULE, OnlyUnknown, UnknownWorkloads
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.finding import Finding
from ethogram.contracts.recording import Recording
from ethogram.errors import BaselineError
from profiler.journal import Journal
from profiler.sink import Both
from tests.baselines import make_baseline
from tests.recordings import START_NS, WINDOW_NS, make_manifest
from tests.replay import Replay

pytestmark = pytest.mark.unit

POD = {
    "workload": 1, "namespace": "shop", "kind": "Deployment", "name": "cart", "container": "web",
    "image": "shop/cart:2", "image_digest": "sha256:" + "c" * 64,
}  # fmt: skip
EXECUTABLES = [{"exe": 1, "path": b"/usr/sbin/nginx"}, {"exe": 2, "path": b"/usr/sbin/runc"}]


@pytest.fixture
def baselines(tmp_path: Path) -> Path:
    """A baseline of something else."""
    place = tmp_path / "baselines"
    place.mkdir()
    (place / "a.baseline.yaml").write_text(dump_baseline(make_baseline()))
    return place


def alerting(baselines: Path) -> Replay:
    replay = Replay(baselines)
    unknown = UnknownWorkloads(replay.watched, replay.judge.findings)

    def judge(live: Live, between: Any) -> None:
        replay.judge.judge(live, between)
        unknown.take(live)

    replay.live = Live(make_manifest(), judge)
    return replay


@pytest.fixture
def replay(baselines: Path) -> Replay:
    return alerting(baselines)


def instance(number: int = 1, *, workload: int = 1, observed: str = "live") -> dict[str, Any]:
    return {
        "instance": number, "workload": workload, "runtime_id": f"{number:064x}",
        "observed": observed,
    }  # fmt: skip


def entry(number: int = 1, *, exe: int = 1, phase: str = "startup") -> dict[str, Any]:
    return {
        "instance": number, "workload": 1, "exec_id": f"p{number}{exe}", "tgid": 7, "exe": exe,
        "phase": phase, "start": START_NS, "argv": [b"nginx"],
    }  # fmt: skip


def coverage(number: int = 1, *, workload: int = 1) -> dict[str, Any]:
    return {"workload": workload, "instance": number, "observed_ns": WINDOW_NS}


def begin(replay: Replay, window: int = 0, **columns: Any) -> list[Finding]:
    return replay.rows(
        window, workloads=[POD | columns], instances=[instance()], executables=EXECUTABLES,
        processes=[entry()], coverage=[coverage()],
    )  # fmt: skip


def test_it_is_told_once_with_image_and_entry_and_no_replica_is_told_of(replay: Replay) -> None:
    (found,) = begin(replay)
    assert (found.rule, found.severity, found.layer) == (RULE, "medium", "deviation")
    assert found.evidence.observed == (
        f"image shop/cart:2, sha256:{'c' * 64}, entry /usr/sbin/nginx"
    )
    assert found.workload_state == "unknown"
    assert found.process is not None
    assert found.process.argv == ("nginx",)
    assert found.container_id == f"{1:064x}"
    again = replay.rows(
        1, instances=[instance(2)], processes=[entry(2)], coverage=[coverage(), coverage(2)]
    )
    assert again == []
    assert replay.watched.statuses()[0].findings == 1


def test_the_next_watch_tells_of_no_other_replica_either(replay: Replay, baselines: Path) -> None:
    (found,) = begin(replay)
    after = alerting(baselines)
    kept = KeptFinding(found.line().encode(), {found.instance_key})
    after.judge.findings.recall({found.fingerprint: kept})
    rows = {"workloads": [POD], "executables": EXECUTABLES, "processes": [entry(2)]}
    both = [instance(1, observed="snapshot"), instance(2)]
    assert after.rows(0, **rows, instances=both, coverage=[coverage(), coverage(2)]) == []


def test_the_container_runtime_is_not_its_entry_which_is_waited_for(replay: Replay) -> None:
    rows = {"workloads": [POD], "instances": [instance()], "executables": EXECUTABLES}
    runtime = entry(exe=2, phase="runtime")
    assert replay.rows(0, **rows, processes=[runtime], coverage=[coverage()]) == []
    (found,) = replay.rows(1, coverage=[coverage()])  # 5 s later it is told without
    assert "entry" not in found.evidence.observed
    assert found.process is None


def test_what_ran_before_the_watch_is_low(replay: Replay) -> None:
    (found,) = replay.rows(
        0, workloads=[POD], instances=[instance(observed="snapshot")], coverage=[coverage()]
    )
    assert found.severity == "low"
    assert "before the watch began" in found.reason


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "pending"},
        {"container": "POD"},
        {"container": None},
        {"kind": "Unit", "name": "cron.service", "container": None},
    ],
    ids=["unnamed", "sandbox", "pod", "host"],
)
def test_what_nobody_rolled_out_is_not_told_of(replay: Replay, columns: dict[str, Any]) -> None:
    assert begin(replay, **columns) == []


def test_a_name_that_comes_late_is_told(replay: Replay) -> None:
    assert begin(replay, state="pending") == []
    (found,) = replay.rows(1, workloads=[POD], coverage=[coverage()])
    assert found.workload.name == "cart"


def test_a_workload_with_a_baseline_is_not_told_of(replay: Replay) -> None:
    subject = make_baseline().match
    known = {"kind": subject.kind, "name": subject.name, "container": subject.container or "web"}
    assert RULE not in {one.rule for one in begin(replay, **known)}


# --- record ---------------------------------------------------------------------------------------


def test_of_unknown_workloads_alone_everything_is_recorded(replay: Replay, tmp_path: Path) -> None:
    match = make_baseline().match
    known = POD | {
        "workload": 2, "kind": match.kind, "name": match.name,
        "container": match.container or "web", "namespace": match.namespace or "shop",
    }  # fmt: skip
    journal = Journal.create(tmp_path / "rec", make_manifest())
    live = replay.live
    replay.live = Both(live, OnlyUnknown(journal, live, replay.watched))  # type: ignore[assignment]  # both are sinks
    files = [
        {"workload": number, "instance": number, "exe": 1, "path": b"/%d" % number, "calls": 1}
        for number in (1, 2)
    ]
    seen = {"files": files, "coverage": [coverage(), coverage(2, workload=2)]}
    replay.rows(
        0, workloads=[POD, known], instances=[instance(), instance(2, workload=2)],
        executables=EXECUTABLES, processes=[entry(), entry(2) | {"workload": 2}], **seen,
    )  # fmt: skip
    replay.rows(1, **seen)
    replay.watched.replace(Library(()))  # its baseline went
    replay.rows(2, **seen)
    journal.close()
    recording = Recording.open(tmp_path / "rec")
    rows = recording.table("files").to_pylist()
    assert [(row["window"], row["workload"]) for row in rows] == [(0, 1), (1, 1), (2, 1), (2, 2)]
    assert sorted(recording.table("workloads").column("workload").to_pylist()) == [1, 2]
    assert sorted(recording.table("instances").column("instance").to_pylist()) == [1, 2]
    assert sorted(recording.table("processes").column("exec_id").to_pylist()) == ["p11", "p21"]
    assert recording.table("windows").num_rows == 3
    covered = recording.table("coverage").to_pylist()
    assert [(row["window"], row["workload"]) for row in covered] == [
        (0, 1), (1, 1), (2, 1), (2, 2),
    ]  # fmt: skip


# --- without a baseline ---------------------------------------------------------------------------


def test_a_directory_may_be_empty_until_there_was_a_baseline(tmp_path: Path) -> None:
    place = tmp_path / "baselines"
    place.mkdir()
    baselines = Baselines([place], may_lack=True)
    assert baselines.load().known == ()
    file = place / "a.baseline.yaml"
    file.write_text(dump_baseline(make_baseline()))
    assert len(baselines.load().known) == 1
    file.unlink()
    with pytest.raises(BaselineError, match="there is no"):
        baselines.load()


def test_a_recording_is_no_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BaselineError, match="is a recording"):
        Baselines([tmp_path], may_lack=True).load()
