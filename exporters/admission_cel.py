"""CEL for admission policies: text that others chose as literals, and which pods are meant.

Kept to what Kubernetes 1.30 knows: the core language, optional fields and strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Scope", "any_of", "cel_list", "cel_string"]

_PLAIN = re.compile(r"[ -&(-\[\]-~]")


def cel_string(text: str) -> str:
    """Return *text* as a CEL string literal of ASCII characters on one line.

    Raises ValueError for a lone surrogate, which no CEL string can hold.
    """
    return "'" + "".join(map(_character, text)) + "'"


def cel_list(texts: Iterable[str]) -> str:
    """Return *texts* as a CEL list of strings."""
    return f"[{', '.join(map(cel_string, texts))}]"


def any_of(value: str, texts: Iterable[str]) -> str:
    """Return the claim that the expression *value* equals one of *texts*."""
    wanted = list(texts)
    return (
        f"{value} == {cel_string(wanted[0])}"
        if len(wanted) == 1
        else (f"{value} in {cel_list(wanted)}")
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pods of a namespace are the workload's: by *selector*, or without one by their owner.

    A pod of a Deployment is owned by a ReplicaSet, one of a CronJob by a Job.
    """

    selector: Mapping[str, str]
    kind: str
    name: str

    def claim(self, pod: str) -> str:
        """Return the claim that the pod in the variable *pod* is the workload's."""
        if self.selector:
            return " && ".join(
                f"{pod}.metadata.?labels[?{cel_string(key)}] == optional.of({cel_string(value)})"
                for key, value in sorted(self.selector.items())
            )
        if self.kind == "Pod":
            return f"{pod}.metadata.?name.orValue('') == {cel_string(self.name)}"
        owners = f"{pod}.metadata.?ownerReferences.orValue([])"
        return f"{owners}.exists(o, {self._owner(pod)})"

    def _owner(self, pod: str) -> str:
        if self.kind == "Deployment":
            hash_label = f"{pod}.metadata.?labels[?'pod-template-hash'].orValue('')"
            start = cel_string(f"{self.name}-")
            return f"o.kind == 'ReplicaSet' && o.name == {start} + {hash_label}"
        if self.kind == "CronJob":
            pattern = cel_string(f"^{re.escape(self.name)}-[0-9]+$")
            return f"o.kind == 'Job' && o.name.matches({pattern})"
        return f"o.kind == {cel_string(self.kind)} && o.name == {cel_string(self.name)}"


def _character(character: str) -> str:
    if _PLAIN.fullmatch(character):
        return character
    if character in "'\\":
        return f"\\{character}"
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("a lone surrogate has no place in a CEL string")
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
