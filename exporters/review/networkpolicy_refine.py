"""A NetworkPolicy that is there already, with the ways that evidence demands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.artifacts import THERE_BEFORE
from ethogram.errors import ExportError
from exporters.protocol import Artifact, Finding, Reason, shown
from exporters.review.covering import Covering
from exporters.review.documents import annotated_with, listed, load, part
from exporters.review.network_words import Direction, Way, grant_of, ports_of
from exporters.review.networkpolicy_ways import SIDES, namespace_of, peer_of, types_of
from exporters.review.protocol import Grant, Refined

__all__ = ["refine_policy"]

_OURS = "ethogram.dev/"


@dataclass(frozen=True, slots=True)
class _Item:
    """One peer of one rule: what it lets be, where it stands, and the rule's own ports."""

    place: str
    grants: tuple[Grant, ...]
    peer: dict[str, Any] | None
    ports: list[Any]


def refine_policy(existing: Sequence[Mapping[str, Any]], made: Artifact) -> Refined:
    """Return the policy *existing* with the peers and ports that it lacks of *made*."""
    if len(existing) != 1:
        raise ExportError(
            "more than one NetworkPolicy is in the file: which one to refine is not known",
            hint="put each into a file of its own",
        )
    targets = load(made.content)
    policy = _annotated(existing[0], targets[0])
    if namespace_of(policy) != namespace_of(targets[0]):
        raise ExportError(
            f"it is of namespace `{namespace_of(policy)}`, and the workload is in"
            f" `{namespace_of(targets[0])}`",
            hint="`--map` takes a baseline to another namespace",
        )
    findings: list[Finding] = list(_about(policy, targets))
    reasons: list[Reason] = [Reason("spec.podSelector", "kept", source=THERE_BEFORE)]
    spec = dict(part(policy, "spec"))
    for kind, key, side in SIDES:
        demanded = [item for one in targets for item in _items(one, key, side)]
        if kind not in types_of(spec):
            findings.append(
                Finding("info", f"the policy that was there does not restrict {kind.lower()}")
            )
            continue
        reasons.append(Reason(f"spec.policyTypes: {kind}", "kept", source=THERE_BEFORE))
        before = list(_items(policy, key, side))
        added = list(_missing(demanded, before, side))
        if added:
            spec[key] = [*listed(spec, key), *added]
        after = list(_items({**policy, "spec": spec}, key, side))
        reasons += _reasons(after, demanded, made)
        findings += _findings(before, added, demanded, kind)
    return Refined([{**policy, "spec": spec}], tuple(reasons), tuple(findings))


def _annotated(policy: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    """Return *policy* with the annotations of ours that *target* has, and no older ones."""
    ours = part(part(target, "metadata"), "annotations")
    theirs = part(part(policy, "metadata"), "annotations")
    kept = {key: value for key, value in theirs.items() if not str(key).startswith(_OURS)}
    return annotated_with(policy, kept | ours)


def _about(policy: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    picks = part(part(policy, "spec"), "podSelector")
    if picks != part(part(targets[0], "spec"), "podSelector"):
        yield Finding(
            "warning",
            "the policy that was there picks pods by other labels than the workload's owner: they"
            " are kept",
            hint="see that it picks the workload's pods, and whose else",
        )


def _items(policy: Mapping[str, Any], key: str, side: str) -> Iterator[_Item]:
    namespace = namespace_of(policy)
    direction: Direction = "in" if key == "ingress" else "out"
    for number, rule in enumerate(listed(part(policy, "spec"), key)):
        if not isinstance(rule, dict):
            raise ExportError("the NetworkPolicy is malformed: a rule is no mapping")
        ports = listed(rule, "ports")
        peers: list[Any] = listed(rule, side) or [None]
        for index, peer in enumerate(peers):
            who = peer_of(peer, namespace)
            grants = tuple(grant_of(Way(direction, who, port)) for port in ports_of(ports))
            place = f"spec.{key}[{number}]" + (f".{side}[{index}]" if peer is not None else "")
            yield _Item(place, grants, peer, ports)


def _missing(
    demanded: Sequence[_Item], before: Sequence[_Item], side: str
) -> Iterator[dict[str, Any]]:
    """Yield rules for what *before* lacks: peers with the same ports share one."""
    questions = sum(len(item.grants) for item in demanded)
    is_allowed = Covering((grant for item in before for grant in item.grants), questions)
    rules: list[dict[str, Any]] = []
    for item in demanded:
        if item.peer is None or all(map(is_allowed, item.grants)):
            continue
        same = next((rule for rule in rules if rule["ports"] == item.ports), None)
        if same is None:
            rules.append({side: [deepcopy(item.peer)], "ports": deepcopy(item.ports)})
        elif item.peer not in same[side]:
            same[side].append(deepcopy(item.peer))
    yield from rules


def _reasons(after: Sequence[_Item], demanded: Sequence[_Item], made: Artifact) -> Iterator[Reason]:
    """Yield why each peer stands there; the same when the policy is refined again."""
    of_made = {one.place: one for one in made.reasons}
    for item in after:
        uses = Covering(item.grants, sum(len(one.grants) for one in demanded) * len(after))
        found = [
            of_made[one.place]
            for one in demanded
            if one.place in of_made and any(map(uses, one.grants))
        ]
        if not found:
            yield Reason(item.place, "unused", source=THERE_BEFORE)
            continue
        rules = sorted({rule for one in found for rule in one.rules})
        source = found[0].source if not rules else None
        yield Reason(item.place, found[0].why, tuple(rules), source)


def _findings(
    before: Sequence[_Item],
    added: Sequence[Mapping[str, Any]],
    demanded: Sequence[_Item],
    kind: str,
) -> Iterator[Finding]:
    if added:
        number = len(added)
        yield Finding(
            "info",
            f"{kind.lower()}: {number:,} rule{'' if number == 1 else 's'} added to the policy that"
            " was there, at its end",
        )
    wanted = [grant for item in demanded for grant in item.grants]
    unused = [
        grant.words
        for item in before
        if not any(map(Covering(item.grants, len(wanted) * len(before)), wanted))
        for grant in item.grants
    ]
    if unused:
        yield Finding(
            "info",
            f"{kind.lower()}: kept, and could be taken out, as nothing was seen to use it:"
            f" {shown(unused)}",
            hint="the provenance file beside the policy lists them all as `unused`",
        )
