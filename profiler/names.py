"""DNS replies as rows, and the names that addresses had when a workload used them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ethogram.contracts.escape import escape
from ethogram.contracts.events import RecordKind
from profiler.clock import BootClock
from profiler.dns import Names, parse_reply, resolvers_of
from profiler.dns_tcp import Streams
from profiler.instances import Instance
from profiler.losses import Lost
from profiler.processes import Executables
from profiler.registry import Registry
from profiler.ring import Records

__all__ = ["DnsRows", "OnAnswer"]

# Takes who answered, a name, its addresses, and when they were given, in UTC.
OnAnswer = Callable[[bytes, bytes, Iterable[bytes], int], None]

_AF_INET = 2
_MESSAGES_LIMIT = 5000  # of one slot, as for datagrams: a segment has room for many
_COLUMNS = ("qname", "qtype", "rcode", "answers", "ttl", "resolver", "trusted")


class DnsRows:
    """Parses replies, remembers whose names they gave, and names peers by them.

    A reply is trusted when it comes from a resolver that the workload's own /etc/resolv.conf
    names: whoever answers from elsewhere could give any address any name. *on_answer* is told
    of those that are.
    """

    def __init__(
        self,
        registry: Registry,
        executables: Executables,
        clock: BootClock,
        *,
        on_answer: OnAnswer | None = None,
    ) -> None:
        self._on_answer = on_answer
        self._registry = registry
        self._executables = executables
        self._clock = clock
        self._names = Names()
        self._streams = Streams()
        self._resolvers: dict[int, frozenset[bytes]] = {}

    def take(self, batches: list[Records]) -> dict[str, Any]:
        """Return columns of `dns` for the replies in *batches* that are understood."""
        rows: list[dict[str, Any]] = []
        slots: list[int] = []
        windows: list[int] = []
        exes: list[int] = []
        for head, payload in self._messages(batches):
            instance = self._registry.instance_of(int(head["slot"]))
            row = self._row(head, payload, instance) if instance else None
            if row is not None:
                rows.append(row)
                slots.append(int(head["slot"]))
                windows.append(int(head["window"]))
                exes.append(int(head["exe_key"]))
        return {
            "window": np.array(windows, np.uint32),
            **self._registry.columns_of(np.array(slots, np.uint32)),
            "exe": self._executables.numbers_of(np.array(exes, np.uint64)),
            **{name: [row[name] for row in rows] for name in _COLUMNS},
        }

    def take_lost(self) -> Lost:
        """Return what came over TCP since the last call and was no reply in the end."""
        lost: Lost = Counter()
        for (whose, kind), count in self._streams.lost.items():
            assert isinstance(whose, tuple)
            lost[(*whose, kind, "dns")] += count
        self._streams.lost.clear()
        return lost

    def _whose(self, slot: int) -> tuple[int | None, int | None]:
        """Return workload and instance: by the time of a loss the slot may be another's."""
        instance = self._registry.instance_of(slot)
        return (instance.workload, instance.number) if instance else (None, None)

    def _messages(self, batches: list[Records]) -> Iterator[tuple[np.void, bytes]]:
        """Yield each reply with the record that completed it."""
        taken: Counter[int] = Counter()
        for batch in batches:
            for head, tail in zip(batch.heads, batch.tails, strict=True):
                payload, slot = tail[: int(head["payload_size"])], int(head["slot"])
                if head["kind"] == RecordKind.PACKET:
                    yield head, payload
                    continue
                whose = self._whose(slot)
                found = self._streams.take(
                    int(head["cookie"]), whose, int(head["position"]), payload
                )
                kept = found[: _MESSAGES_LIMIT - taken[slot]]
                taken[slot] += len(kept)
                if len(found) > len(kept):
                    self._streams.lost[whose, "quota"] += len(found) - len(kept)
                for message in kept:
                    yield head, message

    def _row(self, head: np.void, payload: bytes, instance: Instance) -> dict[str, Any] | None:
        reply = parse_reply(payload)
        if reply is None:
            return None
        size = 4 if int(head["family"]) == _AF_INET else 16
        resolver = head["resolver"].tobytes()[:size]
        trusted = resolver in self._resolvers_of(instance)
        time_ns = int(head["time_ns"])
        self._names.learn(instance.workload, reply, trusted, time_ns)
        if trusted and reply.answers and self._on_answer is not None:
            self._on_answer(resolver, reply.qname, reply.answers, self._clock.utc_ns(time_ns))
        return {
            "qname": reply.qname,
            "qtype": reply.qtype,
            "rcode": reply.rcode,
            "answers": list(reply.answers),
            "ttl": reply.ttl,
            "resolver": resolver,
            "trusted": trusted,
        }

    def _resolvers_of(self, instance: Instance) -> frozenset[bytes]:
        known = self._resolvers.get(instance.number)
        if not known and instance.pid:
            known = self._resolvers[instance.number] = resolvers_of(instance.pid)
        return known or frozenset()

    def names_of(
        self, keys: np.ndarray, columns: dict[str, Any]
    ) -> tuple[list[str | None], list[str | None]]:
        """Return columns `name` and `name_trust` for flows: what the peer was asked for as."""
        workloads = self._registry.columns_of(keys["slot"])["workload"]
        names: list[str | None] = []
        trusts: list[str | None] = []
        for workload, address, last in zip(
            workloads.tolist(), columns["peer_addr"], columns["last"].tolist(), strict=True
        ):
            known = None
            if address is not None:
                boot_ns = last - self._clock.utc_offset_ns
                known = self._names.name_of(workload, address, boot_ns)
            names.append(escape(known[0].encode()) if known else None)
            trusts.append(known[1] if known else None)
        return names, trusts
