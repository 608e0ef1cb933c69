"""Cuts the rules of a network policy into parts that a cluster takes.

`kubectl apply` keeps the whole object in an annotation, and an API server takes 256 KiB of
annotations; etcd takes 1.5 MiB of object. Policies of one pod add up, so that several parts allow
what one would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from exporters.protocol import Finding

__all__ = [
    "MOST_BYTES",
    "findings_of_documents",
    "part_annotation",
    "part_of_name",
    "part_of_place",
    "parts_of",
]

Rule: TypeAlias = "Mapping[str, Any]"

# Of the rules of one part, as JSON: what is left of 256 KiB is for metadata and selectors.
MOST_BYTES = 192 * 1024
_PIECE_BYTES = 32 * 1024


def parts_of(sections: Mapping[str, Sequence[Rule]]) -> list[dict[str, list[Rule]]]:
    """Return *sections* (name -> rules) in parts, at least one; most policies have just one.

    Where it is cut, a rule becomes several that share its peers or its ports between them.
    """
    if _size(sections) <= MOST_BYTES:
        return [{name: list(rules) for name, rules in sections.items() if rules}]
    parts: list[dict[str, list[Rule]]] = [{}]
    used = 0
    for name, rules in sections.items():
        for piece in (piece for rule in rules for piece in _pieces(rule)):
            size = _size(piece) + 1
            if used and used + size > MOST_BYTES:
                parts.append({})
                used = 0
            parts[-1].setdefault(name, []).append(piece)
            used += size
    return parts


def part_of_name(number: int) -> list[str]:
    """Return what the name of part *number* has besides the first one's."""
    return [] if number == 1 else [f"part-{number}"]


def part_annotation(number: int, count: int) -> dict[str, str]:
    """Return the annotation of part *number* of *count*; a policy in one piece has none."""
    return {"ethogram.dev/part": f"{number} of {count}"} if count > 1 else {}


def part_of_place(kind: str, number: int) -> str:
    """Return what begins the places in part *number*, a document of *kind*."""
    return "" if number == 1 else f"{kind}[{number}]:"


def findings_of_documents(documents: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield what there is to know about the size of *documents*, the parts of one policy."""
    if len(documents) > 1:
        yield Finding(
            "warning",
            f"it is too large for one object, and cut into {len(documents)} that add up",
            hint="apply all of the file, and delete parts that are left over from an earlier one:"
            " `kubectl get -l app.kubernetes.io/managed-by=ethogram`",
        )
    if any(isinstance(port, Mapping) and "endPort" in port for port in _ports_in([*documents])):
        yield Finding(
            "info",
            "ports that follow one another, each of them seen, are written as a range (`endPort`)",
            hint="a plugin that does not know ranges takes the first port of one alone",
        )


def _ports_in(documents: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for document in documents:
        for key in ("ingress", "egress"):
            for rule in document["spec"].get(key, ()):
                yield from rule.get("ports", ())
                for item in rule.get("toPorts", ()):
                    yield from item["ports"]


def _pieces(rule: Rule) -> Iterator[Rule]:
    """Yield *rule* itself, or what allows the same in pieces: halves of its longest list."""
    lists = {key: value for key, value in rule.items() if isinstance(value, list)}
    longest = max(lists, key=lambda key: len(lists[key]), default=None)
    if _size(rule) <= _PIECE_BYTES or longest is None or len(lists[longest]) < 2:
        yield rule
        return
    half = len(lists[longest]) // 2
    for items in (lists[longest][:half], lists[longest][half:]):
        yield from _pieces({**rule, longest: items})


def _size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
