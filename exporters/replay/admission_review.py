"""Judges one pod by claims in CEL: what holds, what does not, and what nobody can say.

What a recording does not know of a pod is not judged: a claim that asks for such a field, itself
or through a variable, stays open, and so does one whose answer depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from exporters.replay.cel import FailedError, UnknownError, evaluate, members, variables_in
from exporters.replay.pods import Pod

__all__ = ["Claim", "Refused", "Undecided", "review"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What has to hold of a pod; *number* is its place in the policy."""

    expression: str
    message: str
    number: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The claim does not hold; *cause* where that is because its expression failed."""

    claim: Claim
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nobody can say; *claim* None is the whole policy."""

    claim: Claim | None
    reason: str


_Answer: TypeAlias = "bool | str"  # a text is why there is none


def review(
    claims: Sequence[Claim],
    pod: Pod,
    *,
    conditions: Sequence[str],
    variables: Mapping[str, str],
    is_strict: bool,
) -> Iterator[Refused | Undecided]:
    """Yield the *claims* that do not hold of *pod*, and those that cannot be judged.

    *variables* are in the order in which they are declared. *is_strict*: an expression that fails
    refuses, as `failurePolicy: Fail` has it.
    """
    for condition in conditions:
        answer = _unanimous(condition, pod, {})
        if answer is False:
            return
        if answer is not True:
            yield Undecided(None, f"whether it is for this pod is not known: {answer}")
            return
    for claim in claims:
        if unknown := _unknown_fields(claim.expression, variables, pod):
            names = ", ".join(f"`{name}`" for name in unknown)
            yield Undecided(claim, f"a recording does not tell {names}")
            continue
        answer = _unanimous(claim.expression, pod, variables)
        if answer is False:
            yield Refused(claim)
        elif answer is not True and pod.known is None and answer.startswith(_FAILED):
            if is_strict:
                yield Refused(claim, answer)
        elif answer is not True:
            yield Undecided(claim, str(answer))


_FAILED = "the expression failed"
# Of the request, which is known: a pod is created.
_NOT_OF_THE_POD = frozenset({"orValue", "operation", "dryRun", "subResource"})


def _unanimous(expression: str, pod: Pod, variables: Mapping[str, str]) -> _Answer:
    """Return what *expression* is of every variant of *pod*; why there is no one answer."""
    answers = {_answer(expression, variant, pod, variables) for variant in pod.variants}
    if len(answers) == 1:
        return answers.pop()
    return "it depends on whether the pod names its image by digest"


def _answer(
    expression: str, document: Mapping[str, Any], pod: Pod, variables: Mapping[str, str]
) -> _Answer:
    data: dict[str, Any] = {
        "object": document,
        "request": {"operation": "CREATE", "namespace": pod.namespace, "dryRun": False},
        "namespaceObject": {"metadata": {"name": pod.namespace}},
    }
    known: dict[str, Any] = {}
    needed = _closure(expression, variables)
    try:
        for name, source in variables.items():
            if name not in needed:
                continue
            try:
                known[name] = evaluate(source, {**data, "variables": known})
            except FailedError:
                continue  # what uses it fails
        return evaluate(expression, {**data, "variables": known}) is True
    except UnknownError as error:
        return f"this engine cannot evaluate it: {error}"
    except FailedError as error:
        return f"{_FAILED}: {error}"


def _closure(expression: str, variables: Mapping[str, str]) -> set[str]:
    """Return the variables that *expression* needs, those that they need among them."""
    found: set[str] = set()
    waiting = [expression]
    while waiting:
        new = (variables_in(waiting.pop()) & variables.keys()) - found
        found |= new
        waiting += [variables[name] for name in new]
    return found


def _unknown_fields(expression: str, variables: Mapping[str, str], pod: Pod) -> list[str]:
    """Return the fields that *expression* asks for and that are not known of *pod*."""
    if pod.known is None:
        return []
    needed = _closure(expression, variables)
    texts = [expression, *(variables[name] for name in needed)]
    asked = {name for text in texts for name in members(text)}
    return sorted(asked - pod.known - variables.keys() - _NOT_OF_THE_POD)
