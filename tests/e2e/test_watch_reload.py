"""A watch whose baselines change while it runs: it takes them, refuses rubbish, and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.finding import Finding
from ethogram.contracts.remote import RecordingUrl, Remote
from tests.e2e.command_line import ethogram, findings_in, running
from tests.e2e.s3_server import s3_gate

pytestmark = pytest.mark.e2e

COMMAND = ("sh", "-c", "for i in 1 2 3; do cat /etc/hostname; done")
STRAYS = ("sh", "-c", "for i in 1 2 3; do cat /etc/hostname; id; done")
LOOP = ("sh", "-c", "while :; do cat /etc/hostname; id; done")
FILE = "_.Command-sh._.baseline.yaml"


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baselines of `sh` that runs `cat`, in `narrow`, and `id` as well, in `wide`."""
    place = tmp_path_factory.mktemp("learnt")
    for name, words in (("narrow", COMMAND), ("wide", STRAYS)):
        done = ethogram("record", "-o", place / f"{name}.rec", "--window", "100ms", "--", *words)
        assert done.returncode == 0, done.stderr
        done = ethogram(
            "learn", "--allow", "thin", "--no-model", f"{name}.rec", "-o", name, cwd=place
        )
        assert done.returncode == 0, done.stderr
    return place


def text(learnt: Path, name: str) -> str:
    return (learnt / name / FILE).read_text()


def until(process: subprocess.Popen[str], words: str) -> str:
    """Return the line of standard error that has *words*; what comes before is read."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended and never said `{words}`")


def until_found(process: subprocess.Popen[str], words: str) -> Finding:
    """Return the finding whose evidence has *words*; what comes before is read."""
    assert process.stdout is not None
    for finding in findings_in(process.stdout):
        if words in finding.evidence.observed:
            return finding
    raise AssertionError(f"it ended and never found `{words}`")


def words(tmp_path: Path, *baselines: str | Path) -> list[str | Path]:
    named = [word for one in baselines for word in ("--baseline", one)]
    return [*named, "--window", "200ms", "--format", "jsonl", "--status", tmp_path / "status.json"]


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def test_it_takes_what_changes_and_keeps_the_old_where_that_is_rubbish(
    learnt: Path, tmp_path: Path
) -> None:
    place = tmp_path / "baselines"
    place.mkdir()
    (place / FILE).write_text(text(learnt, "wide"))
    command = [*words(tmp_path, place), "--", *LOOP]
    with running("watch", *command, ready=tmp_path / "ready") as process:
        until(process, "watching Command/sh by")
        (place / FILE).write_text("rubbish")
        refused = until(process, "the baselines stay as they were")
        assert f"`{place / FILE}` is not a baseline" in refused
        (place / FILE).write_text(text(learnt, "narrow"))
        until(process, "took the baselines anew")
        found = until_found(process, "/usr/bin/id")
        assert found.baseline == FILE
        (place / FILE).unlink()
        until(process, "there is no `*.baseline.yaml`")
        (place / FILE).write_text(text(learnt, "wide"))
        until(process, "took the baselines anew")
        said = end(process)
    assert "nothing lost" in said
    assert "the baselines stay" not in said
    document = json.loads((tmp_path / "status.json").read_text())
    standing = document["baselines"]
    assert (standing["files"], standing["changes"], standing["trouble"]) == (1, 2, None)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    with s3_gate() as gate:
        for name, value in gate.environment().items():
            monkeypatch.setenv(name, value)
        yield Remote(RecordingUrl("s3://shelf/baselines"))


def test_it_takes_what_changes_in_a_store_and_gives_up_its_privileges(
    learnt: Path, tmp_path: Path, shelf: Remote
) -> None:
    filesystem, root = shelf.backend
    filesystem.pipe_file(f"{root}/{FILE}", text(learnt, "wide").encode())
    command = [*words(tmp_path, str(shelf.url)), "--baseline-poll", "300ms", "--", *LOOP]
    with running("watch", *command, ready=tmp_path / "ready") as process:
        assert f"by `{shelf.url}/{FILE}`" in until(process, "watching Command/sh by")
        filesystem.pipe_file(f"{root}/{FILE}", b"rubbish")
        assert f"`{shelf.url}/{FILE}` is not a baseline" in until(process, "stay as they were")
        tasks = Path(f"/proc/{process.pid}/task").glob("*/status")
        permitted = {
            line for task in tasks for line in task.read_text().splitlines() if "CapPrm" in line
        }
        assert len(permitted) == 1, permitted
        filesystem.pipe_file(f"{root}/{FILE}", text(learnt, "narrow").encode())
        until(process, "took the baselines anew")
        until_found(process, "/usr/bin/id")
        end(process)


def test_it_takes_what_was_signed_and_nothing_else_that_comes(learnt: Path, tmp_path: Path) -> None:
    place, key = tmp_path / "baselines", tmp_path / "my.key"
    place.mkdir()
    assert ethogram("sign", "--new-key", key).returncode == 0
    listed = place / "baselines.sig"

    def put(name: str, version: int) -> bytes:
        (place / FILE).write_text(text(learnt, name))
        done = ethogram("sign", place, "--key", key, "--sequence", str(version))
        assert done.returncode == 0, done.stderr
        return listed.read_bytes()

    first = put("wide", 1)
    checked = ["--verify-key", f"{key}.pub", "--verify-state", tmp_path / "state.json"]
    command = [*words(tmp_path, place), *checked, "--", *LOOP]
    with running("watch", *command, ready=tmp_path / "ready") as process:
        until(process, "watching Command/sh by")
        (place / FILE).write_text(text(learnt, "narrow"))
        assert f"`{place / FILE}` is altered" in until(process, "stay as they were")
        put("narrow", 2)
        until(process, "took the baselines anew")
        until_found(process, "/usr/bin/id")
        # What attackers would have: the older baselines, which allowed more.
        (place / FILE).write_text(text(learnt, "wide"))
        listed.write_bytes(first)
        until(process, "is older than what was taken: version 1, after 2")
        end(process)
    standing = json.loads((tmp_path / "status.json").read_text())["baselines"]
    assert "is older than what was taken" in standing["trouble"]
    done = ethogram("watch", "--baseline", place, *checked, "--", "true")
    assert done.returncode == 5
    assert "version 1, after 2" in done.stderr
