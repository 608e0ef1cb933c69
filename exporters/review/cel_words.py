"""Rules about pods in CEL, in plain words: shared by those who ask them of an API server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ethogram.contracts.baseline import CapabilityValue
from ethogram.contracts.capabilities import CAPABILITIES
from exporters.review.protocol import Grant, Told

__all__ = ["expressions_of", "told_rules"]

_ADDED = re.compile(r"capabilities\.\??add\b")
_STRING = re.compile(r"'((?:CAP_)?[A-Z][A-Z0-9_]*)'")
_USED = re.compile(r"\bvariables\.(\w+)")


def told_rules(validations: Iterable[Any], mode: str, variables: Mapping[str, str]) -> Told:
    """Return what *validations* ask, each by its message; capabilities that may be added apart.

    *variables* are the expressions that they may use, by their names.
    """
    rules = [one for one in validations if isinstance(one, Mapping)]
    grants = tuple(dict.fromkeys(grant for rule in rules for grant in _grants(rule, variables)))
    capabilities = sum(grant.kind == "capability" for grant in grants)
    number = f"{len(rules):,} rule{'' if len(rules) == 1 else 's'}"
    added = f"{capabilities:,} capabilit{'y' if capabilities == 1 else 'ies'} may be added"
    return Told(mode, grants, f"{number}, {added}")


def expressions_of(variables: Iterable[Any]) -> dict[str, str]:
    """Return the expressions of *variables*, as a policy declares them, by their names."""
    return {
        str(one.get("name")): str(one.get("expression"))
        for one in variables
        if isinstance(one, Mapping)
    }


def _grants(rule: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[Grant]:
    expression = str(rule.get("expression", ""))
    if _ADDED.search(expression):
        # Its message names them all: told one by one, it says what changed.
        yield Grant("rule", "added capabilities are limited", is_demand=True)
        used = (variables.get(name, "") for name in _USED.findall(expression))
        names = _STRING.findall(" ".join((expression, *used)))
        found = {name.removeprefix("CAP_") for name in names}
        for name in sorted(found):
            if f"CAP_{name}" in CAPABILITIES:
                yield Grant("capability", name, CapabilityValue(name=f"CAP_{name}"))
        return
    yield Grant("rule", str(rule.get("message") or expression), is_demand=True)
