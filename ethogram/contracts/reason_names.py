"""How people name a line of a policy: by its place, or by what it is about.

`spec.egress[0].to[1]`, `ProtectHome`, the name of a call, `redis:6379`, `net_bind_service`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice

from ethogram.contracts.artifacts import Reason
from ethogram.contracts.provenance import ProvenanceFile
from ethogram.contracts.rule_names import RuleNames

__all__ = ["closest_reasons", "find_reasons"]

_WORD = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*")
# What a typo is compared with: a large policy must not make a refusal take seconds.
_COMPARED = 20_000
_GUESSES = 3


def find_reasons(file: ProvenanceFile, name: str) -> list[Reason]:
    """Return the reasons of *file* that *name* means, in the order of the policy.

    What names a place is that place; else what is within it, or around it. What names none names
    rules of the baseline, and at last a word of what is said of a place.
    """
    reasons = [*file.reasons, *file.left_out]
    ways: Sequence[Callable[[Reason], bool]] = (
        lambda one: name in (one.place, _in_document(one.place)),
        lambda one: _is_within(one.place, name),
        lambda one: _is_within(name, one.place),
        lambda one: _last(one.place).lower() == name.lower(),
    )
    for is_meant in ways:
        if found := [one for one in reasons if is_meant(one)]:
            return found
    for above in _elements_above(name):
        if found := [one for one in reasons if _is_within(one.place, above)]:
            return found
    if rules := _rules_named(file, name):
        return [one for one in reasons if rules.intersection(one.rules)]
    word = name.lower()
    return [one for one in reasons if word in map(str.lower, _WORD.findall(one.source or ""))]


def closest_reasons(file: ProvenanceFile, name: str) -> list[str]:
    """Return what *name* was probably meant to be, the nearest first."""
    places = [one.place for one in islice((*file.reasons, *file.left_out), _COMPARED)]
    known = dict.fromkeys([*places, *map(_last, places)])
    found = get_close_matches(name, known, n=_GUESSES, cutoff=0.6)
    if not found and (rule := _names(file).closest(name)) is not None:
        found = [rule]
    return found


def _names(file: ProvenanceFile) -> RuleNames:
    return RuleNames({one.id: (one.dimension, one.value) for one in file.rules})


def _rules_named(file: ProvenanceFile, name: str) -> set[str]:
    names = _names(file)
    # A block of one address is that address.
    address = re.sub(r"/(32|128)$", "", name)
    return {*names.find(name), *names.find(address)} or set(names.covering(name))


def _in_document(place: str) -> str:
    """Return *place* without the kind of the document that it is in."""
    kind, has_kind, rest = place.partition(":")
    return rest if has_kind and kind.isalnum() else place


def _is_within(place: str, above: str) -> bool:
    """Return whether *place* lies below *above*."""
    return any(
        one.startswith(above) and one[len(above) :][:1] in (".", "[")
        for one in (place, _in_document(place))
    )


def _last(place: str) -> str:
    return re.split(r"[.:]", place)[-1]


def _elements_above(name: str) -> Iterator[str]:
    """Yield the elements of lists that *name* lies in: a port's reason is that of its rule."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        above = ".".join(parts[:end])
        if above.endswith("]"):
            yield above
