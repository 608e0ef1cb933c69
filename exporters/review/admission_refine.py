"""A ValidatingAdmissionPolicy that is there already, with what evidence demands let in.

What rules know of the workload (capabilities, profiles, digests, privileged containers, users)
stands in variables that are lists: they get what they lack. A rule is never added, as it would
refuse what the policy admits, and none is taken out: CEL that somebody wrote cannot be asked what
it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from ethogram.contracts.artifacts import THERE_BEFORE
from ethogram.contracts.escape import printable
from ethogram.errors import ExportError
from exporters.protocol import Artifact, Finding, Reason, shown
from exporters.review.documents import annotated_with, listed, load, part
from exporters.review.protocol import Refined

__all__ = ["refine_admission"]

_POLICY = "ValidatingAdmissionPolicy"
_OURS = "ethogram.dev/"
# A list of plain words or numbers, as we write it: what else a variable holds is somebody's own.
_ITEM = r"(?:'(?:[^'\\]|\\.)*'|-?[0-9]+)"
_USE = re.compile(r"\bvariables\.(\w+)")
_LIST = re.compile(rf"\[(?:{_ITEM}(?:, {_ITEM})*)?\]")


def refine_admission(existing: Sequence[Mapping[str, Any]], made: Artifact) -> Refined:
    """Return the policy *existing* with the lists of *made* in its own; its bindings stay."""
    policy, target = _policy(existing), _policy(load(made.content))
    lists = _lists(target)
    refined = deepcopy(dict(policy))
    added: list[str] = []
    for variable in _variables(refined):
        if not isinstance(variable, dict) or not isinstance(variable.get("name"), str):
            raise ExportError("the policy is malformed: a variable has no name")
        name = variable["name"]
        if name in lists:
            variable["expression"], new = _union(name, variable.get("expression"), lists[name])
            added += [f"{name}: {', '.join(new)}"] if new else []
    notes = part(part(policy, "metadata"), "annotations")
    theirs = {key: value for key, value in notes.items() if not str(key).startswith(_OURS)}
    ours = part(part(target, "metadata"), "annotations")
    refined = annotated_with(refined, theirs | ours)
    reasons, findings = _rules(refined, target, made)
    if added:
        findings.insert(0, Finding("info", f"added to the policy that was there: {shown(added)}"))
    documents = [refined if one is policy else dict(one) for one in existing]
    return Refined(documents, tuple(reasons), tuple(findings))


def _policy(documents: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    found = [one for one in documents if one.get("kind") == _POLICY]
    if len(found) != 1:
        raise ExportError(
            f"{len(found)} ValidatingAdmissionPolicies are in the file, and one can be refined",
            hint="put each into a file of its own, with its bindings",
        )
    return found[0]


def _lists(target: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        one["name"]: re.findall(_ITEM, one["expression"])
        for one in _variables(target)
        if _is_list(one["expression"])
    }


def _union(name: str, expression: Any, wanted: Sequence[str]) -> tuple[str, list[str]]:
    """Return *expression*, a list, with all of *wanted*, and what of it was added."""
    if not isinstance(expression, str) or not _is_list(expression):
        raise ExportError(
            f"the variable `{name}` of the policy is no list of words: what it lacks is not known",
            hint=f"write it as a list, or give it another name than `{name}`",
        )
    before = re.findall(_ITEM, expression)
    new = [one for one in wanted if one not in before]
    return f"[{', '.join([*before, *new])}]", new


def _rules(
    refined: Mapping[str, Any], target: Mapping[str, Any], made: Artifact
) -> tuple[list[Reason], list[Finding]]:
    """Return why each rule stands there, and what there is to know about them.

    A rule that *made* has as well, over variables that mean the same, admits what was recorded.
    """
    of_made = {one.place: one for one in made.reasons}
    known = {
        str(rule["expression"]): number
        for number, rule in enumerate(listed(part(target, "spec"), "validations"))
    }
    same = _same_variables(refined, target)
    reasons: list[Reason] = []
    strange: list[str] = []
    mine: set[str] = set()
    for number, rule in enumerate(listed(part(refined, "spec"), "validations")):
        expression = str(rule.get("expression")) if isinstance(rule, Mapping) else ""
        mine.add(expression)
        place = f"spec.validations[{number}]"
        if expression in known and _used(expression, target) <= same:
            one = of_made.get(f"spec.validations[{known[expression]}]")
            reasons.append(
                Reason(place, "kept", source=THERE_BEFORE)
                if one is None
                else Reason(place, one.why, one.rules, one.source)
            )
            continue
        reasons.append(Reason(place, "kept", source=THERE_BEFORE))
        strange.append(printable(str(rule.get("message") or expression)))
    return reasons, list(_findings(strange, mine, target))


def _used(expression: str, policy: Mapping[str, Any]) -> set[str]:
    """Return the variables that *expression* uses, and those that these use."""
    of = {str(one["name"]): str(one["expression"]) for one in _variables(policy)}
    found: set[str] = set()
    left = {expression}
    while left:
        names = {name for text in left for name in _USE.findall(text)} - found
        found |= names
        left = {of[name] for name in names if name in of}
    return found


def _same_variables(refined: Mapping[str, Any], target: Mapping[str, Any]) -> set[str]:
    """Return the variables that mean the same in both: as they stand, or lists that hold more."""
    theirs = {one["name"]: str(one["expression"]) for one in _variables(target)}
    return {
        one["name"]
        for one in _variables(refined)
        if one.get("expression") == theirs.get(one["name"])
        or (_is_list(one.get("expression")) and _is_list(theirs.get(one["name"])))
    }


def _variables(policy: Mapping[str, Any]) -> list[Any]:
    return listed(part(policy, "spec"), "variables")


def _is_list(expression: Any) -> bool:
    return isinstance(expression, str) and _LIST.fullmatch(expression) is not None


def _findings(
    strange: Sequence[str], mine: set[str], target: Mapping[str, Any]
) -> Iterator[Finding]:
    if strange:
        yield Finding(
            "loss",
            "kept rules of which it is not known whether they admit what was recorded:"
            f" {shown(strange)}",
            hint="`ethogram verify POLICY --against RECORDING` tries them; take out those that do"
            " not",
        )
    proposed = [
        str(rule["message"])
        for rule in listed(part(target, "spec"), "validations")
        if rule["expression"] not in mine
    ]
    if proposed:
        yield Finding(
            "info",
            "evidence supports further rules, which would refuse what the policy admits, and were"
            f" not added: {shown(proposed)}",
        )
