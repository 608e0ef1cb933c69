"""Whose an address was when it was talked to: what table `addresses` says, as identities of peers.

An address may be several things at a time, such as a node's and the API server's. Then the port
decides: the one that offers it is meant, else the node. What an address was before or after says
nothing: a row of `addresses` counts from `valid_from` until `valid_to`, and of two that are open
the later one. A row replaces one before it that has the same address, kind, name and beginning: it
says when that ended.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.arrow import plain_rows
from ethogram.contracts.escape import escape
from ethogram.contracts.tables import ENUMS
from learner.dimensions import address_text, canonical

__all__ = ["Peers", "current_addresses"]

_Row = Mapping[str, Any]
_Asked = tuple[str, int]  # transport and port

# Where no port decides, the first of these is meant.
_KINDS: Final = ("pod", "node", "external", "service", "dns", "apiserver")
_SERVICES: Final = frozenset({"service", "dns"})
# They are known by what they are, not by where: pods come and go under addresses.
_MOVING: Final = _SERVICES | {"pod"}
_OUT, _IN = ENUMS["direction"].index("out"), ENUMS["direction"].index("in")
_FOREVER = np.iinfo(np.int64).max
_NO_PORT = 65536
_PORTS = _NO_PORT + 1
_STREAM, _DGRAM = 1, 2
_TRANSPORTS: Final = ("", "TCP", "UDP", "SCTP")
_NUMBERS: Final = (6, 17, 132)
_DECIDING = ["direction", "type", "protocol", "peer_port", "last"]


class Peers:
    """The addresses of a recording; *workloads* are the rows of its table `workloads` by number.

    Identities are numbered as they come up, each once, however many addresses it has.
    """

    def __init__(self, addresses: pa.Table, workloads: Mapping[int, _Row]) -> None:
        addresses = current_addresses(addresses)
        self._table = addresses
        self._workloads = workloads
        chunks = addresses.column("addr").chunks or [pa.array([], pa.binary())]
        encoded = pa.concat_arrays(chunks).dictionary_encode()
        self._addresses = encoded.dictionary
        codes = encoded.indices.to_numpy()
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.searchsorted(codes[self._order], np.arange(len(self._addresses) + 1))
        self._since = addresses.column("valid_from").cast(pa.int64()).to_numpy()
        until = pc.fill_null(addresses.column("valid_to").cast(pa.int64()), _FOREVER).to_numpy()
        # Between two bounds nothing changes hands: a time is as good as the number of its epoch.
        self._bounds = np.unique(np.concatenate([self._since, until]))
        self._first_epoch = self._epochs(self._since)
        self._end_epoch = self._epochs(until)
        self._kinds = addresses.column("kind").cast(pa.string())
        self._objects: list[dict[str, Any]] = []
        self._numbers: dict[bytes, int] = {}
        self._known: dict[int, int | None] = {}

    def whose(self, batch: pa.RecordBatch) -> pa.Array:
        """Return for each row of table `network` the number of its peer's identity, or null."""
        rows = batch.num_rows
        if not len(self._addresses):
            return pa.nulls(rows, pa.int32())
        direction = batch.column("direction").indices.to_numpy()
        found = pc.index_in(batch.column("peer_addr"), value_set=self._addresses)
        is_known = pc.is_valid(found).to_numpy(zero_copy_only=False)
        chosen = np.flatnonzero(is_known & ((direction == _OUT) | (direction == _IN)))
        rows_of_peers = batch.select(_DECIDING).take(pa.array(chosen))
        codes = self._codes(rows_of_peers, found.to_numpy(zero_copy_only=False)[chosen])
        encoded = pa.array(codes).dictionary_encode()
        numbers = pa.array(
            [self._number(int(c)) for c in encoded.dictionary.to_numpy()], pa.int32()
        )
        whole = np.full(rows, -1, np.int32)
        whole[chosen] = pc.fill_null(numbers, -1).take(encoded.indices).to_numpy()
        return pa.array(whole, mask=whole < 0)

    def identity(self, number: int) -> dict[str, Any]:
        """Return the identity *number* as JSON has it: what is absent or empty is left out."""
        return self._objects[number]

    def are_moving(self, numbers: pa.Array) -> pa.Array:
        """Return for each of *numbers* whether it is known by what it is, not by its address."""
        moving = [index for index, who in enumerate(self._objects) if who["kind"] in _MOVING]
        return pc.is_in(numbers, value_set=pa.array(moving, pa.int32()))

    def epochs(self, times: pa.ChunkedArray) -> np.ndarray:
        """Return numbers for *times*: between two of one number no address changed hands."""
        return self._epochs(times.cast(pa.int64()).to_numpy())

    def _epochs(self, times_ns: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._bounds, times_ns, side="right")

    def _codes(self, batch: pa.RecordBatch, addresses: np.ndarray) -> np.ndarray:
        """Return what decides about each row in one integer; `_number` takes it apart again."""
        is_out = batch.column("direction").indices.to_numpy() == _OUT
        port = pc.fill_null(batch.column("peer_port").cast(pa.int32()), _NO_PORT).to_numpy()
        code = addresses.astype(np.int64) * (len(self._bounds) + 1)
        code += self._epochs(batch.column("last").cast(pa.int64()).to_numpy())
        code = code * len(_TRANSPORTS) + _transports(batch)
        # To whom a peer came is the port of the workload, and says nothing about the peer.
        code = code * _PORTS + np.where(is_out, port, _NO_PORT)
        codes: np.ndarray = code * 2 + is_out
        return codes

    def _number(self, code: int) -> int | None:
        if code not in self._known:
            rest, is_out = divmod(code, 2)
            rest, port = divmod(rest, _PORTS)
            rest, transport = divmod(rest, len(_TRANSPORTS))
            address, epoch = divmod(rest, len(self._bounds) + 1)
            asked = (_TRANSPORTS[transport], port) if is_out else None
            who = self._who(address, epoch, asked)
            self._known[code] = None if who is None else self._interned(who)
        return self._known[code]

    def _interned(self, who: dict[str, Any]) -> int:
        number = self._numbers.setdefault(canonical([who]), len(self._objects))
        if number == len(self._objects):
            self._objects.append(who)
        return number

    def _who(self, address: int, epoch: int, asked: _Asked | None) -> dict[str, Any] | None:
        """Return who has *address* in *epoch*, for whom *asked* says what was connected to."""
        addr = self._addresses[address].as_py()
        if len(addr) not in (4, 16) or ipaddress.ip_address(addr).is_loopback:
            return None
        rows = self._order[self._starts[address] : self._starts[address + 1]]
        latest = (self._row(row) for row in self._latest(rows, epoch))
        # A node is a node, whatever services it answers for.
        known = [row for row in latest if not (row["kind"] in _SERVICES and _is_endpoint(row))]
        offering = [row for row in known if _targets(row, asked)]
        found = (
            self._identity(row, epoch, _targets(row, asked))
            for row in sorted(offering or known, key=_precedence)
        )
        return next((who for who in found if who is not None), None)

    def _row(self, number: int) -> _Row:
        return plain_rows(self._table.slice(int(number), 1))[0]

    def _valid(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        is_valid = (self._first_epoch[rows] <= epoch) & (epoch < self._end_epoch[rows])
        valid: np.ndarray = rows[is_valid]
        return valid

    def _latest(self, rows: np.ndarray, epoch: int) -> Iterator[int]:
        """Yield of *rows* those that hold in *epoch*: of each kind the ones that began last."""
        valid = self._valid(rows, epoch)
        kinds = [self._kinds[int(row)].as_py() for row in valid]
        since = self._since[valid]
        for row, kind, begun in zip(valid, kinds, since, strict=True):
            if begun == max(t for t, other in zip(since, kinds, strict=True) if other == kind):
                yield row

    def _identity(self, row: _Row, epoch: int, targets: list[str]) -> dict[str, Any] | None:
        """Return who *row* is, *targets* behind the port in question; None where it has no name."""
        kind = row["kind"]
        if kind == "pod":
            return self._pod(row)
        namespace, name = _names(row)
        who: dict[str, Any] = {"kind": kind, "namespace": namespace, "name": name}
        if kind == "apiserver":
            endpoints = self._endpoints(kind, row["name"], epoch)
            who["addresses"] = _addresses(endpoints)
            who["targets"] = sorted({escape(text) for row in endpoints for _, text in _ports(row)})
        elif kind in _MOVING:
            who |= {"selector": _labels(row["selector"]), "targets": targets}
            endpoints = self._endpoints(kind, row["name"], epoch)
            if not who["selector"]:
                endpoints += self._endpoints("external", row["name"], epoch)
            who["addresses"] = _addresses(endpoints)
        return _stated(who) if name else None

    def _pod(self, row: _Row) -> dict[str, Any] | None:
        """Return the owner of a pod; recordings that do not name it may know its workload."""
        owner = {"namespace": row["namespace"], "kind": row["owner_kind"]}
        owner |= {"name": row["owner_name"], "selector": row["selector"]}
        if not owner["kind"] or not owner["name"]:
            owner = dict(self._workloads.get(row["workload"], {}))
        if not owner.get("kind") or not owner.get("name"):
            return None
        return _stated(
            {
                "kind": "pod",
                "namespace": escape(owner["namespace"] or ""),
                "owner": escape(owner["kind"]),
                "name": escape(owner["name"]),
                "selector": _labels(owner["selector"]),
            }
        )

    def _endpoints(self, kind: str, name: str | None, epoch: int) -> list[_Row]:
        """Return what answers for the service *name* without being picked by labels."""
        named = pc.and_(pc.equal(self._kinds, kind), pc.equal(self._table.column("name"), name))
        rows = np.flatnonzero(pc.fill_null(named, False).to_numpy())
        known = (self._row(row) for row in self._valid(rows, epoch))
        return [row for row in known if _is_endpoint(row)]


def current_addresses(addresses: pa.Table) -> pa.Table:
    """Return of the rows that tell of one and the same interval the last."""
    if addresses.column("valid_to").null_count == addresses.num_rows:
        return addresses
    names = ["addr", "kind", "name", "valid_from", "has_selector"]
    values = [
        addresses.column("addr"),
        addresses.column("kind").cast(pa.string()),
        addresses.column("name"),
        addresses.column("valid_from").cast(pa.int64()),
        pc.is_valid(addresses.column("selector")),
        pa.array(np.arange(addresses.num_rows)),
    ]
    rows = pa.table(values, names=[*names, "row"])
    last = rows.group_by(names).aggregate([("row", "max")]).column("row_max").to_numpy()
    return addresses.take(pa.array(np.sort(last)))


def _transports(batch: pa.RecordBatch) -> np.ndarray:
    """Return the place of each row's protocol in `_TRANSPORTS`, 0 for another one."""
    types, protocols = batch.column("type").to_numpy(), batch.column("protocol").to_numpy()
    # Protocol 0 is what is usual for the type of the socket.
    usual = np.select([types == _STREAM, types == _DGRAM], _NUMBERS[:2], 0)
    number = np.where(protocols == 0, usual, protocols)
    return np.select([number == known for known in _NUMBERS], [1, 2, 3], 0)


def _precedence(row: _Row) -> tuple[int, str, str]:
    kind = row["kind"]
    rank = _KINDS.index(kind) if kind in _KINDS else len(_KINDS)
    return rank, row["name"] or "", repr(row["ports"])


def _ports(row: _Row) -> list[tuple[_Asked, str]]:
    """Return the ports of *row*, each with what is behind it, without those that are not whole."""
    ports = [port for port in row["ports"] if port and None not in port.values()]
    return [((port["protocol"], port["port"]), port["target"]) for port in ports]


def _targets(row: _Row, asked: _Asked | None) -> list[str]:
    """Return what is behind the port that was *asked* for: nothing where *row* does not have it."""
    return sorted({escape(target) for port, target in _ports(row) if port == asked and target})


def _is_endpoint(row: _Row) -> bool:
    """Return whether *row* answers itself, without being picked by labels.

    A service's address has other ports behind its own; in recordings that do not state selectors,
    and so no namespaces either, it may look like a node that answers for the service.
    """
    if row["selector"] is not None or (row["kind"] in _SERVICES and not row["namespace"]):
        return False
    return all(target == str(port) for (_, port), target in _ports(row))


def _names(row: _Row) -> tuple[str, str]:
    """Return namespace and name; a node has no namespace."""
    text = row["name"] or ""
    if row["kind"] == "node":
        return "", escape(text)
    namespace, _, name = text.rpartition("/")
    return escape(row["namespace"] or namespace), escape(name)


def _labels(pairs: Iterable[tuple[str, str]] | Mapping[str, str] | None) -> dict[str, str]:
    return {escape(key): escape(value or "") for key, value in dict(pairs or {}).items()}


def _addresses(rows: Iterable[_Row]) -> list[str]:
    packed = {row["addr"] for row in rows}
    return [address_text(addr, None) for addr in sorted(packed, key=lambda a: (len(a), a))]


def _stated(who: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in who.items() if value}
