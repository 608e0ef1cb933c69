"""What was never seen before in a recording: for the screen while it runs."""

from __future__ import annotations

from typing import Any

from ethogram.contracts.escape import escape

__all__ = ["Sights", "peer_of"]

_KEPT = 20_000


class Sights:
    """Remembers names, at most 20,000 of them, and tells which are new."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def new(self, what: str, names: list[bytes]) -> list[str]:
        """Return a line for each of *names* that was not seen before; empty ones are no sight."""
        found = []
        for name in dict.fromkeys(names):
            line = f"{what} {escape(name)}"
            if name and line not in self._seen and len(self._seen) < _KEPT:
                self._seen.add(line)
                found.append(line)
        return found


def peer_of(columns: dict[str, Any], index: int) -> bytes:
    """Return the peer of an outgoing row of `network`, empty for others."""
    address, port = columns["peer_addr"][index], columns["peer_port"][index]
    if columns["direction"][index] != "out" or address is None:
        return b""
    text = ".".join(map(str, address)) if len(address) == 4 else address.hex(":", 2)
    return f"{text} port {port}".encode()
