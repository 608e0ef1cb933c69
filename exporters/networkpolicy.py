"""Baseline -> NetworkPolicy: who may connect to the workload's pods, and to whom they may.

Both directions deny by default. Policies of one pod add up, so the baselines of its containers
give one policy each. A policy denies as soon as it is applied: there is none that only logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension, PeerValue, Rule
from ethogram.contracts.exports import artifact_path
from exporters.kubernetes import (
    NAMESPACE_LABEL,
    dump_documents,
    kind_part,
    object_name,
    provenance,
    stable_selector,
    subject_key,
)
from exporters.networkpolicy_addresses import sort_key
from exporters.networkpolicy_choices import SETTINGS, read_choices
from exporters.networkpolicy_findings import findings_about, refusal
from exporters.networkpolicy_peers import Block, Flow, Peer, Pods, cluster_dns, flows_of
from exporters.networkpolicy_ports import Port
from exporters.observed import require_observed
from exporters.overlap import overlap
from exporters.protocol import Artifact, Finding, Options

__all__ = ["ADDRESSES_ANNOTATION", "EXTERNAL_ANNOTATION", "NetworkPolicyExporter", "exporter"]

ADDRESSES_ANNOTATION = "ethogram.dev/addresses"
EXTERNAL_ANNOTATION = "ethogram.dev/external"
# An API server takes 256 KiB of annotations: names are there to be read, not to be complete.
_MOST_NAMES = 50
_NAME_LENGTH = 1024

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
        if choices.is_dns_always and not any(flow.is_cluster_dns for flow in flows):
            flows += cluster_dns()
        yield _artifact(baseline, flows)
        yield from (item for item in items if isinstance(item, Finding))
        yield from findings_about(baseline, flows, options, entered)

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own."""
        yield from overlap(baseline, others)


def exporter() -> NetworkPolicyExporter:
    """Return the exporter."""
    return NetworkPolicyExporter()


def _order(rule: Rule[PeerValue]) -> tuple[str, str, str, int, str]:
    value = rule.value
    return (value.direction, value.protocol, value.address, value.port or 0, rule.id)


def _artifact(baseline: Baseline, flows: Sequence[Flow]) -> Artifact:
    subject = baseline.subject
    path = artifact_path(
        namespace=subject.namespace,
        kind=subject.kind,
        name=subject.name,
        unit=subject.container,
        target="networkpolicy",
        suffix="yaml",
    )
    content = dump_documents([_policy(baseline, flows)])
    return Artifact(path, "networkpolicy", subject_key(subject), content)


def _policy(baseline: Baseline, flows: Sequence[Flow]) -> dict[str, Any]:
    subject = baseline.subject
    unit = [] if subject.container is None else [subject.container]
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": stable_selector(subject.selector)},
        "policyTypes": ["Ingress", "Egress"],
    }
    # A listed type without rules denies. An empty list says the same by the specification, and
    # the opposite to one plugin that reads it from JSON: the key stays away.
    for key, side, direction in (("ingress", "from", "in"), ("egress", "to", "out")):
        if rules := _rules([flow for flow in flows if flow.direction == direction], side, baseline):
            spec[key] = rules
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": object_name("ethogram", kind_part(subject.kind), subject.name, *unit),
            "namespace": subject.namespace,
            "labels": {"app.kubernetes.io/managed-by": "ethogram"},
            "annotations": provenance(baseline) | _names(flows),
        },
        "spec": spec,
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
    """Return the rules of one direction: peers with the same ports share one."""
    ports: dict[Peer, set[Port]] = {}
    for flow in flows:
        ports.setdefault(_identity(flow.peer), set()).update(flow.ports)
    peers: dict[tuple[Port, ...], list[Peer]] = {}
    for peer in sorted(ports, key=_peer_order):
        peers.setdefault(tuple(sorted(ports[peer], key=_port_order)), []).append(peer)
    return [
        {
            side: [_peer(peer, baseline.subject.namespace) for peer in peers[key]],
            "ports": [{"protocol": protocol, "port": port} for protocol, port in key],
        }
        for key in sorted(peers, key=lambda key: [_port_order(port) for port in key])
    ]


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


def _port_order(port: Port) -> tuple[str, int, str]:
    protocol, number = port
    return (protocol, number, "") if isinstance(number, int) else (protocol, 1 << 16, number)
