"""All that stood in the way of watching is stated, and some of it is refused unless allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, load_baselines, parse_baseline
from ethogram.contracts.quality import grounds_of, states_of
from ethogram.contracts.recording import Recording
from learner.learn import learn
from learner.summary import merge, summarize
from tests.baselines import make_baseline
from tests.recordings import START_NS, WINDOW_NS, make_recording

pytestmark = pytest.mark.unit

LONG = 60  # windows of 5 s: five minutes
REFUSED = {"nr": 272, "action": "errno", "errno": 38, "calls": 3}


def tables(
    windows: int = LONG, phase: str = "steady", **instance: Any
) -> dict[str, list[dict[str, Any]]]:
    mine = [{"window": w, "workload": 1, "instance": 1, "phase": phase} for w in range(windows)]
    return {
        "workloads": [{"workload": 1, "kind": "Unit", "name": "web", "container_kind": "none"}],
        "instances": [{"instance": 1, "workload": 1, "runtime_id": "r1"} | instance],
        "coverage": [row | {"observed_ns": WINDOW_NS, "state": "complete"} for row in mine],
        "syscalls": [row | {"nr": 0, "calls": 1} for row in mine],
    }


def learnt(path: Path, *recordings: dict[str, list[dict[str, Any]]], **manifest: Any) -> Baseline:
    path.mkdir(exist_ok=True)
    made = [
        make_recording(path / f"r{n}", manifest={"recording_id": f"r{n}"} | manifest, **each)
        for n, each in enumerate(recordings)
    ]
    (baseline,) = learn(merge(summarize(Recording.open(each)) for each in made))
    return baseline


def test_five_steady_minutes_of_one_instance_are_enough(tmp_path: Path) -> None:
    observation = learnt(tmp_path, tables()).observation
    assert (observation.state, observation.reasons) == ("complete", ())
    assert (observation.steady_seconds, observation.wall_seconds) == (300.0, 300.0)
    assert grounds_of(observation) == {}


@pytest.mark.parametrize(
    ("given", "reasons"), [(tables(LONG - 1), ("short",)), (tables(3, "startup"), ("no-steady",))]
)
def test_less_is_thin(tmp_path: Path, given: Any, reasons: Any) -> None:
    observation = learnt(tmp_path, given).observation
    assert observation.state == "complete"
    assert grounds_of(observation) == {"thin": reasons}


def test_two_runs_to_an_end_of_their_own_are_enough(tmp_path: Path) -> None:
    first, second = (tables(1, "startup", ended=START_NS + WINDOW_NS, runtime_id=n) for n in "ab")
    assert grounds_of(learnt(tmp_path / "one", first).observation) == {"thin": ("no-steady",)}
    assert grounds_of(learnt(tmp_path / "two", first, second).observation) == {}
    assert learnt(tmp_path / "runs", first, second).observation.runs == 2


def test_a_service_that_was_stopped_has_not_run_to_its_end(tmp_path: Path) -> None:
    stopped = [tables(1, "shutdown", ended=START_NS + WINDOW_NS, runtime_id=n) for n in "ab"]
    assert learnt(tmp_path, *stopped).observation.runs == 0


def test_a_command_has_run_to_its_end_when_it_exited(tmp_path: Path) -> None:
    given = tables(1, "startup")
    given["workloads"][0] |= {"kind": "Command"}
    exited = {"command": {"argv": ("job",), "exit_status": 0}}
    assert learnt(tmp_path, given, **exited).observation.runs == 1


def test_overlapping_instances_were_watched_once_and_gaps_not_at_all(tmp_path: Path) -> None:
    given, later = tables(), tables(runtime_id="r2")
    given["instances"].append(given["instances"][0] | {"instance": 2, "runtime_id": "r3"})
    given["coverage"] += [row | {"instance": 2} for row in given["coverage"]]
    day = 24 * 3600 * 10**9
    starts = [START_NS + day + number * WINDOW_NS for number in range(LONG)]
    later["windows"] = [
        {"window": number, "start": start, "end": start + WINDOW_NS}
        for number, start in enumerate(starts)
    ]
    observation = learnt(tmp_path, given, later).observation
    assert (observation.steady_seconds, observation.wall_seconds) == (900.0, 600.0)


def test_every_reason_is_stated_beside_the_gravest_state(tmp_path: Path) -> None:
    given = tables(1, seccomp_mode=2, observed="snapshot")
    given["coverage"][0]["state"] = "blind"
    given["denied"] = [{"workload": 1, "instance": 1, "exec_id": "x"} | REFUSED]
    given["losses"] = [{"workload": 1, "instance": 1, "kind": "ring_full", "place": "events"}]
    given["losses"][0]["count"] = 7
    observation = learnt(tmp_path, given, clean_end=False, tier="calls").observation
    assert observation.state == "enforced"
    assert observation.reasons == (
        "filter", "refused", "lost", "blind", "killed", "no-start", "tier", "short",
    )  # fmt: skip
    assert observation.refused == ("unshare",)
    assert states_of(observation) == ("enforced", "lossy", "partial")
    assert set(grounds_of(observation)) == {"enforced", "lossy", "thin"}


def test_a_filter_that_refused_nothing_is_stated_and_not_refused(tmp_path: Path) -> None:
    given = tables(seccomp_mode=2)
    given["denied"] = [{"workload": 1, "instance": 1} | REFUSED | {"action": "log", "errno": None}]
    observation = learnt(tmp_path, given).observation
    assert (observation.state, observation.reasons) == ("enforced", ("filter",))
    assert grounds_of(observation) == {}


def test_a_filter_whose_refusals_nobody_looked_at_is_refused(tmp_path: Path) -> None:
    observation = learnt(tmp_path, tables(seccomp_mode=2), tier="light").observation
    assert grounds_of(observation) == {"enforced": ("refused",)}


def test_a_baseline_of_an_earlier_version_has_its_one_state() -> None:
    assert states_of(make_baseline("read", state="lossy").observation) == ("lossy",)


def test_thin_recordings_teach_nothing_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = make_recording(tmp_path / "r", **tables(3))
    words = ["learn", str(recording), "-o", str(tmp_path / "b")]
    assert run(words) == 4
    assert not (tmp_path / "b").exists()
    assert capsys.readouterr().err == (
        "thin: Unit/web: steady for 15 s of at least 300 s, and not seen to run to its end 2 times"
        "\nerror: nothing was learnt: 1 of 1 workload is thin\n\nhint: record for longer or more "
        "than once, or pass `--allow thin`: the baseline will say so\n"
    )
    assert run([*words, "--allow", "thin"]) == 0
    assert "learnt with `--allow thin`" in capsys.readouterr().out
    ((file, baseline),) = load_baselines(tmp_path / "b")
    assert baseline.observation.allowed == ("thin",)
    assert parse_baseline(file.read_text()) == baseline


def test_each_kind_has_to_be_allowed_and_only_what_was_needed_is_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tables(3)
    given["losses"] = [{"kind": "ring_full", "place": "events", "count": 1}]
    recording = make_recording(tmp_path / "r", **given)
    words = ["learn", str(recording), "-o", str(tmp_path / "b")]
    assert run([*words, "--allow", "thin"]) == 4
    printed = capsys.readouterr().err
    assert "lossy: Unit/web: 1 event lost (ring_full)\n" in printed
    assert "pass `--allow thin,lossy`" in printed
    assert run([*words, "--allow", "thin,lossy", "--allow", "enforced"]) == 0
    ((_, baseline),) = load_baselines(tmp_path / "b")
    assert baseline.observation.allowed == ("lossy", "thin")


def test_what_was_allowed_is_said_at_the_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = make_recording(tmp_path / "r", **tables(3))
    baselines, policies = str(tmp_path / "b"), str(tmp_path / "p")
    assert run(["learn", str(recording), "-o", baselines, "--allow", "thin"]) == 0
    capsys.readouterr()
    assert run(["export", baselines, "--to", "seccomp", "-o", policies, "--allow", "thin"]) == 0
    assert (
        "warning: seccomp: learnt with `--allow thin`: steady for 15 s" in capsys.readouterr().err
    )


def test_an_unknown_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = make_recording(tmp_path / "r", **tables(3))
    words = ["learn", str(recording), "-o", str(tmp_path / "b"), "--allow", "short"]
    assert run(words) == 2
    assert "`short` is none of `thin`, `lossy`, `enforced`" in capsys.readouterr().err
