"""What /proc says of processes that ran before recording began: the kernel side cannot read it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

__all__ = ["read_all"]

_MAX_BYTES = 4096
_DEADLINE_S = 1.0


def read_all(processes: Mapping[int, int]) -> dict[int, tuple[bytes, bytes]]:
    """Return (working directory, arguments) of *processes*, a process id by any key.

    Arguments have a NUL after each and are cut at 4096 bytes; what is gone or hidden is empty. A
    process can put its arguments where reading them waits for as long as it likes: what is not
    read within a second is left out.
    """
    found: dict[int, tuple[bytes, bytes]] = {}

    def read() -> None:
        for key, tgid in processes.items():
            found[key] = _working_directory(tgid), _arguments(tgid)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(_DEADLINE_S)
    return dict(found)


def _arguments(tgid: int) -> bytes:
    try:
        with Path(f"/proc/{tgid}/cmdline").open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError:
        return b""


def _working_directory(tgid: int) -> bytes:
    try:
        return os.fsencode(Path(f"/proc/{tgid}/cwd").readlink())
    except OSError:
        return b""
