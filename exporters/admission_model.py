"""What an admission policy says of a workload's pods, in the words of no engine.

Three engines evaluate the same CEL over the same variables: the API server's own, Kyverno's and
Gatekeeper's. What differs between workloads is in `PodPolicy.constants` and in messages. So an
engine that takes parameters needs one text of rules for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from exporters.admission_cel import WAS, Scope, Value, cel_literal
from exporters.protocol import Reason, Why

__all__ = ["RESOURCES", "Claim", "Constant", "Mode", "Note", "PodPolicy", "Variable", "needed"]

Mode = Literal["audit", "warn", "deny"]
# `kubectl debug` adds containers to a running pod in the second, and nowhere else.
RESOURCES = MappingProxyType(
    {"pods": ("CREATE", "UPDATE"), "pods/ephemeralcontainers": ("UPDATE",)}
)
_REGULAR = "(dyn(object.spec.containers) + dyn(object.spec.?initContainers.orValue([])))"
_USE = re.compile(r"\bvariables\.(\w+)")
_LISTS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Variable:
    """An expression with a name; those after it may use it as `variables.NAME`."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Constant:
    """What rules are told of the workload; they use it as `variables.NAME`."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Claim:
    """What holds for the pods to admit, and what to say where it does not.

    *why* is as in a reason of an artifact, *rules* are ids of the baseline's.
    """

    name: str
    expression: str
    message: str
    why: Why = "unused"
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """What is written down and refused by no rule: the text, or none where there is no need."""

    key: str
    expression: str


@dataclass(frozen=True, slots=True)
class PodPolicy:
    """The rules for the pods of one workload, and how they are to be applied.

    The *claims* use `variables`, and these the *constants*. *annotations* say where it is from.
    """

    scope: Scope
    namespace: str
    container: str
    mode: Mode
    constants: Mapping[str, Value]
    claims: tuple[Claim, ...]
    annotations: Mapping[str, str]

    def reasons(self, place: str, action: str) -> tuple[Reason, ...]:
        """Return why it says what it says: rule by rule in the list *place*, and at *action*."""
        return (
            *(
                Reason(f"{place}[{number}]", each.why, each.rules, each.message)
                for number, each in enumerate(self.claims)
            ),
            Reason(action, "default", source=f"setting `mode={self.mode}`"),
        )

    def literals(self) -> Iterator[Variable]:
        """Yield the constants as variables, for engines without parameters."""
        for name, value in self.constants.items():
            yield Variable(name, cel_literal(value))

    def variables(self) -> Iterator[Variable]:
        """Yield the variables that the rules use, each after those that it uses itself.

        To a type checker the three lists of containers are of three types: `dyn` lets them be
        added.
        """
        yield Variable("was", WAS)
        # A pod that joins by its labels is new to the workload, whatever it was before.
        spec = "dyn(variables.was.?spec.orValue({}))"
        yield Variable("before", f"{self._claim('was')} ? {spec} : dyn({{}})")
        # Without the comparison, a container that takes its profile from the pod would pass for
        # the same while the pod's changed.
        before = " + ".join(f"dyn(variables.before.?{each}.orValue([]))" for each in _LISTS)
        same = "object.spec.?securityContext == variables.before.?securityContext"
        yield Variable("known", f"{same} ? {before} : dyn([])")
        yield Variable("regular", f"{_REGULAR}.filter(c, !(c in variables.known))")
        ephemeral = "dyn(object.spec.?ephemeralContainers.orValue([]))"
        yield Variable("ephemeral", f"{ephemeral}.filter(c, !(c in variables.known))")
        yield Variable("own", "variables.regular.filter(c, c.name == variables.container)")
        # Never one that is added to a running pod: whoever adds it chooses its name.
        others = "variables.regular.filter(c, !(c.name in variables.privileged))"
        yield Variable("every", f"{others} + variables.ephemeral")
        if "digests" in self.constants:
            learnt = "variables.digests.exists(d, i.endsWith('@' + d))"
            images = "variables.own.map(c, c.?image.orValue(''))"
            yield Variable("strange", f"{images}.filter(i, !{learnt})")

    def notes(self) -> Iterator[Note]:
        """Yield what is noted. Each is a string, as an API server takes no note of any type."""
        missing = (
            "'no container `' + string(variables.container)"
            " + '`: the rules about it apply to nothing here'"
        )
        has_own = f"{_REGULAR}.exists(c, c.name == variables.container)"
        yield Note("learnt-container-missing", f"{has_own} ? '' : {missing}")
        is_here = self.scope.claim("object", f"variables.{self.scope.value[0]}")
        yield Note(
            "left-the-policy",
            f"{self._claim('was')} && !({is_here})"
            " ? 'changed so that the policy no longer applies to it' : ''",
        )
        if "digests" in self.constants:
            first = "string(variables.strange[0])"
            yield Note("image-not-learnt", f"variables.strange == [] ? '' : {first}")

    def _claim(self, pod: str) -> str:
        return self.scope.claim(f"variables.{pod}", f"variables.{self.scope.value[0]}")

    def is_either(self, now: str = "object", was: str = WAS, value: str | None = None) -> str:
        """Return the claim that the pod is the workload's after the request, or was before it.

        A selector meets a request whose old or new object has the labels; so does this.
        """
        return f"{self.scope.claim(now, value)} || {self.scope.claim(was, value)}"


def needed(variables: Iterable[Variable], expressions: Iterable[str]) -> list[Variable]:
    """Return those of *variables* that *expressions* use, also by way of others."""
    known = list(variables)
    used = {name for text in expressions for name in _USE.findall(text)}
    for each in reversed(known):
        if each.name in used:
            used.update(_USE.findall(each.expression))
    return [each for each in known if each.name in used]
