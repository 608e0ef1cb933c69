"""What is left of a recording when its recorder, its disk or its directory goes away."""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.recording import Recording
from profiler.identity.hierarchy import Hierarchy
from tests.e2e.cgroups import end_all
from tests.e2e.command_line import ethogram, running
from tests.workloads import Word, known

pytestmark = pytest.mark.e2e

LOOP = ("sh", "-c", "while :; do cat /etc/hostname; done")
STUBBORN = """
import os, signal
signal.signal(signal.SIGINT, lambda *_: print("asked to end", flush=True))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""


def manifest_of(recording: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((recording / "manifest.json").read_text())
    return document


def windows_of(recording: Path) -> int:
    windows = manifest_of(recording)["windows"]
    assert isinstance(windows, int)
    return windows


def read_lines(process: subprocess.Popen[str], number: int) -> None:
    """Let the command go on: it writes a line each time around."""
    assert process.stdout is not None
    for _ in range(number):
        assert process.stdout.readline()


def read_until_windows(process: subprocess.Popen[str], recording: Path, number: int) -> None:
    while windows_of(recording) < number:
        read_lines(process, 1)


def assert_readable(recording: Path, directory: Path) -> None:
    """Check that the commands that read it do."""
    assert run(["show", str(recording)]) == 0
    assert (
        run(["learn", "--allow", "thin,lossy", str(recording), "-o", str(directory / "baselines")])
        == 0
    )


@pytest.fixture
def hierarchy() -> Hierarchy:
    hierarchy = Hierarchy()
    assert hierarchy.mount is not None
    return hierarchy


@pytest.fixture
def runs(hierarchy: Hierarchy) -> Iterator[Path]:
    """The cgroups of recorded commands; what a killed recorder's command does is ended."""
    assert hierarchy.mount is not None
    place = hierarchy.mount / "ethogram"
    before = set(place.glob("*/"))
    yield place
    for cgroup in set(place.glob("*/")) - before:
        end_all(cgroup)
        cgroup.rmdir()


def test_the_signal_of_a_service_manager_ends_a_recording_in_order(tmp_path: Path) -> None:
    recording = tmp_path / "r"
    words: list[str | Path] = ["record", "--window", "100ms", "-o", recording, "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        read_lines(process, 23)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "nothing lost" in said) == (0, True), said
    assert manifest_of(recording)["clean_end"] is True
    assert_readable(recording, tmp_path)


def test_who_interrupts_twice_does_not_wait_and_keeps_whole_windows(
    tmp_path: Path, runs: Path
) -> None:
    recording = tmp_path / "r"
    before = set(runs.glob("*/"))
    words: list[str | Path] = [
        "record",
        "--window",
        "100ms",
        "-o",
        recording,
        "--",
        "python3",
        "-c",
        STUBBORN,
    ]
    with running(*words, ready=tmp_path / "ready") as process:
        assert process.stdout is not None
        command = int(process.stdout.readline())
        ended = os.pidfd_open(command)
        while not windows_of(recording):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "asked to end\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (130, "interrupted\n")
    assert select.select([ended], [], [], 0)[0], "the command goes on, and nothing records it"
    os.close(ended)
    assert set(runs.glob("*/")) <= before
    assert manifest_of(recording)["clean_end"] is False
    assert_readable(recording, tmp_path)


def test_a_recorder_that_stood_still_lost_nothing(tmp_path: Path) -> None:
    recording = tmp_path / "r"
    words: list[str | Path] = ["record", "--window", "100ms", "-o", recording, "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        read_lines(process, 23)
        process.send_signal(signal.SIGSTOP)
        read_lines(process, 500)
        process.send_signal(signal.SIGCONT)
        read_lines(process, 23)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "nothing lost" in said) == (0, True), said
    # Each line is an exec of `cat`.
    assert Recording.open(recording).table("processes").num_rows > 500


def test_nothing_of_a_killed_recorder_stays_in_the_kernel(tmp_path: Path, runs: Path) -> None:
    recording = tmp_path / "r"
    before = set(runs.glob("*/"))
    words: list[str | Path] = ["record", "--window", "100ms", "-o", recording, "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        read_until_windows(process, recording, 2)
        links = links_of(process.pid)
        (cgroup,) = set(runs.glob("*/")) - before
        process.kill()
        process.wait()
        windows = windows_of(recording)
    assert len(links) > 5
    while any(is_link(number) for number in links):  # freed once the kernel is done with them
        pass
    end_all(cgroup)
    assert ethogram("record", "-o", tmp_path / "next", "--", "true").returncode == 0
    assert not cgroup.exists()
    found = Recording.open(recording)
    assert sorted(found.table("windows").column("window").to_pylist()) == list(range(windows))
    assert_readable(recording, tmp_path)


def links_of(pid: int) -> set[int]:
    """Return the ids of the attached programs that *pid* holds."""
    infos = (path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir())
    return {
        int(found[1]) for info in infos if (found := re.search(r"^link_id:\s+(\d+)", info, re.M))
    }


def is_link(number: int) -> bool:
    words = ["bpftool", "link", "show", "id", str(number)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_a_recording_that_is_removed_while_it_grows_is_said(tmp_path: Path, runs: Path) -> None:
    recording = tmp_path / "r"
    before = set(runs.glob("*/"))
    words: list[str | Path] = ["record", "--window", "100ms", "-o", recording, "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        read_until_windows(process, recording, 1)
        shutil.rmtree(recording, ignore_errors=True)
        shutil.rmtree(recording, ignore_errors=True)  # a window may have ended in between
        _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert said == (
        f"error: `{recording}` was moved or removed while it was recorded to\n\n"
        "hint: record again, to a place that nothing cleans up\n"
    )
    assert not recording.exists()
    assert set(runs.glob("*/")) <= before


def test_a_disk_that_fills_ends_the_recording_and_keeps_it(tmp_path: Path, runs: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    before = set(runs.glob("*/"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=True)
    try:
        recording = disk / "r"
        done = ethogram("record", "--window", "100ms", "-o", recording, "--", *LOOP)
        assert done.returncode == 4
        error, hint = done.stderr.split("\n\n")
        assert re.search(
            r"cannot be written: No space left on device; \d+ windows? (is|are)", error
        )
        assert hint.startswith("hint: free space, or name another place")
        assert set(runs.glob("*/")) <= before
        windows = Recording.open(recording).table("windows").column("window").to_pylist()
        assert windows
        assert sorted(windows) == list(range(len(windows)))
        # The rows of a window come first: then the manifest may not fit any more.
        assert windows_of(recording) in (len(windows), len(windows) - 1)
        assert_readable(recording, tmp_path)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_flood_costs_the_one_that_floods(tmp_path: Path, hierarchy: Hierarchy) -> None:
    assert hierarchy.mount is not None
    names = [f"ethogram-test-{secrets.token_hex(4)}" for _ in range(2)]
    flood, calm = (hierarchy.mount / name for name in names)
    places = [tmp_path / "flood", tmp_path / "calm"]
    recording = tmp_path / "r"
    for directory in (flood, calm, *places):
        directory.mkdir()
    targets = [word for name in names for word in ("--cgroup", f"/{name}")]
    words: list[str | Path] = ["record", "--window", "5m", "-o", recording, *targets]
    try:
        with running(*words, ready=tmp_path / "ready") as process:
            run_in(flood, "burst-open", places[0], 61_000)
            run_in(calm, "burst-open", places[1], 23)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    finally:
        flood.rmdir()
        calm.rmdir()
        shutil.rmtree(places[0])
    assert "1,000 events lost\n" in said
    found = Recording.open(recording)
    number = {
        row["name"].strip("/"): row["workload"] for row in found.table("workloads").to_pylist()
    }
    losses = found.table("losses").to_pylist()
    assert [(row["workload"], row["count"]) for row in losses] == [(number[names[0]], 1_000)]
    states: dict[int, set[str]] = {}
    for row in found.table("coverage").to_pylist():
        states.setdefault(row["workload"], set()).add(row["state"])
    assert states == {number[names[0]]: {"incomplete"}, number[names[1]]: {"complete"}}


def run_in(cgroup: Path, *action: Word) -> None:
    join = cgroup / "cgroup.procs"
    subprocess.run(
        known(action),
        preexec_fn=lambda: join.write_text("0") and None,
        check=True,
        stdout=subprocess.DEVNULL,
    )
