"""Whose an address was when it was talked to, as a network plugin knows it: pods by their labels.

Table `addresses` says what was learnt of a cluster, and from when until when. A connection to a
service's own address ends at one of its pods: which one the plugin knows, and a recording seldom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.labels import VOLATILE_LABELS
from ethogram.contracts.policy_network import Endpoint
from exporters.networkpolicy_addresses import is_public
from exporters.replay.observations import Observations

__all__ = ["AddressBook", "Target"]

_SERVICES = frozenset({"service", "dns", "apiserver"})
_FOREVER = np.iinfo(np.int64).max
# Of several that hold, the first of these is meant.
_KINDS = ("pod", "node", "external", "apiserver", "service", "dns")
# What a port that has a name and no number stands for.
NAMELESS = 0


@dataclass(frozen=True, slots=True)
class Target:
    """One end that a packet may have gone to: *port* is the receiver's own.

    *is_known* is false where nobody in the inventory has the address; *who* is for people, and
    *selector* and *namespace* are what picks such pods. *workload* is the pod's, where recorded.
    """

    endpoint: Endpoint
    port: int
    who: str
    kind: str = "unknown"
    namespace: str | None = None
    selector: Mapping[str, str] | None = None
    workload: int | None = None
    is_guess: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it is certain what a plugin takes it for."""
        return self.kind != "unknown" and not self.is_guess


class AddressBook:
    """The addresses of one recording, looked up by epoch: between two nothing changes hands."""

    def __init__(self, seen: Observations) -> None:
        self._table = seen.addresses
        since = self._table.column("valid_from").cast(pa.int64()).to_numpy()
        until = pc.fill_null(self._table.column("valid_to").cast(pa.int64()), _FOREVER).to_numpy()
        self._bounds = np.unique(np.concatenate([since, until]))
        self._since, self._until = self._at(since), self._at(until)
        self._by_address: dict[bytes, list[int]] = {}
        for number, addr in enumerate(self._table.column("addr").to_pylist()):
            self._by_address.setdefault(addr, []).append(number)
        self._kinds = self._table.column("kind").cast(pa.string()).to_pylist()
        self._names = self._table.column("name").to_pylist()
        self._read: dict[int, dict[str, Any]] = {}

    def epochs(self, times: pa.Array) -> pa.Array:
        """Return the number of the epoch of each of *times*."""
        return pa.array(self._at(times.cast(pa.int64()).to_numpy()))

    def targets(self, addr: bytes, port: int, protocol: str, epoch: int) -> list[Target]:
        """Return where a packet to *port* of *addr* ends: several where that is not known."""
        row = self._whose(addr, epoch)
        text = str(ip_address(addr))
        if row is None:
            return [_stranger(text, port)]
        if row["kind"] == "pod":
            return [_pod(row, text, port)]
        if row["kind"] in _SERVICES and not _is_endpoint(row):
            return list(self._behind(row, port, protocol, epoch))
        return [Target(Endpoint(address=text), port, f"{row['kind']} {text}", row["kind"])]

    def source(self, addr: bytes, epoch: int) -> Target:
        """Return who came from *addr*."""
        row = self._whose(addr, epoch)
        text = str(ip_address(addr))
        if row is None:
            return _stranger(text, 0)
        if row["kind"] == "pod":
            return _pod(row, text, 0)
        return Target(Endpoint(address=text), 0, f"{row['kind']} {text}", row["kind"])

    def _at(self, times_ns: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._bounds, times_ns, side="right")

    def _row(self, number: int) -> dict[str, Any]:
        if number not in self._read:
            row = self._table.slice(number, 1).to_pylist()[0]
            row["labels"] = dict(row["labels"] or ())
            row["selector"] = None if row["selector"] is None else dict(row["selector"])
            self._read[number] = row
        return self._read[number]

    def _valid(self, numbers: Sequence[int], epoch: int) -> list[int]:
        return [n for n in numbers if self._since[n] <= epoch < self._until[n]]

    def _whose(self, addr: bytes, epoch: int) -> dict[str, Any] | None:
        """Return whose *addr* is: of several rows of a kind the one that began last."""
        numbers = self._valid(self._by_address.get(addr, ()), epoch)
        if not numbers:
            return None
        rank = {kind: place for place, kind in enumerate(_KINDS)}
        best = min(numbers, key=lambda n: (rank[self._kinds[n]], -int(self._since[n]), n))
        return self._row(best)

    def _behind(
        self, row: Mapping[str, Any], port: int, protocol: str, epoch: int
    ) -> Iterator[Target]:
        """Yield what may answer for the service *row*."""
        who = f"{row['kind']} {row['name']}"
        wanted = {
            each["target"]
            for each in row["ports"] or ()
            if each and each["protocol"] == protocol and each["port"] == port
        }
        found = list(self._endpoints(row, epoch))
        if row["selector"]:
            found += self._picked(row["namespace"], row["selector"], epoch)
        for target in sorted(filter(None, wanted)):
            number = int(target) if target.isascii() and target.isdecimal() else NAMELESS
            named = {} if number else {(protocol, target): NAMELESS}
            for one in found:
                text = str(ip_address(one["addr"]))
                if one["kind"] == "pod":
                    yield _pod(one, text, number, named=named, who=who, selector=row["selector"])
                else:
                    yield Target(Endpoint(address=text), number, who, row["kind"])
            if not found:
                labels = dict(row["selector"] or {})
                pod = Endpoint(namespace=row["namespace"], labels=labels, named_ports=named)
                yield Target(
                    pod, number, who, "service", row["namespace"], labels or None, is_guess=True
                )
        if not wanted:
            yield Target(Endpoint(), port, f"{who}, port {port}, which it does not have")

    def _endpoints(self, row: Mapping[str, Any], epoch: int) -> Iterator[dict[str, Any]]:
        """Yield what answers for the service *row* without being picked by labels."""
        same = [n for n, name in enumerate(self._names) if name == row["name"]]
        for number in self._valid(same, epoch):
            one = self._row(number)
            of_kind = one["kind"] in (row["kind"], "external") and one["addr"] != row["addr"]
            if of_kind and _is_endpoint(one):
                yield one

    def _picked(
        self, namespace: str | None, selector: Mapping[str, str], epoch: int
    ) -> Iterator[dict[str, Any]]:
        pods = [n for n, kind in enumerate(self._kinds) if kind == "pod"]
        for number in self._valid(pods, epoch):
            one = self._row(number)
            if _namespace(one) == namespace and selector.items() <= one["labels"].items():
                yield one


def _pod(
    row: Mapping[str, Any],
    text: str,
    port: int,
    *,
    named: Mapping[tuple[str, str], int] | None = None,
    who: str | None = None,
    selector: Mapping[str, str] | None = None,
) -> Target:
    namespace = _namespace(row)
    labels = row["labels"]
    kept = {key: value for key, value in labels.items() if key not in VOLATILE_LABELS}
    endpoint = Endpoint(
        namespace=namespace, labels=labels, address=text, named_ports=dict(named or {})
    )
    return Target(
        endpoint,
        port,
        who or _owner(row) or f"pod {row['name'] or text}",
        "pod",
        namespace,
        selector or row["selector"] or kept or None,
        row["workload"],
    )


def _owner(row: Mapping[str, Any]) -> str | None:
    """Return what keeps its name while pods come and go."""
    kind, name = row["owner_kind"], row["owner_name"]
    return f"pods of {_namespace(row)}/{kind}/{name}" if kind and name else None


def _stranger(text: str, port: int) -> Target:
    """Return an address that the inventory does not have: outside, or a pod that it missed."""
    address = ip_address(text)
    is_outside = is_public(address) or address.is_link_local
    return Target(Endpoint(address=text), port, text, "external" if is_outside else "unknown")


def _namespace(row: Mapping[str, Any]) -> str | None:
    namespace, _, _ = (row["name"] or "").rpartition("/")
    return row["namespace"] or namespace or None


def _is_endpoint(row: Mapping[str, Any]) -> bool:
    """Return whether *row* answers itself: a service's address has other ports behind its own."""
    if row["selector"] is not None:
        return False
    return all(each["target"] == str(each["port"]) for each in row["ports"] or () if each)
