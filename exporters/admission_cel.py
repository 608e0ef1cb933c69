"""CEL for admission policies: text that others chose as literals, and which pods are meant.

Kept to what Kubernetes 1.30 knows: the core language, optional fields and strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["WAS", "Scope", "Value", "cel_list", "cel_literal", "cel_string"]

# What a rule is told of the workload: a word, words, or labels.
Value = str | tuple[str, ...] | Mapping[str, str]

# The pod before the request. Of a pod that is created an API server and Gatekeeper say null, and
# Kyverno says an empty object.
WAS = "(dyn(oldObject) == null ? dyn({}) : dyn(oldObject))"
_PLAIN = re.compile(r"[ -&(-\[\]-~]")


def cel_string(text: str) -> str:
    """Return *text* as a CEL string literal of ASCII characters on one line.

    Raises ValueError for a lone surrogate, which no CEL string can hold.
    """
    return "'" + "".join(map(_character, text)) + "'"


def cel_list(texts: Iterable[str]) -> str:
    """Return *texts* as a CEL list of strings."""
    return f"[{', '.join(map(cel_string, texts))}]"


def cel_literal(value: Value) -> str:
    """Return *value* as a CEL literal, labels in the order of their keys."""
    if isinstance(value, str):
        return cel_string(value)
    if isinstance(value, Mapping):
        pairs = (f"{cel_string(key)}: {cel_string(value[key])}" for key in sorted(value))
        return "{" + ", ".join(pairs) + "}"
    return cel_list(value)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pods of a namespace are the workload's: by *selector*, or without one by their owner.

    A pod of a Deployment is owned by a ReplicaSet, one of a CronJob by a Job.
    """

    selector: Mapping[str, str]
    kind: str
    name: str

    @property
    def value(self) -> tuple[str, Value]:
        """The name and the value of what a claim compares with."""
        return ("labels", dict(self.selector)) if self.selector else ("owner", self.name)

    def claim(self, pod: str, value: str | None = None) -> str:
        """Return the claim that the pod in the expression *pod* is the workload's.

        It is false of an empty object. *value* is an expression for `self.value`, a literal if
        None.
        """
        mine = cel_literal(self.value[1]) if value is None else value
        if self.selector:
            return f"{mine}.all(k, {pod}.?metadata.?labels[?k] == optional.of({mine}[k]))"
        if self.kind == "Pod":
            return f"{pod}.?metadata.?name.orValue('') == {mine}"
        owners = f"{pod}.?metadata.?ownerReferences.orValue([])"
        return f"{owners}.exists(o, {self._owner(pod, mine)})"

    def _owner(self, pod: str, mine: str) -> str:
        if self.kind == "Deployment":
            hash_label = f"{pod}.?metadata.?labels[?'pod-template-hash'].orValue('')"
            return f"o.kind == 'ReplicaSet' && o.name == {mine} + '-' + {hash_label}"
        if self.kind == "CronJob":
            number = f"o.name.lastIndexOf('-') == {mine}.size() && o.name.matches('-[0-9]+$')"
            return f"o.kind == 'Job' && o.name.startsWith({mine} + '-') && {number}"
        return f"o.kind == {cel_string(self.kind)} && o.name == {mine}"


def _character(character: str) -> str:
    if _PLAIN.fullmatch(character):
        return character
    if character in "'\\":
        return f"\\{character}"
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("a lone surrogate has no place in a CEL string")
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
