"""CiliumNetworkPolicies: which recorded connections would not have come about, by all of them.

Policies are a union, so each connection is judged by all that were given, at both ends: the other
one's where it was not recorded itself. Where Cilium would know more of a peer than the recording,
every identity that it may have is asked, and there is a verdict where all agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ethogram.contracts.policy_cilium import Direction, Identity, allows, selects
from ethogram.errors import ExportError
from exporters.replay.address_book import NAMELESS, AddressBook, Target
from exporters.replay.observations import Observations, Sight
from exporters.replay.protocol import (
    Denied,
    Judged,
    Outcome,
    Picked,
    Policy,
    Relaxation,
    Unjudged,
)

__all__ = ["CiliumReplayer", "replayer"]

_KINDS = frozenset({"CiliumNetworkPolicy"})
_API = "cilium.io/"
_KEYS = (
    *("workload", "instance", "phase", "exe", "direction", "family", "type", "protocol"),
    *("local_addr", "peer_addr", "local_port", "peer_port", "nat_addr", "nat_port"),
    *("name", "name_trust"),
)
_IP = (2, 10)
_TRANSPORTS = {6: "TCP", 17: "UDP", 132: "SCTP"}
# Protocol 0 is what is usual for the type of the socket.
_USUAL = {1: "TCP", 2: "UDP"}
# Types of ICMP are not recorded: what begins is an echo request.
_ECHO = {1: ("ICMP", 8), 58: ("ICMPv6", 128)}
_SIDES: Mapping[str, str] = {"in": "ingress", "out": "egress"}
_MALFORMED = (ExportError, KeyError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True, slots=True)
class CiliumReplayer:
    """Answers as `ethogram.contracts.policy_cilium` does."""

    target: str = "cilium"

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document* is a policy of Cilium for the pods of a namespace."""
        del path
        is_cilium = str(document.get("apiVersion", "")).startswith(_API)
        return is_cilium and document.get("kind") in _KINDS

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what the policies do to the connections of the pods that they pick."""
        if "peers" in seen.not_looked_at:
            yield from (Picked(one.path) for one in policies)
            yield Unjudged("the recorder did not look at peers", 1)
            return
        judge = _Judge(policies, AddressBook(seen))
        pods = {
            number: pod
            for number, row in seen.workloads.items()
            if (pod := _pod_of(row)) is not None and judge.policies_of(pod)
        }
        if not pods:
            return
        for policy in {one.path: one for pod in pods.values() for one in judge.policies_of(pod)}:
            yield Picked(policy)
        derived = {"epoch": ("last", judge.book.epochs)}
        rows = seen.grouped("network", _KEYS, count="connections", derived=derived).to_pylist()
        counts = dict.fromkeys(pods, 0)
        for row in rows:
            if row["workload"] in pods and row["direction"] in _SIDES and row["family"] in _IP:
                instance = seen.instances.get(row["instance"], {})
                for outcome in _of_row(judge, pods, row, instance):
                    if isinstance(outcome, Judged):
                        counts[row["workload"]] += outcome.count
                    else:
                        yield outcome
        for workload, count in counts.items():
            yield Judged("connections", count, workload)


def replayer() -> CiliumReplayer:
    """Return the replayer."""
    return CiliumReplayer()


def _pod_of(row: Mapping[str, Any]) -> Identity | None:
    if row["namespace"] is None:
        return None
    return Identity(namespace=row["namespace"], labels=row["labels"] or row["selector"] or {})


@dataclass(frozen=True, slots=True)
class _Judge:
    """Asks all policies, and names the one that is malformed."""

    policies: Sequence[Policy]
    book: AddressBook

    def policies_of(self, pod: Identity) -> list[Policy]:
        return [one for one in self.policies if self._asked(one, lambda it: selects(it, pod))]

    def allows(self, pod: Identity, peer: Identity, way: Direction, means: tuple[str, int]) -> bool:
        mine = self.policies_of(pod)
        for one in mine:  # each alone first, so that what is malformed has a name
            self._asked(one, lambda it: _allowed([it], pod, peer, way, means))
        return _allowed([one.document for one in mine], pod, peer, way, means)

    def _asked(self, policy: Policy, question: Any) -> bool:
        try:
            return bool(question(policy.document))
        except _MALFORMED as error:
            text = error.message if isinstance(error, ExportError) else type(error).__name__
            raise ExportError(f"`{policy.path}`: {text}") from error


def _allowed(
    documents: Sequence[Mapping[str, Any]],
    pod: Identity,
    peer: Identity,
    way: Direction,
    means: tuple[str, int],
) -> bool:
    return allows(documents, pod, peer, direction=way, protocol=means[0], port=means[1])


def _of_row(
    judge: _Judge,
    pods: Mapping[int, Identity],
    row: Mapping[str, Any],
    instance: Mapping[str, Any],
) -> Iterator[Outcome]:
    """Yield the outcome of one kind of connection, and a `Judged` where there is a verdict."""
    workload, count = row["workload"], row["connections"]
    if reason := _never_judged(row, instance):
        yield Unjudged(reason, count, workload=workload)
        return
    if _is_own(row):
        return
    targets = _targets(judge.book, row)
    answers = {_answer(judge, pods, row, target) for target in targets}
    doubts = sorted(reason for verdict, reason in answers if verdict is None)
    verdicts = {verdict for verdict, _ in answers}
    target = targets[0]
    if doubts or len(verdicts) > 1:
        what = doubts[0] if doubts else "what answered is not known, and some of it is allowed"
        yield Unjudged(f"{_rule(row, target)}: {what}", count, workload=workload)
        return
    yield Judged("connections", count, workload)
    [(verdict, side)] = answers
    if not verdict:
        yield Denied(
            policy=judge.policies_of(pods[workload])[0].path,
            rule=_rule(row, target),
            answer=f"dropped: no rule of {side} allows it",
            workload=workload,
            count=count,
            sight=Sight(row["window"], row["instance"], row["phase"], exe=row["exe"] or None),
            relaxation=Relaxation(f"a rule of {side}: {_rule(row, target)}"),
        )


def _answer(
    judge: _Judge, pods: Mapping[int, Identity], row: Mapping[str, Any], target: Target
) -> tuple[bool | None, str]:
    """Return whether it comes about, None where that is not known, and what decides."""
    own, way = pods[row["workload"]], row["direction"]
    port = row["local_port"] if way == "in" else target.port
    means = _ECHO.get(row["protocol"]) or (_protocol(row) or "", port or NAMELESS)
    verdicts = {judge.allows(own, peer, way, means) for peer in _identities(row, target)}
    side = _SIDES[way]
    if verdicts == {True} and target.kind == "pod" and target.workload not in pods:
        [peer] = _identities(row, target)
        other: Direction = "in" if way == "out" else "out"
        if not judge.allows(peer, own, other, means):
            verdicts, side = {False}, f"{_SIDES[other]} of {target.who}"
    if len(verdicts) > 1:
        return None, "whether it is the pod's own node is not known"
    if verdicts == {True}:
        return True, ""
    if way == "in" and target.kind == "node":
        return None, "a node reaches its own pods whatever policies say"
    if means[1] == NAMELESS:
        return None, "the number of its port is not known"
    if not target.is_known:
        return None, "nobody in the recording's inventory has that address"
    return False, side


def _identities(row: Mapping[str, Any], target: Target) -> list[Identity]:
    """Return what Cilium may take the other end for."""
    end = target.endpoint
    if end.namespace is not None:
        return [Identity(end.namespace, end.labels, end.address, end.named_ports)]
    if target.kind in ("node", "apiserver"):
        also = {"kube-apiserver"} if target.kind == "apiserver" else set()
        return [
            Identity(address=end.address, entities=frozenset({place} | also))
            for place in ("host", "remote-node")
        ]
    is_trusted = row["name"] and row["name_trust"] == "resolver" and row["direction"] == "out"
    names = frozenset({row["name"]} if is_trusted else ())
    outside = Identity(address=end.address, names=names)
    if target.kind in ("service", "dns"):
        # No labels pick it: it is outside, or a pod on a node's network.
        node = Identity(address=end.address, entities=frozenset({"host", "remote-node"}))
        return [outside, node]
    return [outside]


def _targets(book: AddressBook, row: Mapping[str, Any]) -> list[Target]:
    if row["direction"] == "in":
        return [book.source(row["peer_addr"], row["epoch"])]
    addr, port = row["peer_addr"], row["peer_port"]
    if row["nat_addr"]:
        addr, port = row["nat_addr"], row["nat_port"] or port
    protocol = _protocol(row) or ""
    return book.targets(addr, port or NAMELESS, protocol, row["epoch"])


def _never_judged(row: Mapping[str, Any], instance: Mapping[str, Any]) -> str | None:
    """Return why no policy has a word about *row*, or the recording too few."""
    if "net" in (instance.get("host_namespaces") or ()):
        return "it is on its host's network, where no CiliumNetworkPolicy applies"
    if not row["peer_addr"]:
        return "the address of the other end was not recorded"
    peer = ip_address(row["peer_addr"])
    if peer.is_multicast or str(peer) == "255.255.255.255":
        return "what goes to a group of addresses is Cilium's to decide"
    if _protocol(row) is None and row["protocol"] not in _ECHO:
        return "protocols other than TCP, UDP, SCTP and ICMP are Cilium's to decide"
    return None


def _is_own(row: Mapping[str, Any]) -> bool:
    peer = ip_address(row["peer_addr"])
    return peer.is_loopback or peer.is_unspecified or row["peer_addr"] == row["local_addr"]


def _protocol(row: Mapping[str, Any]) -> str | None:
    if row["protocol"] == 0:
        return _USUAL.get(row["type"])
    return _TRANSPORTS.get(row["protocol"])


def _rule(row: Mapping[str, Any], target: Target) -> str:
    echo = _ECHO.get(row["protocol"])
    protocol = echo[0] if echo else _protocol(row)
    name = f" ({row['name']})" if row["name"] and row["direction"] == "out" else ""
    if row["direction"] == "in":
        port = "" if echo else f" {row['local_port'] or 'any port'}"
        return f"in {protocol}{port} from {target.who}"
    port = "" if echo else f" {target.port or row['peer_port'] or 'any port'}"
    return f"out {protocol}{port} to {target.who}{name}"
