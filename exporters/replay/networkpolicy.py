"""NetworkPolicies: which recorded connections would not have come about, by all of them together.

Policies are a union, so each connection is judged by all that were given. Both ends are: the
workload's own by its policies, the other one by its own where it was not recorded itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, TypeAlias

from ethogram.contracts.policy_network import Direction, Endpoint, allows, selects
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

__all__ = ["NetworkPolicyReplayer", "replayer"]

_API = "networking.k8s.io/"
_KEYS = (
    *("workload", "instance", "phase", "exe", "direction", "family", "type", "protocol"),
    *("local_addr", "peer_addr", "local_port", "peer_port", "nat_addr", "nat_port"),
)
_IP = (2, 10)
_TRANSPORTS = {6: "TCP", 17: "UDP", 132: "SCTP"}
# Protocol 0 is what is usual for the type of the socket.
_USUAL = {1: "TCP", 2: "UDP"}
_SIDES: Mapping[str, tuple[str, str]] = {"in": ("ingress", "from"), "out": ("egress", "to")}


_MALFORMED = (ExportError, KeyError, TypeError, AttributeError, ValueError)
_Documents: TypeAlias = Sequence[tuple[Policy, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class NetworkPolicyReplayer:
    """Answers as the specification of NetworkPolicy says."""

    target: str = "networkpolicy"

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document* is a NetworkPolicy of Kubernetes itself."""
        del path
        return document.get("kind") == "NetworkPolicy" and str(
            document.get("apiVersion", "")
        ).startswith(_API)

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what the policies do to the connections of the pods that they pick."""
        if "peers" in seen.not_looked_at:
            yield from (Picked(one.path) for one in policies)
            yield Unjudged("the recorder did not look at peers", 1)
            return
        pods = {
            number: pod
            for number, row in seen.workloads.items()
            if (pod := _pod_of(row)) and any(_selects(policy, pod) for policy in policies)
        }
        if not pods:
            return
        for policy in policies:
            if any(_selects(policy, pod) for pod in pods.values()):
                yield Picked(policy.path)
        book = AddressBook(seen)
        derived = {"epoch": ("last", book.epochs)}
        rows = seen.grouped("network", _KEYS, count="connections", derived=derived).to_pylist()
        judge = _judge(policies, pods, book, seen)
        counts = dict.fromkeys(pods, 0)
        for row in rows:
            if row["workload"] in pods and row["direction"] in _SIDES and row["family"] in _IP:
                for outcome in judge.of_row(row):
                    if isinstance(outcome, Judged):
                        counts[row["workload"]] += outcome.count
                    else:
                        yield outcome
        for workload, count in counts.items():
            yield Judged("connections", count, workload)


def replayer() -> NetworkPolicyReplayer:
    """Return the replayer."""
    return NetworkPolicyReplayer()


def _pod_of(row: Mapping[str, Any]) -> Endpoint | None:
    """Return the pods of a workload; None where it has no namespace, and so is none of a pod."""
    if row["namespace"] is None:
        return None
    return Endpoint(namespace=row["namespace"], labels=row["labels"] or row["selector"])


def _selects(policy: Policy, pod: Endpoint) -> bool:
    try:
        return selects(policy.document, pod)
    except _MALFORMED as error:
        raise _broken(policy, error) from error


def _broken(policy: Policy, error: Exception) -> ExportError:
    cause = error.message if isinstance(error, ExportError) else f"{type(error).__name__}: {error}"
    return ExportError(f"`{policy.path}`: {cause}")


def _judge(
    policies: Sequence[Policy],
    pods: Mapping[int, Endpoint],
    book: AddressBook,
    seen: Observations,
) -> _Judge:
    return _Judge(
        policies,
        pods,
        book,
        seen,
        documents=[(one, one.document) for one in policies],
        with_any_port=[(one, _widened(one, _without_named_port)) for one in policies],
        with_any_pod=[(one, _widened(one, _with_every_pod)) for one in policies],
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges one connection after the other."""

    policies: Sequence[Policy]
    pods: Mapping[int, Endpoint]
    book: AddressBook
    seen: Observations
    documents: _Documents
    with_any_port: _Documents
    with_any_pod: _Documents

    def of_row(self, row: Mapping[str, Any]) -> Iterator[Outcome]:
        """Yield the outcome of one kind of connection, and a `Judged` where there is a verdict."""
        workload, count = row["workload"], row["connections"]
        if reason := _never_judged(row, self.seen):
            if reason != _OWN:
                yield Unjudged(reason, count, workload=workload)
            return
        protocol = _protocol(row)
        assert protocol is not None
        targets = self._targets(row, protocol)
        answers = [self._answer(row, target, protocol) for target in targets]
        if len({answer for answer, _ in answers}) > 1:
            what = "which pod answered is not known, and the policies let it reach some of them"
            yield Unjudged(f"{_rule(row, targets[0], protocol)}: {what}", count, workload=workload)
            return
        answer, reason = answers[0]
        if answer is None:
            yield Unjudged(
                f"{_rule(row, targets[0], protocol)}: {reason}", count, workload=workload
            )
            return
        yield Judged("connections", count, workload)
        if not answer:
            yield self._denied(row, targets[0], protocol, reason)

    def _targets(self, row: Mapping[str, Any], protocol: str) -> list[Target]:
        epoch = row["epoch"]
        if row["direction"] == "in":
            return [self.book.source(row["peer_addr"], epoch)]
        addr, port = row["peer_addr"], row["peer_port"]
        if row["nat_addr"]:
            addr, port = row["nat_addr"], row["nat_port"] or port
        return self.book.targets(addr, port or NAMELESS, protocol, epoch)

    def _answer(
        self, row: Mapping[str, Any], target: Target, protocol: str
    ) -> tuple[bool | None, str]:
        """Return whether it comes about, None where that is not known, and what decides."""
        own, direction = self.pods[row["workload"]], row["direction"]
        port = row["local_port"] if direction == "in" else target.port
        other = "in" if direction == "out" else "out"
        ends: list[tuple[Endpoint, Endpoint, Direction, str]] = [
            (own, target.endpoint, direction, _SIDES[direction][0])
        ]
        if target.kind == "pod" and target.workload not in self.pods:
            side = f"{_SIDES[other][0]} of {target.who}"
            ends.append((target.endpoint, own, other, side))  # type: ignore[arg-type]
        for pod, peer, way, side in ends:
            asked = {"direction": way, "protocol": protocol, "port": port or NAMELESS}
            if self._allows(self.documents, pod, peer, asked):
                continue
            if way == "in" and target.kind == "node":
                return None, "a node reaches its own pods whatever policies say"
            if self._allows(self.with_any_port, pod, peer, asked):
                return None, "the number of a port that the policy names is not known"
            if not target.is_known and self._allows(self.with_any_pod, pod, peer, asked):
                return None, "nobody in the recording's inventory has that address"
            return False, side
        return True, ""

    def _allows(
        self, documents: _Documents, pod: Endpoint, peer: Endpoint, asked: Mapping[str, Any]
    ) -> bool:
        of_pod = [document for policy, document in documents if _selects(policy, pod)]
        try:
            return allows(of_pod, pod, peer, **asked)
        except _MALFORMED as error:
            raise _broken(documents[0][0], error) from error

    def _denied(self, row: Mapping[str, Any], target: Target, protocol: str, side: str) -> Denied:
        own = self.pods[row["workload"]]
        mine = next((policy for policy in self.policies if _selects(policy, own)), self.policies[0])
        is_own = side == _SIDES[row["direction"]][0]
        return Denied(
            policy=mine.path if is_own else _path_for(self.policies, target.endpoint),
            rule=_rule(row, target, protocol),
            answer=f"dropped: no rule of {side} allows it",
            workload=row["workload"],
            count=row["connections"],
            sight=Sight(row["window"], row["instance"], row["phase"], exe=row["exe"] or None),
            relaxation=_relaxation(mine, row, target, protocol)
            if is_own
            else Relaxation(f"a rule of {side} for these pods"),
        )


_OWN = "own"


def _never_judged(row: Mapping[str, Any], seen: Observations) -> str | None:
    """Return why no policy has a word about *row*; `_OWN` where it stays in the pod."""
    namespaces = seen.instances.get(row["instance"], {}).get("host_namespaces") or ()
    if "net" in namespaces:
        return "it is on its host's network, where no NetworkPolicy applies"
    if not row["peer_addr"]:
        return "the address of the other end was not recorded"
    peer = ip_address(row["peer_addr"])
    if peer.is_loopback or peer.is_unspecified or row["peer_addr"] == row["local_addr"]:
        return _OWN
    if peer.is_multicast or str(peer) == "255.255.255.255":
        return "what goes to a group of addresses is the network plugin's to decide"
    if _protocol(row) is None:
        return "protocols other than TCP, UDP and SCTP are the network plugin's to decide"
    return None


def _protocol(row: Mapping[str, Any]) -> str | None:
    if row["protocol"] == 0:
        return _USUAL.get(row["type"])
    return _TRANSPORTS.get(row["protocol"])


def _rule(row: Mapping[str, Any], target: Target, protocol: str) -> str:
    if row["direction"] == "in":
        return f"in {protocol} {row['local_port'] or 'any port'} from {target.who}"
    port = target.port or row["peer_port"]
    return f"out {protocol} {port or 'any port'} to {target.who}"


def _path_for(policies: Sequence[Policy], pod: Endpoint) -> str:
    return next((one.path for one in policies if _selects(one, pod)), policies[0].path)


def _relaxation(
    policy: Policy, row: Mapping[str, Any], target: Target, protocol: str
) -> Relaxation:
    section, side = _SIDES[row["direction"]]
    peer: dict[str, Any] | None = None
    if target.selector:
        peer = {"podSelector": {"matchLabels": dict(target.selector)}}
        if target.namespace != policy.document["metadata"].get("namespace"):
            name = {"kubernetes.io/metadata.name": target.namespace}
            peer = {"namespaceSelector": {"matchLabels": name}} | peer
    elif target.endpoint.address:
        bits = 128 if ":" in target.endpoint.address else 32
        peer = {"ipBlock": {"cidr": f"{target.endpoint.address}/{bits}"}}
    port = row["local_port"] if row["direction"] == "in" else target.port
    if peer is None or not port:
        return Relaxation("a rule for that peer: what picks it is not known")
    rule = {side: [peer], "ports": [{"protocol": protocol, "port": port}]}
    has_rules = bool(policy.document["spec"].get(section))
    step = {
        "op": "add",
        "path": f"/spec/{section}/-" if has_rules else f"/spec/{section}",
        "value": rule if has_rules else [rule],
    }
    name = policy.document["metadata"].get("name")
    way = "from" if side == "from" else "to"
    words = f"a rule of {section} in `{name}`: {protocol} port {port} {way} {target.who}"
    return Relaxation(words, (step,))


def _widened(policy: Policy, widen: Any) -> Mapping[str, Any]:
    """Return the document of *policy* with *widen* applied to each of its rules."""
    try:
        spec = dict(policy.document.get("spec") or {})
        for section, side in _SIDES.values():
            if spec.get(section):
                spec[section] = [widen(dict(rule), side) for rule in spec[section]]
    except _MALFORMED as error:
        raise _broken(policy, error) from error
    return {**policy.document, "spec": spec}


def _without_named_port(rule: dict[str, Any], side: str) -> dict[str, Any]:
    del side
    rule["ports"] = [
        {**each, "port": None} if isinstance(each.get("port"), str) else each
        for each in rule.get("ports") or ()
    ]
    return rule


def _with_every_pod(rule: dict[str, Any], side: str) -> dict[str, Any]:
    peers = rule.get(side) or ()
    if any("ipBlock" not in each for each in peers):
        rule[side] = []
    return _without_named_port(rule, side)
