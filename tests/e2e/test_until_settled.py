"""`record --until-settled` on this kernel: it ends where nothing new comes, and never on loss."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path

import pytest

from tests.e2e.command_line import ethogram
from tests.workloads import known

pytestmark = pytest.mark.e2e

# At 0.9 60 steady windows are enough: 6 s, where nothing new comes in any of them.
AIM = ["--window", "100ms", "--startup", "1s", "--until-settled", "0.9"]
# A shell whose child took no interrupt goes on after its own, but where it is told to end.
REPEATING = "trap exit INT; while :; do read line </etc/hostname; /bin/true; sleep 0.02; done"
# Short words: names that differ in numbers, or look drawn, would become one pattern.
EVER_NEW = """
trap exit INT; letters=abcdefghijklmnopqrstuvwxyz; i=0
while :; do
    i=$((i + 1)) n=$i word=
    while ((n)); do word+=${letters:n % 26:1}; n=$((n / 26)); done
    : >"$0/$word"; sleep 0.02
done
"""


def recorded(recording: Path, *words: str | Path) -> tuple[str, dict[str, object]]:
    done = ethogram("record", "-o", recording, *words)
    assert done.returncode == 0, done.stderr
    return done.stderr, json.loads((recording / "manifest.json").read_text())


def test_a_workload_that_repeats_itself_settles(tmp_path: Path) -> None:
    said, manifest = recorded(
        tmp_path / "r", *AIM, "--duration", "100s", "--", "bash", "-c", REPEATING
    )
    assert (manifest["stopped"], manifest["until_settled"]) == ("settled", 0.9)
    assert manifest["clean_end"] is True
    assert "it ended because it had settled\n" in said
    assert "settled: of the windows of Command/bash to come, at least 9" in said
    assert "the command " in said


def test_one_that_shows_ever_new_files_does_not(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir(mode=0o777)
    said, manifest = recorded(
        tmp_path / "r", *AIM, "--duration", "14s", "--", "bash", "-c", EVER_NEW, str(made)
    )
    assert manifest["stopped"] == "duration"
    assert "it ended because" not in said
    assert "not settled: of the windows of Command/bash to come, at least " in said


def test_a_recording_that_lost_something_goes_on(tmp_path: Path) -> None:
    # The recorder stands still, so that one window sees more files than a workload's quota.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        flood = shlex.join(map(str, known(["burst-open", made, 61_000])))
        script = f"kill -STOP $PPID; {flood}; kill -CONT $PPID; {REPEATING}"
        said, manifest = recorded(
            tmp_path / "r", "--window", "250ms", "--startup", "5s", "--until-settled", "0.8",
            "--duration", "17s", "--", "bash", "-c", script,
        )  # fmt: skip
    assert manifest["stopped"] == "duration"
    assert int(str(manifest["losses"])) >= 1_000
    assert "not settled, and will not be: events of Command/bash were lost\n" in said
    assert "it ended because" not in said
