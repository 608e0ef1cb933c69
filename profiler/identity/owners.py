"""Who owns a pod: the workload that a person wrote, not the object that a controller made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ethogram.contracts.labels import VOLATILE_LABELS
from profiler.identity.kubernetes import Controller, Metadata
from profiler.identity.model import bounded, bounded_mapping

__all__ = ["Owner", "Owners", "looks_replicated", "stable_labels"]

_HASH = "pod-template-hash"
# Kubernetes' own alphabet for generated names: no vowels, and no digits that look like letters.
_SAFE = frozenset("bcdfghjklmnpqrstvwxz2456789")
_SUFFIX_LENGTH = 5
_HASH_LENGTHS = range(8, 11)
_CHAIN_LIMIT = 4


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a pod; `reason` is what it rests on where no object says it outright.

    `selector` is empty where no labels say it, for which `reason` gives the cause. A pod that
    nothing controls is its own owner, and its own labels are its selector.
    """

    kind: str
    name: str
    selector: Mapping[str, str] = field(default_factory=dict, hash=False)
    reason: str | None = None


def stable_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return *labels*, bounded, without those that differ between replicas or revisions."""
    return bounded_mapping(
        {key: value for key, value in labels.items() if key not in VOLATILE_LABELS}
    )


def looks_replicated(pod_name: str) -> str | None:
    """Return what would be the ReplicaSet if *pod_name* is one that a Deployment's pod has.

    That is a pattern, no proof: anybody may call a pod so.
    """
    replica_set, _, suffix = pod_name.rpartition("-")
    name, _, template_hash = replica_set.rpartition("-")
    is_generated = (
        len(suffix) == _SUFFIX_LENGTH
        and len(template_hash) in _HASH_LENGTHS
        and _SAFE.issuperset(suffix + template_hash)
    )
    return replica_set if name and is_generated else None


@dataclass(frozen=True, slots=True)
class Owners:
    """The controllers of an inventory, by namespace, kind and name."""

    controllers: Mapping[tuple[str, str, str], Controller]

    @classmethod
    def of(cls, controllers: Iterable[tuple[str, Controller]]) -> Owners:
        """Return the owners among *controllers*, each with its kind."""
        return cls(
            {
                (item.metadata.namespace or "", kind, item.metadata.name): item
                for kind, item in controllers
            }
        )

    def of_pod(self, pod: Metadata) -> Owner:
        """Return the owner of *pod*: itself where nothing controls it, or only its node does."""
        reference = pod.controller
        if reference is None or reference.kind == "Node":
            return Owner("Pod", bounded(pod.name), stable_labels(pod.labels))
        namespace = pod.namespace or ""
        owner = self._top(namespace, reference.kind, reference.name)
        if owner.kind == "ReplicaSet" and (namespace, "ReplicaSet", owner.name) not in (
            self.controllers
        ):
            return _by_template_hash(owner, pod.labels)
        return owner

    def by_pod_name(self, namespace: str, pod_name: str) -> Owner | None:
        """Return the owner of the ReplicaSet that a pod of this name would belong to.

        None unless the inventory has that very ReplicaSet.
        """
        replica_set = looks_replicated(pod_name)
        if replica_set is None or (namespace, "ReplicaSet", replica_set) not in self.controllers:
            return None
        owner = self._top(namespace, "ReplicaSet", replica_set)
        reason = f"the pod is not in the inventory, its ReplicaSet `{replica_set}` is"
        reason = f"{reason}; {owner.reason}" if owner.reason else reason
        return Owner(owner.kind, owner.name, owner.selector, reason)

    def _top(self, namespace: str, kind: str, name: str) -> Owner:
        """Follow the chain of controllers upwards from the one given.

        The highest selector counts. One that has expressions besides labels picks fewer pods than
        its labels do: it is left out, with the reason.
        """
        selector: dict[str, str] = {}
        reason = None
        for _ in range(_CHAIN_LIMIT):
            item = self.controllers.get((namespace, kind, name))
            if item is None:
                break
            if (own := item.spec.selector) is not None and own.match_expressions:
                selector = {}
                reason = f"the selector of {kind} `{name}` has `matchExpressions`: no labels say it"
            elif own is not None and (labels := stable_labels(own.match_labels)):
                selector, reason = labels, None
            above = item.metadata.controller
            if above is None:
                break
            kind, name = above.kind, above.name
        return Owner(bounded(kind), bounded(name), selector, reason and bounded(reason))


def _by_template_hash(owner: Owner, labels: Mapping[str, str]) -> Owner:
    """Return the Deployment of a ReplicaSet that the inventory does not have.

    Its name is the Deployment's and the hash that its pods carry as a label.
    """
    template_hash = labels.get(_HASH)
    name = owner.name.removesuffix(f"-{template_hash}") if template_hash else owner.name
    if name == owner.name:
        return owner
    reason = f"ReplicaSet `{owner.name}` is not in the inventory, its pods carry its hash"
    return Owner("Deployment", name, owner.selector, reason)
