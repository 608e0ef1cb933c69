"""What a rule has against a pod: field, value, what it asks for and how to get there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ethogram.contracts.escape import escape
from ethogram.posture.pods import Container, Path, Pod, field_of

__all__ = [
    "MODES",
    "MOST_OF_A_RULE",
    "SHAPE",
    "Breach",
    "Mode",
    "Source",
    "bounded",
    "is_newer",
    "shown",
]

# From what hurts nobody to what refuses; `off` does not even note.
Mode = Literal["off", "audit", "warn", "enforce"]
MODES: tuple[Mode, ...] = ("off", "audit", "warn", "enforce")
Source = Literal["standard", "learnt", "shape"]
_SHOWN = 80
# The rule about what is of a type that no API server takes, or too much to be looked at.
SHAPE = "shape"
# No pod that anybody wrote breaks one rule so often.
MOST_OF_A_RULE = 256


@dataclass(frozen=True, slots=True)
class Breach:
    """A field that *rule* does not allow; *value* None is: not set.

    *asked_by* says whose rule it is, such as `Pod Security baseline v1.37`; *fix* begins with a
    verb. *is_cut*: there are more of the kind, which were not looked at.
    """

    rule: str
    source: Source
    asked_by: str
    path: Path
    value: Any
    required: str
    fix: str
    container: Container | None = None
    is_cut: bool = False

    @property
    def field(self) -> str:
        """The field in words."""
        return field_of(self.path)

    @property
    def message(self) -> str:
        """One sentence with field, value, rule, and what to do."""
        value = "is not set" if self.value is None else f"is {shown(self.value)}"
        field = escape(self.field)[:160]
        return (
            f"{field} {value}: rule {self.rule} ({self.asked_by}) asks for {self.required};"
            f" {self.fix}"
        )


def bounded(breaches: Iterable[Breach], pod: Pod) -> Iterator[Breach]:
    """Yield *breaches* of *pod*, at most so many of each rule, and then that there are more.

    That is one of rule `shape`: an API server waits for seconds, and lets in what nobody answers
    for. What stands behind may be of a container that no exemption is for.
    """
    counted: Counter[str] = Counter()
    for breach in breaches:
        counted[breach.rule] += 1
        if counted[breach.rule] <= MOST_OF_A_RULE:
            yield breach
        elif counted[breach.rule] == MOST_OF_A_RULE + 1:
            yield Breach(
                SHAPE, "shape", breach.asked_by, pod.spec_path,
                f"{breach.rule} more than {MOST_OF_A_RULE} times",
                f"{MOST_OF_A_RULE} breaches of a rule at most, so that all are looked at",
                "write a smaller pod", is_cut=True,
            )  # fmt: skip


def shown(value: Any) -> str:
    """Return *value* as short JSON on one line, free of controls."""
    if isinstance(value, str) and len(value) > _SHOWN:
        value = value[:_SHOWN] + "..."
    if isinstance(value, Mapping | list | tuple):
        few = list(value)[:_SHOWN]
        value = few if isinstance(value, list | tuple) else {key: value[key] for key in few}
    try:
        text = escape(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        return "of no known form"
    return text if len(text) <= _SHOWN * 2 else f"{text[: _SHOWN * 2]}..."


def is_newer(breach: Breach, before: Mapping[tuple[Any, ...], Container | None]) -> bool:
    """Return whether *breach* was not there *before*, by `key_of`, in the very same container.

    A container that changed is judged anew, with what it had before.
    """
    key = key_of(breach)
    if key not in before:
        return True
    was = before[key]
    if breach.container is None or was is None:
        return breach.container is not was
    return breach.container.body != was.body


def key_of(breach: Breach) -> tuple[Any, ...]:
    """Return what tells a breach from others of its pod, wherever its container stands in it."""
    container = breach.container
    if container is None:
        return (breach.rule, breach.path, shown(breach.value))
    own = breach.path[len(container.path) :]
    return (breach.rule, container.kind, container.name, own, shown(breach.value))
