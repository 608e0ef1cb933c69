"""Other tools that count calls: bpftrace, `strace -c -f`, `perf trace -s`."""

from __future__ import annotations

import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import UnavailableError
from tests.workloads import known

__all__ = ["PERF_SCRIPT", "STRACE", "bpftrace", "command_of"]

STRACE = ("strace", "-f", "-c", "-o", "/dev/null")
PERF_SCRIPT = ("perf", "trace", "-s", "-o", "/dev/null", "--")
_COUNT = "tracepoint:raw_syscalls:sys_enter { @[cgroup, args->id] = count(); }"
_READY_S = 30
# Only in a mount namespace of the tool's own: where tracefs is not mounted, it stays so.
_MOUNT = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"'


def command_of(*words: str) -> tuple[str, ...]:
    """Return the command of a tool that needs tracefs; `UnavailableError` if it is missing."""
    if not shutil.which(words[0]):
        raise UnavailableError(f"`{words[0]}` is not installed")
    if Path("/sys/kernel/tracing/events").is_dir():
        return words
    return ("unshare", "--mount", "--", "sh", "-c", _MOUNT, "sh", *words)


@contextmanager
def bpftrace() -> Iterator[None]:
    """Let bpftrace count every call by cgroup and number while the block runs."""
    with tempfile.TemporaryDirectory(prefix="ethogram-bpftrace-") as directory:
        ready = Path(directory) / "ready"
        # It attaches first and starts the command then; it ends when the command does.
        waiting = " ".join(known(["ready", ready], ["wait-byte", 0]))
        process = subprocess.Popen(
            command_of("bpftrace", "-e", _COUNT, "-c", waiting),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            _wait(process, ready)
            yield
        finally:
            # An end of file lets the command end, and bpftrace with it.
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_READY_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _wait(process: subprocess.Popen[bytes], ready: Path) -> None:
    assert process.stderr is not None
    poller = select.poll()
    poller.register(process.stderr, select.POLLHUP)
    for _ in range(_READY_S * 50):
        if ready.exists():
            return
        if poller.poll(20) and process.poll() is not None:
            text = process.stderr.read().decode("utf-8", "replace").strip()
            raise UnavailableError(text.splitlines()[-1] if text else "it ended at once")
    raise UnavailableError(f"it was not ready after {_READY_S} s")
