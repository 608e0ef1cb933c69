"""Rules about pods in CEL, in plain words: shared by those who ask them of an API server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ethogram.contracts.baseline import CapabilityValue
from ethogram.contracts.capabilities import CAPABILITIES
from exporters.review.protocol import Grant, Told

__all__ = ["told_rules"]

_ADDED = re.compile(r"capabilities\.\??add\b")
_STRING = re.compile(r"'((?:CAP_)?[A-Z][A-Z0-9_]*)'")


def told_rules(validations: Iterable[Any], mode: str) -> Told:
    """Return what *validations* ask, each by its message; capabilities that may be added apart."""
    rules = [one for one in validations if isinstance(one, Mapping)]
    grants = tuple(dict.fromkeys(grant for rule in rules for grant in _grants(rule)))
    capabilities = sum(grant.kind == "capability" for grant in grants)
    number = f"{len(rules):,} rule{'' if len(rules) == 1 else 's'}"
    added = f"{capabilities:,} capabilit{'y' if capabilities == 1 else 'ies'} may be added"
    return Told(mode, grants, f"{number}, {added}")


def _grants(rule: Mapping[str, Any]) -> Iterator[Grant]:
    expression = str(rule.get("expression", ""))
    if _ADDED.search(expression):
        # Its message names them all: told one by one, it says what changed.
        yield Grant("rule", "added capabilities are limited", is_demand=True)
        found = {name.removeprefix("CAP_") for name in _STRING.findall(expression)}
        for name in sorted(found):
            if f"CAP_{name}" in CAPABILITIES:
                yield Grant("capability", name, CapabilityValue(name=f"CAP_{name}"))
        return
    yield Grant("rule", str(rule.get("message") or expression), is_demand=True)
