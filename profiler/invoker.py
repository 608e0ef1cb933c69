"""The user who asked: behind `sudo` not root, whom a command that is recorded must not run as."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass

from ethogram.errors import UsageError

__all__ = ["Invoker", "environment_of", "invoker_of"]

_HIGHEST_ID = (1 << 32) - 2  # the last one means "leave as it is" to setresuid
_OF_SUDO = ("SUDO_COMMAND", "SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_HOME")


@dataclass(frozen=True, slots=True)
class Invoker:
    """Whom to become; *name* is None for a user that the system does not list."""

    uid: int
    gid: int
    name: str | None = None
    home: str | None = None
    shell: str | None = None

    def become(self) -> None:
        """Become this user for good, in a process that is root and is about to exec."""
        if self.name is None:
            os.setgroups([self.gid])
        else:
            os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


def invoker_of(environ: Mapping[str, str], *, euid: int) -> Invoker | None:
    """Return who ran `sudo`; None where this process runs as who it should be.

    `UsageError` where sudo's variables hold no user: running as root instead would be worse.
    """
    if euid != 0 or "SUDO_UID" not in environ:
        return None
    uid = _number(environ, "SUDO_UID")
    if uid == 0:
        return None
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Invoker(uid, _number(environ, "SUDO_GID"))
    gid = _number(environ, "SUDO_GID") if "SUDO_GID" in environ else entry.pw_gid
    return Invoker(uid, gid, entry.pw_name, entry.pw_dir, entry.pw_shell)


def environment_of(invoker: Invoker | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* as *invoker* would have it without sudo; unchanged where that is None."""
    if invoker is None:
        return dict(environ)
    theirs = {key: value for key, value in environ.items() if key not in _OF_SUDO}
    names = {
        "HOME": invoker.home,
        "USER": invoker.name,
        "LOGNAME": invoker.name,
        "SHELL": invoker.shell,
    }
    for key, value in names.items():
        theirs.pop(key, None)
        if value:
            theirs[key] = value
    return theirs


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    if text.isascii() and text.isdigit() and int(text[:11]) <= _HIGHEST_ID:
        return int(text[:11])
    raise UsageError(
        f"`{name}` is no user or group id: `{text[:32]}`",
        hint="run it with `sudo`, or unset `SUDO_UID` to run the command as root",
    )
