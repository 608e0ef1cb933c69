"""What systemd calls a cgroup: its units, its sessions, and which start of a unit it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from profiler.identity.reading import below

__all__ = ["Unit", "invocation_of", "unit_of", "user_of"]

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}\.(?:service|scope|socket|mount|swap)")
_SESSION = re.compile(r"session-[A-Za-z0-9]+\.scope")
_USER_SLICE = re.compile(r"user-(\d{1,10})\.slice")
_USER_MANAGER = re.compile(r"user@\d{1,10}\.service")
_INVOCATION = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit by its name, or all login sessions of one user, which are numbered anew each time."""

    kind: Literal["unit", "session"]
    name: str


def user_of(parts: Sequence[str]) -> str | None:
    """Return `user-UID` when the cgroup lies in a user's slice, None for the system's own."""
    if len(parts) < 2 or parts[0] != "user.slice":
        return None
    found = _USER_SLICE.fullmatch(parts[1])
    return f"user-{found[1]}" if found else None


def unit_of(parts: Sequence[str]) -> Unit | None:
    """Return the unit of the cgroup with these path components; None if systemd named none.

    As in systemd, it is the first component that is no slice. A user's own manager is a unit
    with units of its own: those are `user@1000.service/app.service`, because that user chooses
    their names and one may be that of a system unit.
    """
    index = _first_unit(parts, 0)
    if index is None:
        return None
    name = parts[index]
    owner = user_of(parts)
    if owner is not None and _SESSION.fullmatch(name):
        return Unit("session", owner)
    if _USER_MANAGER.fullmatch(name) and (inner := _first_unit(parts, index + 1)) is not None:
        return Unit("unit", f"{name}/{parts[inner]}")
    return Unit("unit", name)


def _first_unit(parts: Sequence[str], start: int) -> int | None:
    for index in range(start, len(parts)):
        if not parts[index].endswith(".slice"):
            return index if _UNIT.fullmatch(parts[index]) else None
    return None


def invocation_of(root: Path, unit: str) -> str | None:
    """Return the id of the running start of system *unit*, as systemd publishes it in /run."""
    try:
        target = below(root, f"/run/systemd/units/invocation:{unit}").readlink().name
    except (OSError, ValueError):
        return None
    return target if _INVOCATION.fullmatch(target) else None
