"""What a `process_record` says of a process, as columns of `processes`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ethogram.contracts.events import STRUCTS, EventFlag
from ethogram.contracts.tables import ENUMS

__all__ = ["BEFORE", "COLUMNS", "facts_of", "parts_of", "unknown_facts"]

_NUMBERS = (
    "tgid", "ns_tgid", "uid", "euid", "gid", "egid", "loginuid", "sessionid", "pgid", "sid",
    "ns_pgid", "ns_sid", "caps_effective", "caps_permitted", "caps_inheritable", "caps_ambient",
    "caps_bounding", "seccomp_mode", "seccomp_filters", "host_namespace_bits",
)  # fmt: skip
# What it had until it executed: of no fork.
BEFORE = ("euid_before", "egid_before", "caps_effective_before", "caps_permitted_before")
_FACTS = (*_NUMBERS, *BEFORE, "stdio", "stdio_peers", "namespaces")
COLUMNS = (
    "window", "exec_id", "parent_exec_id", "fork_parent_exec_id", "session_exec_id", "exe",
    "interpreter", "script", "cwd", "argv", "flags", "start", "end", "exit_code", "signal",
    "errno", "observed", *_FACTS,
)  # fmt: skip
_SIZES = ("path_size", "cwd_size", "interpreter_size", "script_size", "peers_size", "argv_size")
_PEER = STRUCTS["stdio_peer"].dtype
_ADDRESS_SIZE = {2: 4, 10: 16}  # AF_INET, AF_INET6


def parts_of(head: np.void, tail: bytes) -> tuple[bytes, ...]:
    """Return path, working directory, interpreter, script, peers and arguments of a record."""
    parts, position = [], 0
    for name in _SIZES:
        size = int(head[name])
        parts.append(tail[position : position + size])
        position += size
    return tuple(parts)


def facts_of(head: np.void, peers: bytes) -> dict[str, Any]:
    """Return the columns that the kernel side knows of the process itself."""
    facts: dict[str, Any] = {name: int(head[name]) for name in _NUMBERS}
    is_known = bool(int(head["flags"]) & EventFlag.CREDENTIALS_BEFORE)
    facts |= {name: int(head[name]) if is_known else None for name in BEFORE}
    facts["stdio"] = [ENUMS["stdio"][code] for code in head["stdio"].tolist()]
    facts["stdio_peers"] = list(_peers(peers))
    facts["namespaces"] = head["namespaces"].tolist()
    return facts


def unknown_facts() -> dict[str, Any]:
    """Return the same columns of a process of which nothing was recorded."""
    numbers = ("uid", "gid", "flags")
    return {**dict.fromkeys(_FACTS), "argv": [], **dict.fromkeys(numbers, 0)}


def _peers(raw: bytes) -> Iterator[dict[str, Any]]:
    position = 0
    while position + _PEER.itemsize <= len(raw):
        peer = np.frombuffer(raw, _PEER, 1, position)[0]
        position += _PEER.itemsize
        path = raw[position : position + int(peer["path_size"])]
        position += len(path)
        size = _ADDRESS_SIZE.get(int(peer["family"]))
        local = peer["local_addr"].tobytes()[:size] if size else None
        other = peer["peer_addr"].tobytes()[:size] if size and peer["peer_port"] else None
        yield {
            "fd": int(peer["fd"]),
            "family": int(peer["family"]),
            "type": int(peer["type"]),
            "local_addr": local,
            "local_port": int(peer["local_port"]) or None,
            "peer_addr": other,
            "peer_port": int(peer["peer_port"]) or None,
            # An abstract name begins with a NUL; that at the end of a path is none of it.
            "unix_path": (path if path[:1] == b"\0" else path.rstrip(b"\0")) or None,
        }
