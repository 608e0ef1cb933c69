"""Whom the standard input of a process comes from, in words."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ethogram.contracts.escape import escape

__all__ = ["input_in_words"]


def input_in_words(peers: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Return what is at the other end of file descriptor 0, None where nothing tells.

    *peers* is a value of `processes.stdio_peers`. Of a UNIX socket it is the path of what listens.
    """
    peer = next((one for one in peers or () if one["fd"] == 0), None)
    if peer is None:
        return None
    if peer["unix_path"] is not None:
        path = peer["unix_path"]
        return escape(b"@" + path[1:] if path[:1] == b"\0" else path)
    other = _end(peer["peer_addr"], peer["peer_port"])
    own = _end(peer["local_addr"], peer["local_port"])
    return f"{other} (here {own})" if other and own else other


def _end(address: bytes | None, port: int | None) -> str | None:
    if address is None or port is None or len(address) not in (4, 16):
        return None
    named = ipaddress.ip_address(address)
    return f"[{named}]:{port}" if named.version == 6 else f"{named}:{port}"
