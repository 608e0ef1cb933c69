"""Why each part of a CiliumNetworkPolicy stands there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporters.cilium_peers import Reach
from exporters.cilium_rules import item_of
from exporters.kubernetes_parts import part_of_place
from exporters.protocol import Reason, Why

__all__ = ["reasons_of"]

_SIDES = (("ingress", "in"), ("egress", "out"))


def reasons_of(
    documents: Sequence[Mapping[str, Any]], reaches: Sequence[Reach], namespace: str | None
) -> Iterator[Reason]:
    """Yield the reasons of *documents*, which allow *reaches*; those of a later part name it."""
    causes: dict[tuple[str, str], list[Reach]] = {}
    for reach in reaches:
        causes.setdefault((reach.direction, _key(item_of(reach.peer, namespace))), []).append(reach)
    yield Reason(
        "spec.endpointSelector", "default", source="what the workload's owner picks pods by"
    )
    for key, way in _SIDES:
        is_seen = any(reach.direction == way for reach in reaches)
        what = "what is not listed is denied" if is_seen else "no connection was seen"
        why: Why = "default" if is_seen else "unused"
        yield Reason(f"spec.enableDefaultDeny.{key}", why, source=f"{key}: {what}")
    for number, document in enumerate(documents, 1):
        part = part_of_place(document["kind"], number)
        for key, way in _SIDES:
            for at, rule in enumerate(document["spec"][key]):
                for side, index, item in _peers(rule):
                    place = f"{part}spec.{key}[{at}].{side}[{index}]"
                    yield _reason(place, causes[way, _key(item)])


def _peers(rule: Mapping[str, Any]) -> Iterator[tuple[str, int, Any]]:
    for side, items in rule.items():
        if side not in ("toPorts", "icmps"):
            yield from ((side, index, item) for index, item in enumerate(items))


def _reason(place: str, causes: Sequence[Reach]) -> Reason:
    rules = tuple(sorted({cause.rule for cause in causes if cause.rule is not None}))
    if not rules:
        return Reason(place, "default", source="setting `dns=always`, or names that need it")
    if all(cause.is_tolerance for cause in causes):
        return Reason(place, "tolerance", rules, "where nodes cache the cluster's DNS, it is here")
    return Reason(place, "observed", rules)


def _key(item: object) -> str:
    return json.dumps(item, sort_keys=True)
