"""How many findings of one kind are told one by one: who makes noise must not bury what matters."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Room"]

# Fifty at once, then fifty an hour, where nothing else is said.
_SIZE = 50
_EACH_NS = 72 * 10**9
_KINDS = 10_000


class Room:
    """Gives room for *size* of each kind; a place that was taken is free again after *each_ns*."""

    def __init__(self, *, size: int = _SIZE, each_ns: int = _EACH_NS) -> None:
        self._size, self._each_ns = size, each_ns
        self._free_at: dict[Hashable, int] = {}

    def take(self, kind: Hashable, now_ns: int) -> bool:
        """Take a place for one of *kind*; return False where there is none."""
        free_at = max(self._free_at.get(kind, 0), now_ns)
        if free_at - now_ns > (self._size - 1) * self._each_ns:
            return False
        if len(self._free_at) >= _KINDS:
            self._free_at = {one: ns for one, ns in self._free_at.items() if ns > now_ns}
        self._free_at[kind] = free_at + self._each_ns
        return True
