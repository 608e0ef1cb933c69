"""Whose an address was, and from when to when: addresses are used again."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from profiler.identity.addresses import Address, Kind

__all__ = ["Intervals"]

_Key = tuple[bytes, Kind, str, bool]


class Intervals:
    """The addresses that objects of a cluster have, as rows with a beginning and an end.

    A row that is over is given again, with its end: it replaces the one before it, which has the
    same address, kind, name and beginning. *source* is what the rows name.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        # There may be many thousands: each is kept as the text that it becomes a row of.
        self._open: dict[Hashable, dict[_Key, tuple[bytes, int]]] = {}
        self._rows: list[dict[str, Any]] = []
        # How many rows say of an address that it is a pod's, a node's or a resolver's.
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
        after = {_key(row): _packed(row, self._source) for row in rows}
        began_ns = now_ns if since_ns is None or not is_first else min(since_ns, now_ns)
        changed = set()
        for key, (text, from_ns) in list(before.items()):
            if after.get(key) != text:
                self._tell(text, key, from_ns, max(from_ns, now_ns))
                self._count(key, -1)
                del before[key]
                changed.add(key[0])
        for key, text in after.items():
            if key not in before:
                before[key] = text, began_ns
                self._tell(text, key, began_ns, None)
                self._count(key, 1)
                changed.add(key[0])
        if before:
            self._open[source] = before
        else:
            self._open.pop(source, None)
        return changed

    def kinds(self, addresses: Iterable[bytes]) -> Mapping[bytes, Kind]:
        """Return which of *addresses* are a node's or a pod's."""
        found: dict[bytes, Kind] = {}
        for addr in addresses:
            known = self._whose.get(addr, {})
            if "node" in known or "pod" in known:
                found[addr] = "node" if "node" in known else "pod"
        return found

    def is_resolver(self, address: bytes) -> bool:
        """Return whether *address* is of the cluster's DNS."""
        return "dns" in self._whose.get(address, {})

    def take(self) -> list[dict[str, Any]]:
        """Return rows of table `addresses` for what changed since the last time, in that order."""
        rows, self._rows = self._rows, []
        return rows

    def _tell(self, text: bytes, key: _Key, from_ns: int, until_ns: int | None) -> None:
        row = json.loads(text)
        self._rows.append(row | {"addr": key[0], "valid_from": from_ns, "valid_to": until_ns})

    def _count(self, key: _Key, step: int) -> None:
        addr, kind, *_ = key
        if kind not in ("pod", "node", "dns"):
            return
        known = self._whose.setdefault(addr, {})
        known[kind] = known.get(kind, 0) + step
        if not known[kind]:
            del known[kind]
        if not known:
            del self._whose[addr]


def _key(row: Address) -> _Key:
    return row.addr, row.kind, row.name, row.selector is None


def _packed(row: Address, source: str) -> bytes:
    columns = row.row(valid_from_ns=0, source=source)
    del columns["addr"]
    return json.dumps(columns, separators=(",", ":")).encode()
