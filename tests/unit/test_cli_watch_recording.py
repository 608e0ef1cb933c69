"""`watch --learn` and `--unknown`: which options make sense together, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detector.library import Library
from detector.options import WatchResult, WorkloadStatus
from ethogram.cli.run import run
from ethogram.cli.watch import conclude
from ethogram.cli.watch_recording import RecordingScreen, ending_of_recording
from ethogram.contracts.baseline import Subject
from ethogram.errors import BaselineError
from profiler.options import Keeping

pytestmark = pytest.mark.unit

KEPT = Keeping(place="learn/now", recording_id="r", state="recording", windows=3, lost=0, waiting=0)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("--all", "`--baseline` is missing"),
        ("--learn l --all", "`--baseline` is missing"),
        ("--unknown record --all", "does not say where to"),
        ("--unknown alert --unknown-to l --all", "is for `--unknown record`"),
        ("--unknown record --learn l --unknown-to m --all", "has nothing to add"),
        ("--unknown alert --retain 7d --all", "`--retain` is for a recording"),
        ("--unknown record --learn rec --all", "is a recording, not a directory of recordings"),
        ("--unknown record --learn file --all", "is not a directory"),
        ("--unknown record --learn no/such --all", "cannot be made"),
        ("--unknown record --learn l --retain 1m --all", "shorter than `--rotate-every`"),
        ("--unknown record --learn memory://l --all", "is gone when the command ends"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    words: str,
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "manifest.json").write_text("{}")
    (tmp_path / "file").write_text("")
    assert run(["watch", *words.split()]) == 2
    assert cause in capsys.readouterr().err


def test_a_recording_that_fails_is_said_once() -> None:
    screen = RecordingScreen()
    assert list(screen.take(None)) == []
    assert list(screen.take(KEPT)) == []
    full = replace(KEPT, state="full", lost=7)
    (said,) = screen.take(full)
    assert "takes no rows" in said
    assert list(screen.take(full)) == []
    (said,) = screen.take(replace(KEPT, lost=7))
    assert said == "`learn/now` takes rows again, 7 rows later"
    (said,) = screen.take(replace(KEPT, state="failed", trouble="no disk"))
    assert said == "warning: the recording failed: no disk; the watch goes on without it"


def test_the_end_says_what_was_recorded_and_what_to_do_with_it() -> None:
    assert list(ending_of_recording(None, teaches=True)) == []
    ended = replace(KEPT, state="ended", lost=1)
    assert list(ending_of_recording(ended, teaches=True)) == [
        "recorded `learn/now`: 3 windows; 1 row lost",
        "next: ethogram learn learn/now -o baselines",
    ]
    assert len(list(ending_of_recording(ended, teaches=False))) == 1
    failed = replace(KEPT, state="failed", trouble="no disk")
    assert list(ending_of_recording(failed, teaches=True))[1] == (
        "warning: the recording did not end well: no disk"
    )


def test_who_records_or_tells_of_unknown_workloads_needs_no_baseline() -> None:
    status = WorkloadStatus(Subject(kind="Command", name="x"), "unknown", "why", None, 1, 0)
    result = WatchResult(
        windows=1, calls=1, lost=0, findings=0, worst=None, workloads=(status,), unmatched=(),
        command_exit=None,
    )  # fmt: skip
    conclude(result, Library(()), fail_on=None, max_loss=None, may_lack=True)
    with pytest.raises(BaselineError):
        conclude(result, Library(()), fail_on=None, max_loss=None)
    with pytest.raises(BaselineError, match="nothing of the target ran"):
        conclude(
            replace(result, workloads=()), Library(()), fail_on=None, max_loss=None, may_lack=True
        )
