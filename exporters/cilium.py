"""Baseline -> CiliumNetworkPolicy: who may connect to the pods, and to whom they may.

Beyond what a NetworkPolicy says it has names of DNS, nodes and the API server by what they are, and
echo requests. It holds a pod to it only with `enforce`: until then it allows, and denies nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from ethogram.contracts.baseline import Baseline, Dimension, PeerValue, Rule
from ethogram.contracts.cilium_labels import identity_labels
from ethogram.contracts.escape import escape, printable
from ethogram.errors import UsageError
from exporters.cilium_findings import findings_about, refused
from exporters.cilium_model import CiliumNetworkPolicy, is_name
from exporters.cilium_peers import Fqdn, Reach, cluster_dns, reaches_of
from exporters.cilium_reasons import reasons_of
from exporters.cilium_rules import NOBODY, rules_of
from exporters.files import artifact_of
from exporters.kubernetes import (
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
    parts_of,
)
from exporters.network_tightness import network_tightness
from exporters.networkpolicy_choices import SETTINGS, Choices, read_choices
from exporters.observed import require_observed
from exporters.overlap import overlap
from exporters.protocol import Artifact, Finding, Options

__all__ = ["CiliumExporter", "exporter"]

_NAMES = ("any", "observed")
_SETTINGS = MappingProxyType(
    {
        **SETTINGS,
        "dns-names": "`any` (default), or `observed` to let the DNS proxy refuse every name that"
        " was not asked for",
    }
)
# A recorder that sees no names asked for sees no UDP either.
_NEEDED: frozenset[Dimension] = frozenset({"peers", "dns"})
_SIDES: tuple[tuple[str, Literal["in", "out"]], ...] = (("ingress", "in"), ("egress", "out"))


@dataclass(frozen=True, slots=True)
class CiliumExporter:
    """Writes one `cilium.io/v2` CiliumNetworkPolicy for each baseline."""

    name: str = "cilium"
    summary: str = "CiliumNetworkPolicy: the peers that were seen, by names of DNS where known"
    dimensions: frozenset[Dimension] = frozenset({"peers"})
    settings: Mapping[str, str] = field(default_factory=lambda: _SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        _read_choices(options)

    def unenforced(self, options: Options) -> str:
        """Return what a policy does until it is enforced."""
        del options
        return "it neither denies nor logs; once `ethogram watch` shows nothing, let it deny"

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the policy, then what there is to know about it; or why there is none."""
        choices, are_names_limited = _read_choices(options)
        if reason := refused(baseline):
            yield reason
            return
        require_observed(baseline, _NEEDED)
        of_rules = [
            (rule, list(reaches_of(rule, choices)))
            for rule in sorted(baseline.rules.peers, key=lambda rule: rule.id)
        ]
        items = [item for _, found in of_rules for item in found]
        reaches = [item for item in items if isinstance(item, Reach)]
        has_names = any(isinstance(each.peer, Fqdn) for each in reaches)
        has_resolver = any(each.is_dns and each.direction == "out" for each in reaches)
        is_dns_added = not has_resolver and (has_names or choices.is_dns_always)
        reaches += cluster_dns() if is_dns_added else ()
        names = None
        if has_names or are_names_limited:
            # Where it does not deny, the proxy lets every name through as well.
            is_strict = are_names_limited and options.enforce
            names = _names(baseline, reaches) if is_strict else ["*"]
        documents = list(_policies(baseline, options, reaches, names))
        for document in documents:
            check_object(CiliumNetworkPolicy, document)
        reasons = tuple(reasons_of(documents, reaches, baseline.subject.namespace))
        measured = network_tightness(documents)
        yield replace(_artifact(baseline, documents), reasons=reasons, tightness=measured)
        yield from (item for item in items if isinstance(item, Finding))
        yield from findings_about(
            baseline, reaches, options, _entered(of_rules), is_dns_added=is_dns_added
        )
        yield from findings_of_documents(documents)
        if are_names_limited:
            yield from _unnamed(baseline)

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own."""
        yield from overlap(baseline, others)


def exporter() -> CiliumExporter:
    """Return the exporter."""
    return CiliumExporter()


def _read_choices(options: Options) -> tuple[Choices, bool]:
    """Return what *options* ask for, and whether names are limited to those asked for."""
    names = options.settings.get("dns-names", "any")
    if names not in _NAMES:
        known = ", ".join(f"`{word}`" for word in _NAMES)
        raise UsageError(f"setting `dns-names` is `{escape(names)}`", hint=f"it is one of {known}")
    return read_choices(options), names == "observed"


def _entered(
    of_rules: Sequence[tuple[Rule[PeerValue], Sequence[Reach | Finding]]],
) -> list[Rule[PeerValue]]:
    return [
        rule
        for rule, found in of_rules
        if rule.evidence.phases == ("exec",) and any(isinstance(each, Reach) for each in found)
    ]


def _names(baseline: Baseline, reaches: Sequence[Reach]) -> list[str]:
    """Return every name that the proxy may let through; the policy's own are among them."""
    own = {each.peer.name for each in reaches if isinstance(each.peer, Fqdn)}
    asked = {rule.value.name.lower() for rule in baseline.rules.dns if is_name(rule.value.name)}
    return sorted(own | asked)


def _unnamed(baseline: Baseline) -> Iterator[Finding]:
    for rule in sorted(baseline.rules.dns, key=lambda rule: rule.id):
        if not is_name(rule.value.name):
            yield Finding(
                "loss",
                f"the name `{printable(rule.value.name)}` is not allowed: Cilium takes none such",
                hint="`--set dns-names=any` lets every name through",
                subject=rule.id,
            )


def _artifact(baseline: Baseline, documents: Sequence[Mapping[str, Any]]) -> Artifact:
    return artifact_of(baseline.subject, "cilium", "yaml", dump_documents(documents))


def _policies(
    baseline: Baseline, options: Options, reaches: Sequence[Reach], names: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    """Yield the policy; of one that is too large for a cluster, parts that add up to it."""
    subject = baseline.subject
    unit = [] if subject.container is None else [subject.container]
    parts = parts_of({key: rules_of(reaches, way, subject.namespace, names) for key, way in _SIDES})
    for number, part in enumerate(parts, 1):
        yield {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {
                "name": object_name(
                    "ethogram", kind_part(subject.kind), subject.name, *unit, *part_of_name(number)
                ),
                "namespace": subject.namespace,
                "labels": {"app.kubernetes.io/managed-by": "ethogram"},
                "annotations": annotations_of(baseline, options)
                | part_annotation(number, len(parts)),
            },
            "spec": {
                "endpointSelector": {
                    "matchLabels": identity_labels(stable_selector(subject.selector))
                },
                "enableDefaultDeny": {"ingress": options.enforce, "egress": options.enforce},
                # A direction without rules would stay open, whatever stands above.
                **{key: part.get(key) or [NOBODY] for key, _ in _SIDES},
            },
        }
