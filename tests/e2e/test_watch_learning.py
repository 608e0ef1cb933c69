"""A watch that records: as well as a recorder beside it, from nothing, and on a full disk."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.containers import Container
from ethogram.contracts.finding import Finding
from ethogram.contracts.manifest import Manifest
from ethogram.contracts.recording import Recording
from tests.e2e.command_line import ethogram, rest_of, running
from tests.e2e.receivers import until
from tests.e2e.recorded import GETPGRP, KNOWN, POD, Record, known_spec

pytestmark = pytest.mark.e2e

LOOP = ("sh", "-c", "while :; do cat /etc/hostname; done")
STRAYS = ("sh", "-c", "while :; do cat /etc/hostname; id; done")


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End *process*; return what it wrote on standard output and error."""
    process.send_signal(signal.SIGINT)
    out, said = rest_of(process)
    assert process.returncode == 0, said
    return out, said


def only_one(place: Path) -> Path:
    """Return the one recording in *place*."""
    (recording,) = place.iterdir()
    return recording


def status_of(path: Path) -> dict[str, Any]:
    try:
        status: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return status


def windows(status: Path) -> int:
    number: int = status_of(status).get("windows", 0)
    return number


# --- beside a recorder ----------------------------------------------------------------------------


def behaviour(record: Record) -> dict[str, Any]:
    """Return what *record* has of the container, without what differs between two sensors."""
    files: Counter[tuple[str, bytes, int]] = Counter()
    for row in record.rows("files"):
        files[row["phase"], row["path"], row["access"]] += row["calls"]
    peers: Counter[tuple[object, ...]] = Counter()
    for row in record.rows("network"):
        peers[row["phase"], row["direction"], row["local_port"]] += row["connections"]
    return {
        "calls": {name: record.calls(name) for name in ("getpgrp", "openat", "listen", "execve")},
        "executed": record.executed(),
        "files": files,
        "peers": peers,
        "workloads": [
            {name: row[name] for name in ("namespace", "kind", "name", "container", "image")}
            for row in record.workloads.values()
        ],
        "phases": {row["phase"] for row in record.rows("coverage")},
        "coverage": {row["state"] for row in record.rows("coverage")},
        "losses": record.rows("losses"),
    }


def said_of(manifest: Manifest) -> dict[str, Any]:
    names = ("host_id", "boot_id", "window_ms", "kernel", "loader", "tier", "programs", "redaction",
             "file_changes", "arguments", "privileges_dropped", "targets", "losses", "clean_end",
             "stopped")  # fmt: skip
    return {name: getattr(manifest, name) for name in names}


def test_a_recorder_and_a_watch_side_by_side_see_the_same_and_lose_nothing(
    busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(
        ["call", GETPGRP, 5], ["listen", 80], ["call", GETPGRP, 23], ["handle", 15],
        ["call", 34, 1], ["call", GETPGRP, 7],
    )  # fmt: skip
    target = ("--namespace", "shop", "--window", "500ms")
    record = ("record", "-o", tmp_path / "rec", *target)
    watch = ("watch", "--unknown", "record", "--learn", tmp_path / "learn", *target)
    with (
        running(*record, ready=tmp_path / "ready.1") as recorder,
        running(*watch, ready=tmp_path / "ready.2") as watcher,
    ):
        with Container(busybox_image, spec) as container:
            container.start(port=80)
            inside = [KNOWN, "call", str(GETPGRP), "11"]
            assert container.exec(*inside).returncode == 0
            container.stop()
        _, recorded = end(recorder)
        _, watched = end(watcher)
    assert "nothing lost" in recorded
    assert watched.count("nothing lost") == 2  # of events, and of rows
    one, other = Record(tmp_path / "rec"), Record(only_one(tmp_path / "learn"))
    assert behaviour(one) == behaviour(other)
    assert behaviour(one)["calls"]["getpgrp"] == {
        "startup": 5, "steady": 23, "exec": 11, "shutdown": 7,
    }  # fmt: skip
    assert said_of(one.recording.manifest) == said_of(other.recording.manifest)
    assert other.recording.manifest.ended is not None
    other.recording.verify()


def test_an_unknown_container_is_told_of_once_and_so_is_its_replica_not(
    busybox_image: Path, tmp_path: Path
) -> None:
    watch = ("watch", "--unknown", "alert", "--all", "--window", "200ms", "--format", "jsonl",
             "--status", tmp_path / "s.json")  # fmt: skip
    pod = replace(POD, name=f"cart-{tmp_path.name}")  # nobody else's, whatever runs here
    spec = replace(known_spec(["listen", 80], ["handle", 15], ["call", 34, 1]), pod=pod)
    with running(*watch, ready=tmp_path / "ready") as process:
        assert process.stdout is not None
        with Container(busybox_image, spec) as container:
            container.start(port=80)
            for line in process.stdout:
                found = Finding.model_validate_json(line)
                if (found.rule, found.workload.name) == ("unknown-workload", pod.name):
                    break
            with Container(busybox_image, spec) as replica:
                replica.start(port=80)
                before = windows(tmp_path / "s.json")
                until(lambda: windows(tmp_path / "s.json") >= before + 3)
                replica.stop()
            container.stop()
        out, _ = end(process)
    assert found.severity == "medium"
    assert found.evidence.observed == f"image cart:1, entry {KNOWN}"
    assert found.process is not None
    assert found.process.exe == KNOWN
    more = [Finding.model_validate_json(line) for line in out.splitlines()]
    told = [one.workload for one in more if one.rule == "unknown-workload"]
    assert pod.name not in {one.name for one in told}
    assert {one.kind for one in told} <= {"Pod", "Container"}


# --- from nothing ---------------------------------------------------------------------------------


def until_line(process: subprocess.Popen[str], words: str) -> str:
    """Return the line of standard error that has *words*; what comes before is read."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended and never said `{words}`")


def test_from_nothing_to_watched_to_accepted(tmp_path: Path) -> None:
    baselines, learn = tmp_path / "baselines", tmp_path / "learn"
    baselines.mkdir()
    common = ("--baseline", baselines, "--learn", learn, "--window", "200ms", "--format", "jsonl")
    first = ("watch", *common, "--unknown", "record", "--status", tmp_path / "s.json", "--", *LOOP)
    with running(*first, ready=tmp_path / "ready.1") as process:
        until_line(process, "no baseline is for Command/sh")
        until(lambda: windows(tmp_path / "s.json") >= 3)
        end(process)
    words = ("--allow", "thin,enforced", "--no-model")
    done = ethogram("learn", learn, "-o", tmp_path / "new", *words)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "new").iterdir()
    shutil.copy(file, baselines)

    with running("watch", *common, "--", *STRAYS, ready=tmp_path / "ready.2") as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = Finding.model_validate_json(line)
            if "/usr/bin/id" in found.evidence.observed and found.rule == "deviation-execs":
                break
        end(process)
    assert len(list(learn.iterdir())) == 2
    recording = max(learn.iterdir())
    assert found.recording_id == Recording.open(recording).manifest.recording_id
    assert ("startup", "/usr/bin/id") in Record(recording).executed()
    words = ("--reason", "SHOP-12", "--expires", "2999-01-01", "--author", "alice")
    done = ethogram("accept", line, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "baselines", "--overlay", "accepted.yaml", "-o", "all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "/usr/bin/id" in next((tmp_path / "all").iterdir()).read_text()


# --- on a full disk -------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_stops_no_watch_and_is_counted(disk: Path, tmp_path: Path) -> None:
    status = tmp_path / "s.json"

    def state() -> str:
        recording = status_of(status).get("recording") or {}
        return str(recording.get("state"))

    words = ("watch", "--unknown", "record", "--learn", disk / "learn", "--window", "200ms",
             "--status", status, "--", *LOOP)  # fmt: skip
    with running(*words, ready=tmp_path / "ready") as process:
        until(lambda: state() == "recording")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(10_000_000))
        until(lambda: state() == "full")
        before = windows(status)
        until(lambda: windows(status) >= before + 2)
        ballast.unlink()
        until(lambda: state() == "recording")
        _, said = end(process)
    assert "takes no rows, for want of room or time" in said
    lost = status_of(status)["recording"]["lost"]
    assert lost > 0
    assert f"takes rows again, {lost:,} rows later" in said
    recording = Recording.open(only_one(disk / "learn"))
    recording.verify()
    losses = recording.table("losses").to_pylist()
    assert [(row["kind"], row["place"], row["count"]) for row in losses] == [
        ("disk", "journal", lost)
    ]
    assert recording.manifest.losses == lost
