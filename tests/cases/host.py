"""A service on the host itself: a systemd unit's cgroup, and namespaces of its own to be safe in.

Nobody but a service manager makes such a cgroup, and its name is all that says which unit it is;
so it is made here, and needs no systemd. The service sees the host's files; `/tmp` is its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from profiler.identity.hierarchy import unified_mount
from tests.cases.waiting import pause, wait_for_line

__all__ = ["UNIT", "run_service", "unit_cgroup"]

UNIT = "cases-host.service"
# Heartbeat, then jobs (id and script by turns), each with time to be told apart from the next.
SERVICE = """\
beat() { for _ in $(seq "$1"); do /bin/true; read -r _ </proc/loadavg; sleep 0.2; done; }
beat 5
while (($#)); do
    echo "@case $1 start $(date +%s%N)"
    /bin/bash -c "$2" </dev/null
    status=$?
    echo "@case $1 end $(date +%s%N) $status"
    shift 2
    beat "$PAUSE"
done
echo "@case - end 0 0"
"""
INTO = 'mount -t tmpfs tmpfs /tmp && echo 0 >"$CGROUP/cgroup.procs" && exec "$@"'
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--mount-proc")
SECONDS = 60


@contextmanager
def unit_cgroup() -> Iterator[Path]:
    """Make the cgroup of the unit while the block runs; what is left in it is killed.

    An empty one is what a run that was killed left behind, and is taken over. Raises OSError where
    a process is in it: another run, or a real unit.
    """
    slice_ = unified_mount() / "system.slice"
    made_slice = not slice_.exists()
    slice_.mkdir(exist_ok=True)
    cgroup = slice_ / UNIT
    with suppress(FileNotFoundError):
        cgroup.rmdir()
    cgroup.mkdir()
    try:
        yield cgroup
    finally:
        _empty(cgroup)
        cgroup.rmdir()
        if made_slice and not any(path.is_dir() for path in slice_.iterdir()):
            slice_.rmdir()


def run_service(
    cgroup: Path, jobs: Sequence[tuple[str, str]], log: Path, *, pause_s: float = 1
) -> str:
    """Run the service in *cgroup* with *jobs* to its end; return what it wrote, also to *log*."""
    words = [word for job in jobs for word in job]
    command = ["/bin/bash", "-c", SERVICE, "service", *words]
    environment = {
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "CGROUP": str(cgroup),
        "PAUSE": str(max(1, round(pause_s / 0.2))),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", *NAMESPACES, "--kill-child", "sh", "-c", INTO, "sh", *command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_for_line(log, "@case - end", alive=lambda: process.poll() is None, timeout_s=SECONDS)
    finally:
        process.kill()
        process.wait()
    return log.read_text(errors="replace")


def _empty(cgroup: Path) -> None:
    """Kill what is left in *cgroup* and wait until it is gone."""
    for _ in range(100):
        members = (cgroup / "cgroup.procs").read_text().split()
        if not members:
            return
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        pause(0.05)
