"""`watch` without a kernel: what is said of states, and how it exits."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import Any, cast

import click
import pytest

from detector.library import Known, Library
from detector.options import BaselinesStatus, WatchResult, WindowStatus, WorkloadStatus
from detector.states import NAME_TO_COME, NO_BASELINE, StateChange
from ethogram.cli.findings_screen import printer
from ethogram.cli.run import run
from ethogram.cli.watch import DEVIATION, conclude
from ethogram.cli.watch_screen import WatchScreen, listed, summary
from ethogram.cli.watch_status import StatusFile
from ethogram.contracts.baseline import Match, Subject, dump_baseline
from ethogram.contracts.finding import Finding
from ethogram.contracts.incident import Incident
from ethogram.errors import BaselineError, CaptureError, UsageError
from tests.baselines import make_baseline
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

CHECKOUT = Subject(namespace="shop", kind="Deployment", name="checkout", container="nginx")
OTHER = Subject(kind="Unit", name="ssh.service")


# --- states and progress --------------------------------------------------------------------------


def change(after: str, *, before: str | None = None, subject: Subject = CHECKOUT) -> StateChange:
    reason = {"unknown": NO_BASELINE, "ok": "everything was seen"}.get(after, "why not")
    return StateChange(
        workload_key="key", subject=subject, before=before, after=after, reason=reason,
        baseline=None if after == "unknown" else Path("c.yaml"), time="2026-11-23T06:00:01Z",
    )  # type: ignore[arg-type]  # fmt: skip


def window(**fields: Any) -> WindowStatus:
    whole = {
        "window": 4, "calls": 1234, "lost": 0, "findings": 1, "workloads": (standing(),),
        "baselines": BaselinesStatus(3, "2026-11-23T06:00:00Z", 1, "why not"),
    }  # fmt: skip
    return WindowStatus(**cast(Any, whole | fields))


def standing(state: str = "ok", subject: Subject = CHECKOUT, **fields: Any) -> WorkloadStatus:
    whole = {
        "subject": subject, "state": state, "reason": "why not", "baseline": Path("c.yaml"),
        "instances": 2, "findings": 0,
    }  # fmt: skip
    return WorkloadStatus(**cast(Any, whole | fields))


def test_states_are_said_as_they_change(capsys: pytest.CaptureFixture[str]) -> None:
    screen = WatchScreen(printer("text"), has_progress=True)
    screen.on_state(change("ok"))
    screen.on_state(change("learning", subject=OTHER))
    screen.on_state(change("degraded", before="ok"))
    screen.close()
    captured = capsys.readouterr()
    assert captured.err == (
        "watching shop/Deployment/checkout (nginx) by `c.yaml`\n"
        "watching Unit/ssh.service by `c.yaml`: learning: why not\n"
        "shop/Deployment/checkout (nginx): ok -> degraded: why not\n"
    )
    assert captured.out == ""


def test_workloads_without_a_baseline_are_said_together(capsys: pytest.CaptureFixture[str]) -> None:
    screen = WatchScreen(printer("text"), has_progress=True)
    for number in range(8):
        screen.on_state(change("unknown", subject=Subject(kind="Unit", name=f"u{number}")))
    screen.on_window(window())
    screen.on_window(window())
    assert capsys.readouterr().err == (
        "no baseline is for Unit/u0, Unit/u1, Unit/u2, Unit/u3, Unit/u4 and 3 more\n"
    )


class Says:
    def show(self, _: Finding) -> None:
        print("a finding", file=sys.stderr)

    def show_incident(self, incident: Incident) -> None:
        raise AssertionError(incident)

    def settle(self) -> None:
        pass


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_of_progress_that_findings_push_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", err := Terminal())
    screen = WatchScreen(Says(), has_progress=True)
    screen.on_window(window())
    screen.on_finding(cast(Finding, None))
    screen.on_window(window(calls=10**60))
    screen.close()
    clear = "\r\x1b[2K"
    parts = err.getvalue().split(clear)
    assert parts[1] == (
        "watching 1 workload: 5 windows, 1,234 calls, nothing lost; 1 finding; Ctrl-C en"
    )
    assert parts[2] == "a finding\n"
    assert len(parts[3]) == 79
    assert parts[4] == ""


def test_beside_a_command_there_is_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", err := Terminal())
    screen = WatchScreen(printer("text"), has_progress=False)
    screen.on_window(window())
    screen.close()
    assert err.getvalue() == ""


def test_another_reason_of_an_unknown_state_is_said_unless_a_name_is_to_come(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = WatchScreen(printer("text"), has_progress=True)
    screen.on_state(dataclasses.replace(change("unknown"), reason="`a` and `b` apply equally"))
    screen.on_state(dataclasses.replace(change("unknown"), reason=NAME_TO_COME))
    assert capsys.readouterr().err == (
        "watching shop/Deployment/checkout (nginx): unknown: `a` and `b` apply equally\n"
    )


def test_names_are_listed_once_and_in_order() -> None:
    assert listed(["b"]) == "b"
    assert listed(["b", "a", "b"]) == "a and b"
    assert listed("dacbe") == "a, b, c, d and e"
    assert listed("abcdef") == "a, b, c, d, e and 1 more"


# --- the status file ------------------------------------------------------------------------------


def test_the_status_is_replaced_after_each_window_and_at_the_end(tmp_path: Path) -> None:
    status = StatusFile(tmp_path / "status.json")
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "starting"
    status.take(window())
    document = json.loads((tmp_path / "status.json").read_text())
    assert document.pop("time").endswith("Z")
    assert document.pop("pid")
    assert document == {
        "schema": "ethogram.watch-status/1",
        "state": "watching",
        "windows": 5,
        "calls": 1234,
        "lost": 0,
        "findings": 1,
        "incidents": 0,
        "suppressions": None,
        "baselines": {
            "files": 3, "loaded": "2026-11-23T06:00:00Z", "changes": 1, "trouble": "why not",
        },
        "workloads": [
            {
                "workload": {
                    "namespace": "shop", "kind": "Deployment", "name": "checkout",
                    "container": "nginx", "selector": {},
                },
                "state": "ok", "reason": "why not", "baseline": "c.yaml",
                "instances": 2, "findings": 0,
            }
        ],
        "recording": None,
        "sensor": None,
        "sinks": [],
        "failing": [],
        "anomaly": None,
    }  # fmt: skip
    status.take(window(window=5, lost=7))
    status.end()
    document = json.loads((tmp_path / "status.json").read_text())
    assert (document["state"], document["windows"], document["lost"]) == ("ended", 6, 7)
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_status_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: no such file"):
        StatusFile(tmp_path / "gone" / "status.json")


def test_a_status_that_the_watch_may_not_write_ends_it_in_the_first_window(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    status = StatusFile(place / "status.json")
    place.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="cannot be written"):
        status.take(window())


def test_a_status_that_fails_later_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    status = StatusFile(place / "status.json")
    status.take(window())
    place.rename(tmp_path / "moved")
    for _ in range(3):
        status.take(window())
    assert capsys.readouterr().err.count("cannot be written") == 1
    (tmp_path / "moved").rename(place)
    status.take(window(window=8))
    assert json.loads((place / "status.json").read_text())["windows"] == 9


# --- how it ends ----------------------------------------------------------------------------------


def known(file: str = "c.yaml", **match: Any) -> Known:
    one = make_baseline("read")
    who = one.match.model_dump() | match
    one = one.model_copy(update={"match": Match.model_validate(who)})
    return Known.of(Path(file), one)


LIBRARY = Library([known()])


def result(*workloads: WorkloadStatus, **fields: Any) -> WatchResult:
    whole = {
        "windows": 5, "calls": 1234, "lost": 0, "findings": 0, "worst": None,
        "workloads": workloads, "unmatched": (), "command_exit": None,
    }  # fmt: skip
    return WatchResult(**cast(Any, whole | fields))


UNKNOWN = standing("unknown", OTHER, baseline=None)


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (
            result(standing()),
            ["  ok         shop/Deployment/checkout (nginx), 2 instances, 0 findings",
             "no findings: nothing strayed from the baselines"],
        ),
        (
            result(standing("degraded", findings=1), UNKNOWN, findings=2, worst="high", lost=3),
            ["  degraded   shop/Deployment/checkout (nginx), 2 instances, 1 finding: why not",
             "  unknown    Unit/ssh.service",
             "2 findings, the worst of severity high"],
        ),
        (
            result(standing("blind")),
            ["  blind      shop/Deployment/checkout (nginx), 2 instances, 0 findings: why not",
             "no findings in what was seen: not everything was"],
        ),
        (result(UNKNOWN), ["  unknown    Unit/ssh.service", "no findings"]),
    ],
)  # fmt: skip
def test_the_summary_ends_in_what_counts(found: WatchResult, lines: list[str]) -> None:
    first, *rest = summary(found, LIBRARY.known)
    lost = "3 events lost" if found.lost else "nothing lost"
    assert first.endswith(f"for 5 windows: 1,234 calls; {lost}")
    assert rest == lines


def test_a_baseline_that_was_for_nothing_is_named() -> None:
    others = [known(), known("other.yaml", name="cart", namespace="shop-*")]
    said = list(summary(result(standing(), unmatched=(Path("other.yaml"),)), others))
    assert said[-2] == (
        "warning: `other.yaml` was for nothing that ran here: "
        "it is for Deployment/cart (nginx) in namespace shop-*"
    )


@pytest.mark.parametrize(
    ("worst", "fail_on", "fails"),
    [
        (None, "info", False),
        ("medium", None, False),
        ("medium", "high", False),
        ("medium", "medium", True),
        ("critical", "medium", True),
    ],
)
def test_a_finding_as_grave_as_asked_fails(
    worst: str | None, fail_on: str | None, fails: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = result(standing(), worst=worst, findings=worst is not None)
    assert exit_of(found, fail_on=fail_on) == (DEVIATION if fails else 0)
    assert ("failed:" in capsys.readouterr().err) is fails


def exit_of(found: WatchResult, *, fail_on: str | None = None, max_loss: int | None = None) -> int:
    try:
        conclude(found, LIBRARY, fail_on=fail_on, max_loss=max_loss)
    except click.exceptions.Exit as done:
        return done.exit_code
    return 0


def test_too_much_loss_fails_unless_a_finding_does(capsys: pytest.CaptureFixture[str]) -> None:
    lossy = result(standing("degraded"), lost=5, worst="high", findings=1)
    assert exit_of(lossy, max_loss=5) == 0
    with pytest.raises(CaptureError, match="5 events lost, more than the 4 allowed"):
        exit_of(lossy, max_loss=4)
    assert exit_of(lossy, max_loss=4, fail_on="high") == DEVIATION
    assert "warning: 5 events lost, more than the 4 allowed" in capsys.readouterr().err


def test_no_match_names_what_ran_and_what_the_baselines_are_for() -> None:
    with pytest.raises(BaselineError) as caught:
        exit_of(result(UNKNOWN))
    assert caught.value.message == "no baseline is for what ran here: Unit/ssh.service"
    assert "they are for Deployment/checkout (nginx);" in str(caught.value.hint)


def test_a_target_of_which_nothing_ran_is_an_error() -> None:
    with pytest.raises(BaselineError, match="nothing of the target ran while it was watched"):
        exit_of(result())


# --- what is refused before anything is attached --------------------------------------------------


def write(place: Path, *files: str, **match: Any) -> Path:
    place.mkdir(exist_ok=True)
    for file in files:
        (place / f"{file}.baseline.yaml").write_text(dump_baseline(known(**match).baseline))
    return place


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Return exit code, cause and hint of `ethogram watch WORDS... --all`."""
    code = run(["watch", "--all", *map(str, words)])
    said = capsys.readouterr()
    cause, _, hint = said.err.partition("\n\nhint: ")
    assert cause.startswith("error: ")
    assert said.out == ""
    return code, cause, hint


def test_baselines_that_overlap_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, cause, hint = refused(capsys, "--baseline", write(tmp_path / "b", "one", "two"))
    assert code == 5
    assert "one.baseline.yaml` and `" in cause
    assert "match.namespace" in hint


def test_a_recording_or_a_summary_is_no_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = shop_recording(tmp_path / "r")
    code, cause, hint = refused(capsys, "--baseline", recording)
    assert (code, "is a recording, not baselines" in cause) == (5, True)
    assert f"ethogram learn {recording}" in hint
    assert run(["summarize", str(recording), "-o", str(tmp_path / "s.summary.parquet")]) == 0
    capsys.readouterr()
    code, cause, _ = refused(capsys, "--baseline", tmp_path / "s.summary.parquet")
    assert (code, "is not a baseline" in cause) == (5, True)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_baselines_that_are_not_there_are_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    code, cause, _ = refused(capsys, "--baseline", tmp_path / name)
    assert (code, "there is no " in cause) == (5, True)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("schema: ethogram.map/1\nnamespaces: {bank: shop}\n", "maps nothing here"),
        ("schema: ethogram.map/1\nnamespace: {}\n", "`namespace`"),
        ("schema: ethogram.baseline/1\n", "is a baseline, not a map"),
    ],
)
def test_a_wrong_map_is_refused(
    text: str, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "map.yaml").write_text(text)
    words = ["--baseline", write(tmp_path / "b", "one"), "--map", tmp_path / "map.yaml"]
    code, said, hint = refused(capsys, *words)
    assert (code, cause in said, bool(hint)) == (2, True, True)


@pytest.mark.parametrize("option", ["--ready-file", "--status"])
def test_a_file_needs_a_directory_to_be_in(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--baseline", write(tmp_path / "b", "one"), option, tmp_path / "no" / "file"]
    code, cause, hint = refused(capsys, *words)
    assert (code, f"`{option}`: there is no directory" in cause) == (2, True)
    assert hint.startswith("`mkdir -p")
