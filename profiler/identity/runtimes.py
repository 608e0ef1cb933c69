"""Which version of an OCI runtime this host has, as the runtime says itself."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["RUNTIMES", "version_of"]

RUNTIMES = ("runc", "crun")

_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_VERSION = re.compile(r"^(?:runc|crun) version ([!-~]{1,64})$", re.MULTILINE)
_TIMEOUT_S = 5.0
_OUTPUT_LIMIT = 4096


@cache
def version_of(runtime: str) -> str | None:
    """Return the version of `runc` or `crun` installed in one of the system's directories.

    None if it is not there, does not answer, or could have been put there by anybody but root.
    It is asked once. An engine may be configured with another binary than this one.
    """
    if runtime not in RUNTIMES:
        return None
    for directory in _DIRECTORIES:
        binary = Path(directory, runtime)
        if _is_roots(binary):
            return _ask(binary)
    return None


def _is_roots(binary: Path) -> bool:
    try:
        found = binary.stat()
    except OSError:
        return False
    writable_by_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISREG(found.st_mode) and found.st_uid == 0 and not writable_by_others


def _ask(binary: Path) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603  a fixed absolute path and a fixed argument
            [os.fspath(binary), "--version"],
            capture_output=True,
            check=False,
            cwd="/",
            env={},
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    output = answer.stdout[:_OUTPUT_LIMIT].decode("utf-8", "replace")
    found = _VERSION.search(output)
    return found[1] if found else None
