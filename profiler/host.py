"""What this host and this boot are called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HostFacts"]


@dataclass(frozen=True, slots=True)
class HostFacts:
    """*host_id* is the machine id, or the node's name where there is none."""

    host_id: str
    boot_id: str

    @classmethod
    def read(cls) -> HostFacts:
        """Read them from /etc and /proc."""
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(_machine_id() or os.uname().nodename, boot_id)


def _machine_id() -> str | None:
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text:
            return text
    return None
