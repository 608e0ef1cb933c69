"""Names of capabilities, in the order of their numbers in `linux/capability.h`."""

from __future__ import annotations

import re

__all__ = ["CAPABILITIES", "capability_name", "capability_number"]

CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
        "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
        "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE",
        "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
        "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
        "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    )
)  # fmt: skip
_NUMBERED = re.compile(r"CAP_([0-9]{1,3})")


def capability_name(number: int) -> str:
    """Return the name of capability *number*; `CAP_<number>` for one newer than this list."""
    return CAPABILITIES[number] if number < len(CAPABILITIES) else f"CAP_{number}"


def capability_number(name: str) -> int | None:
    """Return the number of capability *name*, or None where there is none of that name."""
    if name in CAPABILITIES:
        return CAPABILITIES.index(name)
    numbered = _NUMBERED.fullmatch(name)
    return int(numbered[1]) if numbered else None
