"""NetworkPolicies as rules of nftables in a pod's own network namespace, as a network plugin would.

A small translator, for policies as we export them: labels by `matchLabels`, blocks without
exceptions, ports by number or range. Anything else raises: what is not understood is not let
through. It shares no code with the exporter or with our reader of policies.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PlacedPod", "enforce"]

_TABLE = """\
table inet networkpolicy {{
	chain input {{
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iifname "lo" accept
		meta l4proto {{ icmp, icmpv6 }} accept
{ingress}
		meta l4proto tcp reject with tcp reset
		reject with icmpx admin-prohibited
	}}
	chain output {{
		type filter hook output priority filter; policy drop;
		ct state established,related accept
		oifname "lo" accept
		meta l4proto {{ icmp, icmpv6 }} accept
{egress}
		meta l4proto tcp reject with tcp reset
		reject with icmpx admin-prohibited
	}}
}}
"""
_OPEN = ["accept"]


@dataclass(frozen=True)
class PlacedPod:
    """A pod and its network namespace: what `nsenter --net=FILE` takes."""

    namespace: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    netns: Path


def enforce(
    policies: Sequence[Mapping[str, Any]], pod: PlacedPod, cluster: Iterable[PlacedPod]
) -> None:
    """Let through in the namespace of *pod* what *policies* allow it among *cluster*."""
    pods = list(cluster)
    sides = (("Ingress", "ingress", "from", "saddr"), ("Egress", "egress", "to", "daddr"))
    chains = {
        section: "\n".join(
            f"\t\t{rule}" for rule in _chain(policies, pod, pods, kind, section, side, field)
        )
        for kind, section, side, field in sides
    }
    subprocess.run(
        ["nsenter", f"--net={pod.netns}", "nft", "-f", "-"],
        input=_TABLE.format(**chains).encode(),
        capture_output=True,
        check=True,
        timeout=30,
    )


def _chain(
    policies: Sequence[Mapping[str, Any]],
    pod: PlacedPod,
    pods: Sequence[PlacedPod],
    kind: str,
    section: str,
    side: str,
    field: str,
) -> Iterator[str]:
    mine = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and _carries(pod, policy["spec"]["podSelector"])
        and kind in policy["spec"]["policyTypes"]
    ]
    if not mine:
        yield from _OPEN
    for policy in mine:
        for rule in policy["spec"].get(section, []):
            for peer in rule[side]:
                for network in _networks(peer, pod.namespace, pods):
                    family = "ip6" if ":" in network else "ip"
                    for port in rule["ports"]:
                        protocol, first = port["protocol"].lower(), int(port["port"])
                        dport = f"{first}-{port['endPort']}" if "endPort" in port else first
                        yield f"{family} {field} {network} {protocol} dport {dport} accept"


def _networks(peer: Mapping[str, Any], namespace: str, pods: Sequence[PlacedPod]) -> list[str]:
    if "ipBlock" in peer:
        assert peer.keys() == {"ipBlock"}
        assert peer["ipBlock"].keys() == {"cidr"}
        return [peer["ipBlock"]["cidr"]]
    assert peer.keys() <= {"namespaceSelector", "podSelector"}
    if "namespaceSelector" in peer:
        labels = peer["namespaceSelector"]["matchLabels"]
        assert labels.keys() == {"kubernetes.io/metadata.name"}
        namespace = labels["kubernetes.io/metadata.name"]
    return [
        address
        for pod in pods
        if pod.namespace == namespace and _carries(pod, peer["podSelector"])
        for address in pod.addresses
    ]


def _carries(pod: PlacedPod, selector: Mapping[str, Any]) -> bool:
    assert selector.keys() == {"matchLabels"}
    return selector["matchLabels"].items() <= pod.labels.items()
