"""What a system call, an open and an exec cost: untouched, beside a recording, and recorded.

Each round goes through all states, so that a machine that changes its speed changes it for all.
The time is the processor time of the program that makes the calls: what the kernel side does in a
call is part of it. What the recorder itself takes is told apart.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.screen import duration, row, say
from ethogram.contracts.recording import Recording
from profiler.identity.hierarchy import unified_mount
from tests.e2e.command_line import running
from tests.workloads import build_known, known

__all__ = ["measure"]

GETPPID = 110
STRACE = ("strace", "-f", "-c", "-o", "/dev/null")
STRACE_SHARE = 50  # it is two orders slower


@dataclass(frozen=True, slots=True)
class Work:
    """*count* times the same; *command* makes the words that do it so often."""

    name: str
    count: int
    command: Callable[[int], list[str]]


WORKS = (
    Work("getppid", 2_000_000, lambda n: known(["call", GETPPID, n])),
    Work(
        "openat, close", 300_000, lambda n: known(["repeat", n, [["openat", "/etc/passwd", "r"]]])
    ),
    Work(
        "fork, exec, exit, wait", 2_000, lambda n: known(["storm-exec", n, build_known(), "exit"])
    ),
)


@dataclass
class Seen:
    """Seconds for each time of each work, by state; shares of a processor; events that got lost."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    recorder: list[float] = field(default_factory=list)
    lost: int = 0


def measure(directory: Path, *, share: int, rounds: int) -> None:
    """Print a line for each work, a *share*-th of its count, least of *rounds* rounds."""
    if others := tracing_programs():
        say(f"note: {others} tracing programs of others are loaded, so `nothing` is not nothing")
    seen = Seen()
    for number in range(rounds):
        _round(directory, f"{number}", share, seen)
    row("", ["nothing", "beside", "light", "recorded", "strace -c"])
    for work in WORKS:
        base, *others = (
            min(seen.seconds[state, work.name])
            for state in ("nothing", "beside", "light", "recorded", "strace")
        )
        row(work.name, [duration(base), *(f"{value / base:.2f} x" for value in others)])
    lost = f"{seen.lost} events lost" if seen.lost else "nothing lost"
    say(f"the recorder took {min(seen.recorder):.0%} of one processor meanwhile; {lost}")


def _round(directory: Path, number: str, share: int, seen: Seen) -> None:
    """Do every work once in every state."""
    with _cgroup() as cgroup:
        _do("nothing", share, seen)
        with _recording(directory / f"light-{number}", cgroup, seen, "--tier", "light"):
            _do("light", share, seen, cgroup)
        with _recording(directory / f"full-{number}", cgroup, seen):
            _do("beside", share, seen)
            _do("recorded", share, seen, cgroup)
        _do("strace", share * STRACE_SHARE, seen)


def _do(state: str, share: int, seen: Seen, cgroup: Path | None = None) -> None:
    for work in WORKS:
        count = max(work.count // share, 1)
        prefix = STRACE if state == "strace" else ()
        seconds = _processor_time([*prefix, *work.command(count)], cgroup)
        seen.seconds[state, work.name].append(seconds / count)


def _processor_time(command: list[str], cgroup: Path | None) -> float:
    """Return what *command*, run in *cgroup*, and its children took of the processors."""

    def join() -> None:
        if cgroup is not None:
            (cgroup / "cgroup.procs").write_text("0")

    process = subprocess.Popen(command, preexec_fn=join, stdin=subprocess.DEVNULL)  # noqa: PLW1509  there is one thread
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _cgroup() -> Iterator[Path]:
    path = unified_mount() / f"ethogram-bench-{secrets.token_hex(4)}"
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


@contextmanager
def _recording(output: Path, cgroup: Path, seen: Seen, *options: str) -> Iterator[None]:
    """Record *cgroup* while the block runs; note what the recorder took and lost."""
    words = ("record", "-o", output, "--cgroup", cgroup, "--window", "1s", *options)
    with running(*words, ready=output.with_suffix(".ready")) as process:
        began, busy = time.monotonic(), _busy_seconds(process.pid)
        yield
        busy, elapsed = _busy_seconds(process.pid) - busy, time.monotonic() - began
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    if not options:
        seen.recorder.append(busy / elapsed)
    seen.lost += Recording.open(output).manifest.losses
    shutil.rmtree(output)


def _busy_seconds(pid: int) -> float:
    """Return the processor time of *pid*'s first thread; the recorder has no other."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def tracing_programs() -> int:
    """Return how many tracing programs are loaded now; 0 where bpftool cannot say."""
    if not (bpftool := shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin")):
        return 0
    result = subprocess.run([bpftool, "-j", "prog"], capture_output=True, check=False)
    programs = json.loads(result.stdout) if result.returncode == 0 else []
    return sum(program["type"] in {"tracing", "raw_tracepoint"} for program in programs)
