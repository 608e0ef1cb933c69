"""`ethogram watch --to`: findings reach a receiver that was down while the watch was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import ethogram, running
from tests.e2e.receivers import Receiver, http_receiver, until

pytestmark = pytest.mark.e2e

STRAYS = ("sh", "-c", "cat /etc/hostname; id; whoami; read line")


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("learnt")
    words = ("record", "-o", "r", "--window", "100ms", "--", "sh", "-c", "cat /etc/hostname")
    done = ethogram(*words, cwd=place)
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin,lossy", "--no-model", "r", "-o", "b", cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "b"


def observed(receiver: Receiver) -> set[str]:
    return {one["evidence"]["observed"] for post in receiver.posts for one in post.json}


def sinks_in(status: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(status.read_bytes()).get("sinks", [])
    except FileNotFoundError:
        return []
    return found


def test_what_a_killed_watch_had_not_sent_is_sent_by_the_next(
    baselines: Path, tmp_path: Path
) -> None:
    with http_receiver() as receiver:
        url = f"webhook+http://127.0.0.1:{receiver.port}/"
    options = (
        "watch", "--baseline", baselines, "--window", "200ms", "--to", url,
        "--to", f"file:{tmp_path}/f.jsonl", "--spool", tmp_path / "spool",
        "--status", tmp_path / "status.json", "--",
    )  # fmt: skip
    with running(*options, *STRAYS, ready=tmp_path / "ready") as process:
        until(lambda: [one["sent"] > 0 for one in sinks_in(tmp_path / "status.json")][1:] == [True])
        down = sinks_in(tmp_path / "status.json")[0]
        process.kill()
        process.wait()
    assert down["state"] == "retrying"
    assert down["error"] == "connection refused"
    assert down["waiting_bytes"] > 0
    told = {
        json.loads(line)["evidence"]["observed"]
        for line in (tmp_path / "f.jsonl").read_text().splitlines()
    }
    assert told
    with http_receiver(port=receiver.port) as again:
        done = ethogram(*options, "sh", "-c", "cat /etc/hostname")
        assert done.returncode == 0, done.stderr
    assert told <= observed(again)
    assert [one["waiting_bytes"] for one in sinks_in(tmp_path / "status.json")] == [0, 0]
    assert f"`{url}`: " in done.stderr
    assert "nothing waits" in done.stderr


@pytest.mark.parametrize(("words", "cause"), [
    ("--to webhok+http://h/", "there is no sink `webhok`"),
    ("--to webhook+http://u:secret@h/", "a URL with credentials"),
    ("--to file:/no/such/place", "there is no directory"),
    ("--to file:f --spool /proc/spool", "cannot be written"),
    ("--spool s", "`--spool` is for findings that go somewhere"),
])  # fmt: skip
def test_a_sink_that_cannot_work_is_said_before_anything_is_attached(
    baselines: Path, tmp_path: Path, words: str, cause: str
) -> None:
    done = ethogram("watch", "--baseline", baselines, *words.split(), "--all", cwd=tmp_path)
    assert done.returncode == 2
    assert cause in done.stderr
    assert "secret" not in done.stderr
