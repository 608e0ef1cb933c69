"""Rules on namespaces: what enforces in them, and what parts their network."""

from __future__ import annotations

from collections.abc import Iterator

from ethogram.posture.objects import KubeObject, World
from ethogram.posture.pods import Problem

__all__ = ["ENFORCE", "namespace_problems"]

ENFORCE = "pod-security.kubernetes.io/enforce"
_ENFORCING = ("baseline", "restricted")
# The cluster's own: what runs there has to be privileged, and leases have no pods.
_OF_THE_CLUSTER = ("kube-system", "kube-public", "kube-node-lease")


def namespace_problems(one: KubeObject, world: World) -> Iterator[tuple[str, Problem]]:
    """Yield what *one*, a namespace, lacks."""
    name = one.who.name
    if (one.who.group, one.who.kind) != ("", "Namespace") or name in _OF_THE_CLUSTER:
        return
    level = one.labels.get(ENFORCE)
    if level not in _ENFORCING:
        path = ("metadata", "labels", ENFORCE)
        yield "namespace-without-enforcement", Problem(path, level, "baseline or restricted")
    policies = world.of_kind("NetworkPolicy", "CiliumNetworkPolicy")
    if not any(policy.who.namespace == name for policy in policies):
        problem = Problem(("metadata", "name"), name, "a NetworkPolicy in it")
        yield "namespace-without-network-policy", problem
