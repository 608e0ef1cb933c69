"""Lets another user come to the directory of a test."""

from __future__ import annotations

import stat
from pathlib import Path

__all__ = ["passable"]


def passable(tmp_path: Path) -> Path:
    """Let everybody read *tmp_path* and pass those of pytest above it.

    What is not pytest's stays as it is: with `--basetemp` that is near, such as the machine's
    `/tmp`, and not ours to change.
    """
    base, above = tmp_path.parents[:2]
    for directory in (tmp_path, base, *([above] if above.name.startswith("pytest-of-") else [])):
        directory.chmod(stat.S_IMODE(directory.stat().st_mode) | 0o055)
    return tmp_path
