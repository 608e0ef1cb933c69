"""Baseline -> NetworkPolicy: who may connect to the workload's pods, and to whom they may.

Both directions deny by default. Policies of one pod add up, so the baselines of its containers
give one policy each. A policy denies as soon as it is applied: there is none that only logs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ethogram.contracts.baseline import Baseline, Dimension, PeerValue, Rule
from exporters.files import artifact_of
from exporters.kubernetes import (
    NAMESPACE_LABEL,
    annotations_of,
    dump_documents,
    kind_part,
    object_name,
    stable_selector,
)
from exporters.kubernetes_objects import check_object
from exporters.kubernetes_parts import (
    findings_of_documents,
    part_annotation,
    part_of_name,
    part_of_place,
    parts_of,
)
from exporters.network_tightness import network_tightness
from exporters.networkpolicy_addresses import sort_key
from exporters.networkpolicy_choices import SETTINGS, read_choices
from exporters.networkpolicy_findings import findings_about, refusal
from exporters.networkpolicy_model import NetworkPolicy
from exporters.networkpolicy_peers import (
    Block,
    Flow,
    Peer,
    Pods,
    cluster_dns,
    flows_of,
    is_node_local,
)
from exporters.networkpolicy_ports import Port, port_order, ranges_of
from exporters.observed import require_observed
from exporters.overlap import overlap
from exporters.protocol import Artifact, Finding, Options, Reason, Why

__all__ = ["ADDRESSES_ANNOTATION", "EXTERNAL_ANNOTATION", "NetworkPolicyExporter", "exporter"]

ADDRESSES_ANNOTATION = "ethogram.dev/addresses"
EXTERNAL_ANNOTATION = "ethogram.dev/external"
# An API server takes 256 KiB of annotations: names are there to be read, not to be complete.
_MOST_NAMES = 50
_NAME_LENGTH = 1024

_SIDES = (("ingress", "from", "in"), ("egress", "to", "out"))

# A flow, and the rule that asks for it; nobody's where a setting does.
_Cause: TypeAlias = tuple[Flow, str | None]

# A recorder that sees no names asked for sees no UDP either.
_NEEDED: frozenset[Dimension] = frozenset({"peers", "dns"})


@dataclass(frozen=True, slots=True)
class NetworkPolicyExporter:
    """Writes one `networking.k8s.io/v1` NetworkPolicy for each baseline."""

    name: str = "networkpolicy"
    summary: str = "Kubernetes NetworkPolicy: the peers that were seen, both ways"
    dimensions: frozenset[Dimension] = frozenset({"peers"})
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        read_choices(options)

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the policy, then what there is to know about it; or why there is none."""
        choices = read_choices(options)
        if reason := refusal(baseline):
            yield reason
            return
        require_observed(baseline, _NEEDED)
        of_rules = [
            (rule, list(flows_of(rule, choices)))
            for rule in sorted(baseline.rules.peers, key=_order)
        ]
        entered = [
            rule
            for rule, found in of_rules
            if rule.evidence.phases == ("exec",) and any(isinstance(one, Flow) for one in found)
        ]
        items = [item for _, found in of_rules for item in found]
        flows = [item for item in items if isinstance(item, Flow)]
        causes: list[_Cause] = [
            (flow, rule.id) for rule, found in of_rules for flow in found if isinstance(flow, Flow)
        ]
        if choices.is_dns_always and not any(flow.is_cluster_dns for flow in flows):
            added = list(cluster_dns())
            flows += added
            causes += [(flow, None) for flow in added]
        documents = list(_policies(baseline, options, flows))
        for document in documents:
            check_object(NetworkPolicy, document)
        reasons = tuple(_reasons(documents, causes, baseline.subject.namespace))
        measured = network_tightness(documents)
        yield replace(_artifact(baseline, documents), reasons=reasons, tightness=measured)
        yield from (item for item in items if isinstance(item, Finding))
        yield from findings_about(baseline, flows, options, entered)
        yield from findings_of_documents(documents)

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own."""
        yield from overlap(baseline, others)


def exporter() -> NetworkPolicyExporter:
    """Return the exporter."""
    return NetworkPolicyExporter()


def _order(rule: Rule[PeerValue]) -> tuple[str, str, str, int, str]:
    value = rule.value
    return (value.direction, value.protocol, value.address, value.port or 0, rule.id)


def _artifact(baseline: Baseline, documents: Sequence[Mapping[str, Any]]) -> Artifact:
    return artifact_of(baseline.subject, "networkpolicy", "yaml", dump_documents(documents))


def _policies(
    baseline: Baseline, options: Options, flows: Sequence[Flow]
) -> Iterator[dict[str, Any]]:
    """Yield the policy; of one that is too large for a cluster, parts that add up to it."""
    subject = baseline.subject
    unit = [] if subject.container is None else [subject.container]
    sections = {
        key: _rules([flow for flow in flows if flow.direction == direction], side, baseline)
        for key, side, direction in _SIDES
    }
    parts = parts_of(sections)
    for number, part in enumerate(parts, 1):
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": object_name(
                    "ethogram", kind_part(subject.kind), subject.name, *unit, *part_of_name(number)
                ),
                "namespace": subject.namespace,
                "labels": {"app.kubernetes.io/managed-by": "ethogram"},
                "annotations": annotations_of(baseline, options)
                | part_annotation(number, len(parts))
                | (_names(flows) if number == 1 else {}),
            },
            # A listed type without rules denies. An empty list says the same by the specification,
            # and the opposite to one plugin that reads it from JSON: the key stays away.
            "spec": {
                "podSelector": {"matchLabels": stable_selector(subject.selector)},
                "policyTypes": ["Ingress", "Egress"],
                **part,
            },
        }


def _names(flows: Iterable[Flow]) -> dict[str, str]:
    """Return the annotations that say whose the addresses are: by the inventory, and by DNS."""
    blocks = {flow.peer for flow in flows if isinstance(flow.peer, Block)}
    return {
        **_listed(ADDRESSES_ANNOTATION, ((each.cidr, each.who) for each in blocks)),
        **_listed(EXTERNAL_ANNOTATION, ((each.cidr, each.name) for each in blocks)),
    }


def _listed(key: str, pairs: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    names = sorted(
        {(sort_key(cidr), cidr, name) for cidr, name in pairs if name and len(name) <= _NAME_LENGTH}
    )
    if not names:
        return {}
    text = [f"{cidr}={name}" for _, cidr, name in names[:_MOST_NAMES]]
    if more := len(names) - len(text):
        text.append(f"and {more} more")
    return {key: ", ".join(text)}


def _rules(flows: Iterable[Flow], side: str, baseline: Baseline) -> list[dict[str, Any]]:
    return [
        {
            side: [_peer(peer, baseline.subject.namespace) for peer in peers],
            "ports": [
                {"protocol": protocol, "port": first} | ({} if last is None else {"endPort": last})
                for protocol, first, last in ranges_of(ports)
            ],
        }
        for ports, peers in _groups(flows)
    ]


def _groups(flows: Iterable[Flow]) -> list[tuple[tuple[Port, ...], list[Peer]]]:
    """Return ports with the peers that have just these, in the order of the rules."""
    ports: dict[Peer, set[Port]] = {}
    for flow in flows:
        ports.setdefault(_identity(flow.peer), set()).update(flow.ports)
    peers: dict[tuple[Port, ...], list[Peer]] = {}
    for peer in sorted(ports, key=_peer_order):
        peers.setdefault(tuple(sorted(ports[peer], key=port_order)), []).append(peer)
    return [(key, peers[key]) for key in sorted(peers, key=lambda key: [*map(port_order, key)])]


def _reasons(
    documents: Sequence[Mapping[str, Any]], causes: Sequence[_Cause], namespace: str | None
) -> Iterator[Reason]:
    yield Reason("spec.podSelector", "default", source="what the workload's owner picks pods by")
    by_peer: dict[tuple[str, str], list[_Cause]] = {}
    for cause in causes:
        item = _peer(cause[0].peer, namespace)
        by_peer.setdefault((cause[0].direction, json.dumps(item)), []).append(cause)
    for number, (key, _, direction) in enumerate(_SIDES):
        is_seen = any(flow.direction == direction for flow, _ in causes)
        what = "what is not listed is denied" if is_seen else "no connection was seen"
        why: Why = "default" if is_seen else "unused"
        yield Reason(f"spec.policyTypes[{number}]", why, source=f"{key}: {what}")
    for number, document in enumerate(documents, 1):
        part = part_of_place(document["kind"], number)
        for key, side, direction in _SIDES:
            for at, rule in enumerate(document["spec"].get(key, ())):
                for index, item in enumerate(rule[side]):
                    place = f"{part}spec.{key}[{at}].{side}[{index}]"
                    yield _reason(place, by_peer[direction, json.dumps(item)])


def _reason(place: str, causes: Sequence[_Cause]) -> Reason:
    """Return why a peer stands at *place*; it has at least one of *causes*."""
    rules = tuple(sorted({rule for _, rule in causes if rule is not None}))
    if not rules:
        return Reason(place, "default", source="setting `dns=always`")
    if all(is_node_local(flow) for flow, _ in causes):
        return Reason(place, "tolerance", rules, "where nodes cache the cluster's DNS, it is here")
    return Reason(place, "observed", rules)


def _identity(peer: Peer) -> Peer:
    return Block(peer.cidr) if isinstance(peer, Block) else peer


def _peer(peer: Peer, namespace: str | None) -> dict[str, Any]:
    if isinstance(peer, Block):
        return {"ipBlock": {"cidr": peer.cidr}}
    pods = {"podSelector": {"matchLabels": dict(peer.selector)}}
    if peer.namespace == namespace:
        return pods
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: peer.namespace}}} | pods


def _peer_order(peer: Peer) -> tuple[str, tuple[tuple[str, str], ...], tuple[int, int, int]]:
    if isinstance(peer, Pods):
        return (peer.namespace, peer.selector, (0, 0, 0))
    return ("~", (), sort_key(peer.cidr))  # after every namespace
