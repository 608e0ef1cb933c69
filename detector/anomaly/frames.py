"""What the sensor and the scorer send each other: a header in JSON, and a body of bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Frame", "Frames", "packed"]

_PREFIX = struct.Struct("<II")
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    header: Mapping[str, Any]
    body: bytes


def packed(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    words = json.dumps(header).encode()
    return _PREFIX.pack(len(words), len(body)) + words + body


class Frames:
    """Puts messages together from what arrives, however it is cut."""

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._most = most
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the messages that *data* completes; `ValueError` for what is none."""
        self._held += data
        while len(self._held) >= _PREFIX.size:
            words, body = _PREFIX.unpack_from(self._held)
            end = _PREFIX.size + words + body
            if end > self._most:
                raise ValueError("a message is too long")
            if len(self._held) < end:
                return
            start = _PREFIX.size + words
            header = json.loads(self._held[_PREFIX.size : start])
            if not isinstance(header, dict):
                raise ValueError("a message has no header")
            frame = Frame(header, bytes(self._held[start:end]))
            del self._held[:end]
            yield frame
