"""Cgroups made by hand, as service managers, runtimes and logins make them."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from profiler.identity.hierarchy import unified_mount
from tests.workloads import known

__all__ = ["end_all", "made", "remove", "run_in"]


@contextmanager
def made(*paths: str) -> Iterator[list[Path]]:
    """Make the cgroups *paths*, and what is missing above them, while the block runs.

    Raises FileExistsError where one is there. Who is left in them is killed.
    """
    mount = unified_mount()
    cgroups = [mount / path.strip("/") for path in paths]
    new: list[Path] = []
    try:
        for cgroup in cgroups:
            above = [one for one in cgroup.parents if mount in one.parents and not one.exists()]
            for one in [*reversed(above), cgroup]:
                one.mkdir()
                new.append(one)
        yield cgroups
    finally:
        for one in reversed(new):
            if one.exists():
                remove(one)


def end_all(cgroup: Path) -> None:
    """Kill who is in *cgroup*, and wait until they are gone."""
    (cgroup / "cgroup.kill").write_text("1")
    with (cgroup / "cgroup.events").open() as events:
        changed = select.poll()
        changed.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            changed.poll(1000)
            events.seek(0)


def remove(cgroup: Path) -> None:
    """Kill who is in *cgroup* and remove it."""
    end_all(cgroup)
    # Somebody else may have begun to use what is above the cgroups that were asked for.
    with suppress(OSError):
        cgroup.rmdir()


def run_in(cgroup: Path, *actions: list[object], by: Sequence[str] = ()) -> None:
    """Run the known workload, or the command *by* with it, in *cgroup* from its first call on."""
    join = os.open(cgroup / "cgroup.procs", os.O_WRONLY)
    try:
        subprocess.run(
            [*by, *known(*actions)], check=True, timeout=60, stdin=subprocess.DEVNULL,
            preexec_fn=lambda: os.write(join, b"0") and None,
        )  # fmt: skip
    finally:
        os.close(join)
