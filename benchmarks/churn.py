"""Whether a watch stays small while cgroups come and go."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import struct
import time
from pathlib import Path

from benchmarks.cgroups import cgroup
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target, size
from tests.e2e.command_line import running
from tests.workloads import known

__all__ = ["measure"]

_GETPPID, _CLONE3 = 110, 435
_CLONE_INTO_CGROUP = 0x2_0000_0000
_libc = ctypes.CDLL(None, use_errno=True)
_FIRST = 5  # one part in so many comes before memory is looked at first
_MOST_GROWN = 16 << 20


def measure(directory: Path, *, number: int) -> Part:
    """Return what *number* cgroups, one after another, do to a watch."""
    say(f"churn: {number:,} cgroups")
    status, empty = directory / "churn.status", directory / "churn.baselines"
    empty.mkdir(exist_ok=True)
    with cgroup("churn") as parent:
        words = (
            *("watch", "--unknown", "alert", "--baseline", empty, "--window", "1s"),
            *("--format", "jsonl", "--status", status, "--cgroup", f"/{parent.name}"),
        )
        with running(*words, ready=directory / "churn.ready") as process:
            began = time.monotonic()
            _come_and_go(parent, range(number // _FIRST))
            first = _own_bytes(process.pid)
            _come_and_go(parent, range(number // _FIRST, number))
            last, took = _own_bytes(process.pid), time.monotonic() - began
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=120)
    left = len(json.loads(status.read_text())["workloads"])
    rows = (
        ("cgroups a second", f"{number / took:.0f}"),
        (f"memory of its own after {number // _FIRST:,}", size(first)),
        (f"memory of its own after {number:,}", size(last)),
        ("workloads that it still knows of", f"{left:,}"),
        ("events lost", "none" if "nothing lost" in said else "some: see its summary"),
    )
    part = Part("churn", "Cgroups that come and go", "each runs a program that ends at once")
    part.tables.append(Table((Column(f"{number:,} cgroups"), Column("")), rows))
    part.targets.append(Target("memory that grew meanwhile", float(max(0, last - first)),
                               float(_MOST_GROWN), "bytes"))  # fmt: skip
    return part


def _own_bytes(pid: int) -> int:
    """Return the memory that process *pid* shares with nobody: others may come and go as well."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^RssAnon:\s+(\d+) kB$", text, re.MULTILINE)[0]) * 1024


def _come_and_go(parent: Path, numbers: range) -> None:
    command = known(["call", _GETPPID, 3], ["openat", "/etc/hostname", "r"])
    for number in numbers:
        child = parent / f"{number}"
        child.mkdir()
        try:
            process = _born_in(child, command)
            if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
                raise RuntimeError("what ran in a cgroup failed")
        finally:
            child.rmdir()


def _born_in(place: Path, command: list[str]) -> int:
    """Start *command* in the cgroup *place*, which costs far less than to move it there."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    # struct clone_args of <linux/sched.h>: flags, five pointers, signal ..., and the cgroup.
    wanted = struct.pack("<11Q", _CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, *[0] * 5, descriptor)
    process = int(_libc.syscall(_CLONE3, wanted, len(wanted)))
    if process == 0:
        try:
            os.execv(command[0], command)
        finally:
            os._exit(127)
    os.close(descriptor)
    if process < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return process
