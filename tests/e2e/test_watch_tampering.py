"""What is done to a watch itself: told, by it, by who outlives it, or by the next one."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ethogram.contracts.baseline import dump_baseline, load_baseline
from ethogram.contracts.finding import FINDING_SCHEMA, Finding
from profiler.identity.hierarchy import unified_mount
from profiler.libbpf import Object, library
from profiler.loaders.core import object_path
from tests.e2e.command_line import ethogram, rest_of, running
from tests.e2e.stepped import stepping

pytestmark = pytest.mark.e2e

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17

NAME = f"ethogram-test-tampering-{os.getpid()}"
# Each line that is read is one round: what happens is what a test asked for.
JOB = 'echo $$ > "$1"/cgroup.procs; while read -r go; do eval "$go" >/dev/null; echo; done'
# More packets from the port of DNS in a window than are kept of one workload.
FLOOD = """
import socket
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind(("127.7.7.7", 53))
there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
there.bind(("127.7.7.8", 0))
for _ in range(7_000):
    here.sendto(b"x" * 20, there.getsockname())
    there.recv(100)
"""


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline of a cgroup of ours, which runs `cat` and never `id`."""
    place = tmp_path_factory.mktemp("learnt")
    words = ("sh", "-c", "cat /etc/hostname")
    done = ethogram("record", "-o", place / "r", "--window", "100ms", "--", *words)
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin", "--no-model", "r", "-o", "b", cwd=place)
    assert done.returncode == 0, done.stderr
    (file,) = (place / "b").glob("*.baseline.yaml")
    one = load_baseline(file)
    match = one.match.model_copy(update={"kind": "Cgroup", "name": f"/{NAME}"})
    file.write_text(dump_baseline(one.model_copy(update={"match": match})))
    return file


@pytest.fixture(scope="module")
def job() -> Iterator[Callable[..., None]]:
    """A workload that outlives watches: each call has it run something, once."""
    cgroup = unified_mount() / NAME
    cgroup.mkdir()
    try:
        with subprocess.Popen(
            ["sh", "-c", JOB, "sh", str(cgroup)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as shell:  # fmt: skip
            assert shell.stdin is not None
            assert shell.stdout is not None

            def go(command: str = "cat /etc/hostname; id") -> None:
                print(command, file=shell.stdin, flush=True)
                assert shell.stdout.readline() == "\n"  # type: ignore[union-attr]

            yield go
            shell.stdin.close()
    finally:
        cgroup.rmdir()


@pytest.fixture
def words(baseline: Path, tmp_path: Path) -> list[str | Path]:
    return [
        "--baseline", baseline, "--cgroup", f"/{NAME}", "--window", "200ms", "--format", "jsonl",
        "--state", tmp_path / "state", "--status", tmp_path / "status.json",
    ]  # fmt: skip


def findings(lines: Iterable[str]) -> Iterator[Finding]:
    """Yield the findings of *lines*, without the incidents between them."""
    for line in lines:
        if json.loads(line)["schema"] == FINDING_SCHEMA:
            yield Finding.model_validate_json(line)


def until(process: subprocess.Popen[str], rule: str, seen: str = "") -> Finding:
    """Return the finding of *rule* that has *seen*; what comes before is read."""
    assert process.stdout is not None
    for finding in findings(process.stdout):
        if finding.rule == rule and seen in finding.evidence.observed:
            return finding
    raise AssertionError(f"it ended and never told of {rule}")


def ended(process: subprocess.Popen[str]) -> tuple[list[Finding], str]:
    """End the watch; return the findings that were not read yet, and what it said."""
    process.send_signal(signal.SIGTERM)
    out, said = rest_of(process)
    assert process.returncode == 0, said
    return list(findings(out.splitlines())), said


def standing(tmp_path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((tmp_path / "status.json").read_text())["sensor"]
    return found


def test_a_watch_that_is_killed_is_told_of_at_once_and_by_the_next_which_repeats_nothing(
    words: list[str | Path], job: Callable[[], None], tmp_path: Path
) -> None:
    told = tmp_path / "told.jsonl"
    words += ["--to", f"file:{told}", "--spool", tmp_path / "spool"]
    with running("watch", *words, ready=tmp_path / "one") as process:
        job()
        before = until(process, "deviation-execs", "/usr/bin/id")
        job("uname")  # a finding is kept once it was told: the one before this is for certain
        until(process, "deviation-execs", "/usr/bin/uname")
        process.kill()
        process.wait()
    with running("watch", *words, ready=tmp_path / "two") as process:
        killed = until(process, "sensor-killed")
        job()
        found, said = ended(process)
    assert (killed.severity, killed.count, killed.workload.kind) == ("high", 1, "Sensor")
    assert {one.technique for one in killed.attack} == {"T1685", "T1562.001"}
    gap = re.search(r"not watched from .* UTC to .* UTC, ([0-9.]+) s: the watch before was killed",
                    killed.evidence.observed)  # fmt: skip
    assert gap
    assert gap[0] in said
    sensor = standing(tmp_path)
    assert (sensor["gap_cause"], float(gap[1])) == (
        "killed", pytest.approx(sensor["gap_seconds"], abs=0.06),
    )  # fmt: skip
    again = [one for one in found if one.fingerprint == before.fingerprint]
    assert [one.count for one in again] == [before.count + 1], "counted on, in one line at the end"
    assert again[0].first_seen == before.first_seen
    lines = findings(told.read_text().splitlines())
    at_once, later = (one for one in lines if one.rule == "sensor-killed")
    assert at_once.evidence.observed.endswith("ended without having been asked to")
    assert (at_once.fingerprint, at_once.instance_key) == (later.fingerprint, later.instance_key)
    with running("watch", *words, ready=tmp_path / "three") as process:
        clean = until(process, "sensor-gap")
        ended(process)
    assert (clean.severity, standing(tmp_path)["gap_cause"]) == ("info", "clean end")


def numbers(pid: int, pattern: str) -> Iterator[int]:
    """Yield what *pattern* finds in what the kernel says of each file that process *pid* has."""
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        for found in re.finditer(pattern, entry.read_text()):
            yield int(found[1])


def cgroup_link(pid: int) -> int:
    """Return the id of a link to a cgroup that process *pid* has open."""
    return next(numbers(pid, r"link_type:\tcgroup\n(?:.*\n)*?link_id:\t(\d+)"))


def switch_off(pid: int) -> None:
    """Turn the switch `armed` off in the memory of the programs of process *pid*."""
    opened = Object(object_path())
    (offset, size) = opened.btf.variables(".bss")["armed"]
    opened.close()
    for number in numbers(pid, r"map_id:\t(\d+)"):
        shown = subprocess.run(["bpftool", "-j", "map", "show", "id", str(number)],
                               check=True, capture_output=True)  # fmt: skip
        if json.loads(shown.stdout)["name"].endswith(".bss"):
            descriptor = library().bpf_map_get_fd_by_id(number)
            with mmap.mmap(descriptor, mmap.PAGESIZE) as memory:
                memory[offset : offset + size] = bytes(size)
            os.close(descriptor)
            return
    raise AssertionError("it has no such memory")


@contextmanager
def attached_to(pid: int) -> Iterator[None]:
    """Be attached to process *pid* as a debugger is, without stopping it."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.ptrace(_SEIZE, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        libc.ptrace(_INTERRUPT, pid, None, None)
        os.waitpid(pid, 0)  # it stops, so that it can be let go
        libc.ptrace(_DETACH, pid, None, None)


def test_what_is_done_to_a_watch_that_runs_is_told_and_nobody_is_ok_any_more(
    words: list[str | Path], job: Callable[[], None], tmp_path: Path
) -> None:
    with running("watch", *words, ready=tmp_path / "ready") as process:
        job()
        until(process, "deviation-execs", "/usr/bin/id")
        process.send_signal(signal.SIGSTOP)
        with subprocess.Popen(["sleep", "1.5"]) as pause:
            pause.wait()
        process.send_signal(signal.SIGCONT)
        stalled = until(process, "sensor-stalled")
        with (tmp_path / "state" / "findings.jsonl").open("a") as file:
            file.write("x\n")
        touched = until(process, "sensor-state")
        with attached_to(process.pid):
            traced = until(process, "sensor-traced")
        number = cgroup_link(process.pid)
        subprocess.run(["bpftool", "link", "detach", "id", str(number)], check=True)
        detached = until(process, "sensor-detached")
        switch_off(process.pid)
        silenced = until(process, "sensor-silenced")
        found, said = ended(process)
    assert (stalled.severity, stalled.state) == ("high", "degraded")
    assert stalled.evidence.observed.startswith("stopped by a signal, for up to ")
    assert touched.severity == "high"
    assert traced.severity == "critical"
    assert f"by pid {os.getpid()}, " in traced.evidence.observed
    assert (silenced.severity, silenced.state) == ("critical", "blind")
    assert (detached.severity, detached.state) == ("critical", "blind")
    assert detached.evidence.observed.endswith("`: it was detached")
    assert f"Cgroup//{NAME}: learning -> blind: the program `" in said
    assert [one.rule for one in found if one.rule.startswith("sensor-")] == []
    sensor = standing(tmp_path)
    rules = ("stalled", "traced", "detached", "silenced", "state")
    assert sensor["troubles"] == {f"sensor-{rule}": 1 for rule in rules}
    assert len(sensor["changed"]) == 2  # type: ignore[arg-type]
    assert sensor["heard"], "the kernel side answered"


def test_a_wall_clock_that_is_stepped_is_told_and_moves_no_finding(
    words: list[str | Path],
    job: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sign = tmp_path / "sign"
    for name, value in stepping(tmp_path, sign, -7200).items():
        monkeypatch.setenv(name, value)
    with running("watch", *words, ready=tmp_path / "ready") as process:
        job()
        until(process, "deviation-execs", "/usr/bin/id")
        sign.touch()
        step = until(process, "sensor-clock", " s back")
        job()
        ended(process)
    assert step.severity == "medium"
    assert abs(float(step.evidence.observed.partition(" ")[0]) - 7200) < 60
    away_s = (datetime.now(UTC) - datetime.fromisoformat(step.last_seen)).total_seconds()
    assert abs(away_s) < 3600


def test_a_service_manager_is_told_once_the_programs_are_attached(
    words: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        with running("watch", *words, ready=tmp_path / "ready") as process:
            assert manager.recv(4096).decode() == "READY=1\nSTATUS=watching\n"
            while "WATCHDOG=1" not in manager.recv(4096).decode():
                pass
            process.send_signal(signal.SIGTERM)
            while manager.recv(4096).decode() != "STOPPING=1\n":
                pass
            process.communicate(timeout=60)


def test_who_floods_the_sensor_is_named_and_alone_degraded(
    words: list[str | Path], baseline: Path, job: Callable[..., None], tmp_path: Path
) -> None:
    calm = unified_mount() / f"{NAME}-calm"
    one = load_baseline(baseline)
    match = one.match.model_copy(update={"name": f"/{calm.name}"})
    (tmp_path / "calm.baseline.yaml").write_text(
        dump_baseline(one.model_copy(update={"match": match}))
    )
    (tmp_path / "flood.py").write_text(FLOOD)
    calm.mkdir()
    try:
        words += ["--window", "3s", "--baseline", tmp_path / "calm.baseline.yaml"]
        words += ["--cgroup", f"/{calm.name}"]
        with running("watch", *words, ready=tmp_path / "ready") as process:
            inside = ["sh", "-c", 'echo $$ > "$1"/cgroup.procs; id', "sh", str(calm)]
            subprocess.run(inside, check=True, stdout=subprocess.DEVNULL)
            job(f"{sys.executable} {tmp_path}/flood.py")
            flooded = until(process, "sensor-quota")
            _, said = ended(process)
    finally:
        calm.rmdir()
    assert flooded.workload.name == f"/{NAME}"
    assert (flooded.severity, flooded.state) == ("medium", "degraded")
    assert flooded.evidence.observed.startswith("DNS messages: ")
    summary = " ".join(said.split())
    assert f"degraded Cgroup//{NAME}, 1 instance" in summary
    assert f"degraded Cgroup//{calm.name}" not in summary
    assert f"Cgroup//{calm.name}" in summary


def test_a_full_disk_ends_no_watch_and_is_said_once(
    words: list[str | Path], job: Callable[..., None], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", small], check=True)
    try:
        words += ["--status", small / "status.json", "--state", small / "state"]
        with running("watch", *words, ready=tmp_path / "ready") as process:
            with (small / "filler").open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(4096))
            job()
            until(process, "deviation-execs", "/usr/bin/id")
            _, said = ended(process)
    finally:
        subprocess.run(["umount", small], check=True)
    assert said.count("status.json` cannot be written: no space left on device") == 1
    assert said.count("state` cannot be written: after a restart findings may be told again") == 1
