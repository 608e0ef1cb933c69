"""Whose an address was, and from when to when: addresses are used again."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping

from profiler.identity.addresses import Address, Kind

__all__ = ["Intervals"]

_Key = tuple[bytes, Kind, str, bool]


class Intervals:
    """The addresses that objects of a cluster have, as rows with a beginning and an end.

    A row that is over is given again, with its end: it replaces the one before it, which has the
    same address, kind, name and beginning.
    """

    def __init__(self) -> None:
        self._open: dict[Hashable, dict[_Key, tuple[Address, int]]] = {}
        self._rows: list[tuple[Address, int, int | None]] = []
        # How many rows say of an address that it is a pod's or a node's.
        self._whose: dict[bytes, dict[Kind, int]] = {}

    def set(
        self, source: Hashable, rows: Iterable[Address], *, since_ns: int | None, now_ns: int
    ) -> set[bytes]:
        """Say that *source* has the addresses *rows* and no others.

        What it has at its first mention it has had since *since_ns*, what is new later since
        *now_ns*. Return the addresses that changed.
        """
        is_first = source not in self._open
        before = self._open.get(source, {})
        after = {_key(row): row for row in rows}
        began_ns = now_ns if since_ns is None or not is_first else min(since_ns, now_ns)
        changed = set()
        for key, (row, from_ns) in list(before.items()):
            if after.get(key) != row:
                self._end(row, from_ns, now_ns)
                del before[key]
                changed.add(row.addr)
        for key, row in after.items():
            if key not in before:
                before[key] = row, began_ns
                self._rows.append((row, began_ns, None))
                self._count(row, 1)
                changed.add(row.addr)
        if before:
            self._open[source] = before
        else:
            self._open.pop(source, None)
        return changed

    def kinds(self, addresses: Iterable[bytes]) -> Mapping[bytes, Kind]:
        """Return which of *addresses* are a node's or a pod's."""
        found: dict[bytes, Kind] = {}
        for addr in addresses:
            if known := self._whose.get(addr):
                found[addr] = "node" if "node" in known else "pod"
        return found

    def take(self) -> Iterator[tuple[Address, int, int | None]]:
        """Yield what changed since the last time, in that order: row, beginning and end."""
        rows, self._rows = self._rows, []
        return iter(rows)

    def _end(self, row: Address, from_ns: int, now_ns: int) -> None:
        self._rows.append((row, from_ns, max(from_ns, now_ns)))
        self._count(row, -1)

    def _count(self, row: Address, step: int) -> None:
        if row.kind not in ("pod", "node"):
            return
        known = self._whose.setdefault(row.addr, {})
        known[row.kind] = known.get(row.kind, 0) + step
        if not known[row.kind]:
            del known[row.kind]
        if not known:
            del self._whose[row.addr]


def _key(row: Address) -> _Key:
    return row.addr, row.kind, row.name, row.selector is None
