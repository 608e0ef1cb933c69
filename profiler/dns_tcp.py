"""DNS over TCP: messages put together from the segments of a connection.

Segments come twice, out of order, with parts missing, and from whoever the workload talks to.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

__all__ = ["Streams"]

_STREAMS_LIMIT = 1024
_BYTES_LIMIT = 4 << 20  # of all streams
_AHEAD_LIMIT = 64 << 10  # of one stream: what came before its turn
_AHEAD_PARTS = 256
_WRAP, _HALF = 1 << 32, 1 << 31
_LENGTH, _HEADER = 2, 12  # of a message's length before it, and of the least message


@dataclass(slots=True)
class _Stream:
    owner: Hashable
    next: int = 0  # position of the first byte that is still to come
    rest: bytearray = field(default_factory=bytearray)  # of a message that is not whole yet
    ahead: dict[int, bytes] = field(default_factory=dict)
    is_foreign: bool = False  # what it carries is no DNS

    def size(self) -> int:
        return len(self.rest) + sum(map(len, self.ahead.values()))


class Streams:
    """Connections to resolvers, by socket cookie; the oldest are given up when they are too many.

    `lost` counts, by owner and kind of loss, what never became a message: `truncated` streams with
    a part missing, `malformed` ones that carry something else.
    """

    def __init__(self) -> None:
        self.lost: Counter[tuple[Hashable, str]] = Counter()
        self._streams: OrderedDict[int, _Stream] = OrderedDict()
        self._bytes = 0

    def take(self, cookie: int, owner: Hashable, position: int, payload: bytes) -> list[bytes]:
        """Return the messages that *payload*, which begins at *position*, completes.

        *owner* is whose loss it is if nothing comes of it.
        """
        stream = self._streams.setdefault(cookie, _Stream(owner))
        self._streams.move_to_end(cookie)
        before = stream.size()
        messages = [] if stream.is_foreign else self._added(stream, position, payload)
        self._bytes += stream.size() - before
        while len(self._streams) > _STREAMS_LIMIT or self._bytes > _BYTES_LIMIT:
            self._give_up(*self._streams.popitem(last=False))
        return messages

    def _added(self, stream: _Stream, position: int, payload: bytes) -> list[bytes]:
        known = stream.ahead.get(position, b"")
        if len(known) < len(payload):
            stream.ahead[position] = payload
        for at in sorted(stream.ahead, key=lambda at: (at - stream.next + _HALF) % _WRAP):
            missing = (at - stream.next + _HALF) % _WRAP - _HALF
            if missing > 0:
                break
            new = stream.ahead.pop(at)[-missing:]
            stream.rest += new
            stream.next = (stream.next + len(new)) % _WRAP
        messages = _messages(stream.rest)
        if any(len(message) < _HEADER for message in messages):
            self._abandon(stream, "malformed")
        elif len(stream.ahead) > _AHEAD_PARTS or stream.size() > _AHEAD_LIMIT + len(stream.rest):
            self._abandon(stream, "truncated")
        return [message for message in messages if len(message) >= _HEADER]

    def _abandon(self, stream: _Stream, why: str) -> None:
        stream.is_foreign = True
        stream.rest.clear()
        stream.ahead.clear()
        self.lost[stream.owner, why] += 1

    def _give_up(self, _cookie: int, stream: _Stream) -> None:
        size = stream.size()
        self._bytes -= size
        if size:
            self.lost[stream.owner, "truncated"] += 1


def _messages(rest: bytearray) -> list[bytes]:
    """Take the whole messages from the beginning of *rest*."""
    messages, at = [], 0
    while len(rest) - at >= _LENGTH:
        end = at + _LENGTH + int.from_bytes(rest[at : at + _LENGTH], "big")
        if end > len(rest):
            break
        messages.append(bytes(rest[at + _LENGTH : end]))
        at = end
    del rest[:at]
    return messages
