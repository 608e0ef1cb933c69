"""Many workloads at once: what they take of the recorder's memory and time."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import pyarrow.compute as pc

from benchmarks.agent import map_bytes, pss_bytes, recording
from benchmarks.cgroups import cgroups
from benchmarks.progress import say
from benchmarks.report import Column, Table, duration, size
from ethogram.contracts.recording import Recording
from tests.workloads import actions, build_known

__all__ = ["measure"]

_GETPPID = 110
_WINDOW_S = 5.0
_FILES = ("/etc/passwd", "/etc/group", "/etc/hostname", "/etc/hosts", "/etc/services")


def measure(directory: Path, *, number: int, windows: int) -> Table:
    """Return what *number* workloads come to that all do something in each of *windows*."""
    say(f"storms: {number:,} workloads at once")
    output = directory / "many"
    try:
        with cgroups(number) as made:
            targets = ["--cgroup", made[0].parent]
            with recording(output, targets, keep=True) as agent:
                began, busy = time.monotonic(), agent.busy_s()
                _run(made, windows)
                share = (agent.busy_s() - busy) / (time.monotonic() - began)
                pss, maps = pss_bytes(agent.pid), map_bytes(agent.pid)
        seen = _seen(output)
    finally:
        shutil.rmtree(output, ignore_errors=True)
    rows = (
        ("of which calls were recorded", f"{seen:,}"),
        ("events lost", f"{agent.lost:,}"),
        ("memory of the recorder (PSS)", size(pss)),
        ("BPF maps", size(maps)),
        ("recorder, of one processor", f"{share:.1%}"),
        ("draining a window, median (most)", _spread(agent.spent["drain"])),
        ("writing a window, median (most)", _spread(agent.spent["write"])),
    )
    return Table((Column(f"{number:,} workloads at once"), Column("")), rows)


def _run(made: list[Path], windows: int) -> None:
    """Let a process in each cgroup make some calls, and again in each window."""
    part = [["call", _GETPPID, 23], *(["openat", path, "r"] for path in _FILES), ["wait-byte"]]
    command = [str(build_known()), *actions(*part * windows)]
    waited, told = os.pipe()  # for a byte of which all of them wait: each takes one
    processes = []
    try:
        for path in made:
            join = path / "cgroup.procs"
            processes.append(
                subprocess.Popen(
                    command,
                    stdin=waited,
                    preexec_fn=lambda join=join: join.write_text("0") and None,  # type: ignore[misc]  # noqa: PLW1509
                )
            )
        for _ in range(windows - 1):
            time.sleep(_WINDOW_S)
            os.write(told, b"\n" * len(made))
        time.sleep(_WINDOW_S)
    finally:
        os.close(told)
        os.close(waited)
        for process in processes:
            process.kill()
            process.wait()


def _seen(output: Path) -> int:
    """Return how many workloads have calls in the recording at *output*."""
    return int(pc.count_distinct(Recording.open(output).table("syscalls")["workload"]).as_py())


def _spread(seconds: list[float]) -> str:
    return f"{duration(statistics.median(seconds))} ({duration(max(seconds))})"
