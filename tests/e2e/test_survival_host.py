"""What a recording says when the host changes under it: clocks, process ids, cgroups."""

from __future__ import annotations

import itertools
import secrets
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ethogram.contracts.manifest import read_manifest
from ethogram.contracts.recording import Recording
from profiler.identity.hierarchy import unified_mount
from tests.e2e.command_line import ethogram, running
from tests.e2e.stepped import stepping
from tests.workloads import known

pytestmark = pytest.mark.e2e

# Makes the kernel give the same process id again and again; exits tell which time it was.
REUSE = """
import os
wanted = (os.getpid() + 15000) % 30000 + 1500
for number in range(300):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(wanted - 1))
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {number % 250}"], {})
    os.waitpid(pid, 0)
"""
HOUR_NS = 3600 * 10**9
LOOP = ("sh", "-c", "while :; do cat /etc/hostname; done")


def rows_of(recording: Recording, name: str) -> list[dict[str, Any]]:
    """Return rows with times as the numbers that they are."""
    table = recording.table(name)
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@pytest.mark.parametrize("seconds", [86_400, -86_400])
def test_a_step_of_the_clock_tears_neither_windows_nor_rows(
    seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign, recording = tmp_path / "step", tmp_path / "r"
    for name, value in stepping(tmp_path, sign, seconds).items():
        monkeypatch.setenv(name, value)
    words: list[str | Path] = ["record", "--window", "100ms", "-o", recording, "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        assert process.stdout is not None
        for number in range(600):
            assert process.stdout.readline()
            if number == 300:
                sign.touch()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert "nothing lost" in said
    found = Recording.open(recording)
    windows = sorted(rows_of(found, "windows"), key=lambda row: row["window"])
    assert len(windows) > 2
    assert all(a["end"] == b["start"] for a, b in itertools.pairwise(windows))
    began, ended = windows[0]["start"], windows[-1]["end"]
    assert ended - began < HOUR_NS
    starts = [row["start"] for row in rows_of(found, "processes")]
    assert all(began <= start <= ended for start in starts[1:])
    manifest = read_manifest(recording)
    assert manifest.ended is not None
    assert abs(manifest.ended.timestamp() * 1e9 - ended) < HOUR_NS
    assert abs(manifest.started.timestamp() * 1e9 - began) < HOUR_NS


def test_a_process_id_that_comes_again_is_another_process(tmp_path: Path) -> None:
    recording = tmp_path / "r"
    done = ethogram("record", "-o", recording, "--", "/usr/bin/python3", "-S", "-c", REUSE)
    assert "nothing lost" in done.stderr
    rows = rows_of(Recording.open(recording), "processes")
    shells = [row for row in rows if row["argv"][:2] == [b"sh", b"-c"]]
    assert [row["exit_code"] for row in sorted(shells, key=lambda row: row["start"])] == [
        number % 250 for number in range(300)
    ]
    assert all(row["end"] >= row["start"] for row in shells)
    assert len({row["exec_id"] for row in shells}) == 300
    _, times = Counter(row["tgid"] for row in shells).most_common(1)[0]
    assert times > 20  # others on the host take the number now and then


def test_cgroups_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    parent = unified_mount() / f"ethogram-test-{secrets.token_hex(4)}"
    recording = tmp_path / "r"
    parent.mkdir()
    words: list[str | Path] = ["record", "--window", "100ms", "-o", recording]
    try:
        with running(*words, "--cgroup", f"/{parent.name}", ready=tmp_path / "ready") as process:
            for number in range(211):
                child = parent / f"{number}"
                child.mkdir()
                _run_in(child, known(["call", 110, 23]))
                child.rmdir()
            parent.rmdir()  # and the target itself, which comes again
            parent.mkdir()
            _run_in(parent, known(["call", 111, 7]))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    finally:
        parent.rmdir()
    assert "nothing lost" in said
    found = Recording.open(recording)
    calls: Counter[str] = Counter()
    for row in found.table("syscalls").to_pylist():
        calls[row["name"]] += row["calls"]
    assert (calls["getppid"], calls["getpgrp"]) == (211 * 23, 7)
    instances = rows_of(found, "instances")
    assert len(instances) == 212
    assert sum(row["ended"] is not None for row in instances) >= 211


def _run_in(cgroup: Path, command: list[str]) -> None:
    join = cgroup / "cgroup.procs"
    subprocess.run(command, preexec_fn=lambda: join.write_text("0") and None, check=True)
