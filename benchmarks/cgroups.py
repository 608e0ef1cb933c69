"""Cgroups of our own, which are gone afterwards with all that lives in them."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from profiler.identity.hierarchy import unified_mount

__all__ = ["cgroup", "cgroups"]

_PATIENCE_S = 10.0


@contextmanager
def cgroup(purpose: str = "work") -> Iterator[Path]:
    """Make a cgroup, and in the end kill what is in it and remove it."""
    path = unified_mount() / f"ethogram-bench-{os.getpid()}-{purpose}-{secrets.token_hex(4)}"
    path.mkdir()
    try:
        yield path
    finally:
        _remove(path)


@contextmanager
def cgroups(count: int) -> Iterator[list[Path]]:
    """Make *count* cgroups below one of their own."""
    with cgroup("many") as parent:
        made: list[Path] = []
        try:
            for number in range(count):
                path = parent / f"{number}"
                path.mkdir()
                made.append(path)
            yield made
        finally:
            for path in made:
                _remove(path)


def _remove(path: Path) -> None:
    (path / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            path.rmdir()
            return
        except OSError:  # what was killed is still on its way out
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
