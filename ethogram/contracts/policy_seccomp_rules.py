"""What the rules of a seccomp profile answer, by the semantics of libseccomp's filter.

Checked against the filters that libseccomp itself makes: tests/property/test_seccomp_engine.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["KILL", "OPERATORS", "Comparison", "Profile", "Rule", "Verdict"]

_PERMITTING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
# What forbids most stands first: where rules of different actions match, nothing says which wins.
_STRICTNESS = (
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_LOG",
    "SCMP_ACT_ALLOW",
)
_NARROW = frozenset({"i386", "arm"})
_WIDE_BITS, _NARROW_BITS = (1 << 64) - 1, (1 << 32) - 1
MASKED = "SCMP_CMP_MASKED_EQ"
_COMPARE: Mapping[str, Callable[[int, int], bool]] = MappingProxyType(
    {
        "SCMP_CMP_NE": operator.ne,
        "SCMP_CMP_LT": operator.lt,
        "SCMP_CMP_LE": operator.le,
        "SCMP_CMP_EQ": operator.eq,
        "SCMP_CMP_GE": operator.ge,
        "SCMP_CMP_GT": operator.gt,
    }
)
OPERATORS = frozenset({MASKED, *_COMPARE})
# The native architectures are always part of the filter.
_NATIVE = frozenset({"x86_64", "aarch64"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the filter answers: the action, and the errno of those that have one.

    *is_certain* is false where it depends on what nobody told: the value of an argument, or which
    of several matching rules with different actions comes first.
    """

    action: str
    errno: int | None = None
    is_certain: bool = True

    @property
    def is_permitted(self) -> bool:
        """Whether the call goes through, logged or not."""
        return self.action in _PERMITTING


# libseccomp's action for a call through an architecture that the profile does not list.
KILL = Verdict("SCMP_ACT_KILL")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One entry of `args`; *value* is the mask and *value_two* the datum of `MASKED_EQ`."""

    index: int
    op: str
    value: int
    value_two: int = 0

    def holds(self, argument: int, bits: int) -> bool:
        """Return whether *argument* compares so; only its *bits* (a mask) reach the filter."""
        if self.op == MASKED:
            mask = self.value & bits
            return argument & mask == self.value_two & mask
        return _COMPARE[self.op](argument & bits, self.value & bits)

    def says_nothing(self, bits: int) -> bool:
        """Return whether every argument compares so."""
        return self.op == MASKED and not self.value & bits


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `syscalls` for one name: *comparisons* that must all hold."""

    answer: Verdict
    comparisons: tuple[Comparison, ...] = ()

    def is_unconditional(self, bits: int) -> bool:
        """Return whether it matches whatever the arguments are."""
        return all(one.says_nothing(bits) for one in self.comparisons)

    def matches(self, arguments: Mapping[int, int], bits: int) -> bool | None:
        """Return whether it matches; None where that depends on an argument that is not told."""
        told = [
            one.holds(arguments[one.index], bits)
            for one in self.comparisons
            if one.index in arguments
        ]
        if not all(told):
            return False
        return True if len(told) == len(self.comparisons) else None


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as a runtime hands it to libseccomp: *rules* by the name of the call, in order."""

    default: Verdict
    architectures: frozenset[str]
    rules: Mapping[str, Sequence[Rule]] = field(default_factory=dict)

    def verdict(self, arch: str, name: str, arguments: Mapping[int, int] | None = None) -> Verdict:
        """Return the answer to call *name* made through *arch* with *arguments*, by index.

        A call through an architecture that the profile does not list is killed, whatever the
        default is: neither runc nor crun changes that. Of unconditional rules the first one
        stands, and no conditional one beside it. Where arguments are not told, the answer is the
        strictest that they can bring about, and not certain.
        """
        if arch not in _NATIVE and arch not in self.architectures:
            return KILL
        bits = _NARROW_BITS if arch in _NARROW else _WIDE_BITS
        # A rule that answers as the default does is left out by the runtimes.
        rules = [rule for rule in self.rules.get(name, ()) if rule.answer != self.default]
        for rule in rules:
            if rule.is_unconditional(bits):
                return rule.answer
        return self._by_arguments(rules, arguments or {}, bits)

    def _by_arguments(
        self, rules: Sequence[Rule], arguments: Mapping[int, int], bits: int
    ) -> Verdict:
        matches = [(rule.answer, rule.matches(arguments, bits)) for rule in rules]
        answers = {answer for answer, is_match in matches if is_match is not False}
        if not any(is_match for _, is_match in matches):
            answers.add(self.default)
        if not _is_exact(rules, bits):
            answers |= {self.default, *(rule.answer for rule in rules)}
        strictest = min(answers, key=lambda answer: _STRICTNESS.index(answer.action))
        if len(answers) == 1:
            return strictest
        return Verdict(strictest.action, strictest.errno, is_certain=False)


def _is_exact(rules: Sequence[Rule], bits: int) -> bool:
    """Return whether libseccomp (2.5.4) does of *rules*, all of one call, just what they say.

    It merges what compares one call into a tree. With comparisons by order in it, some of them
    never match and others always do: "less than 16" or "more than 2^32" holds for 21505. Equality,
    with a mask or without, is kept.
    """
    comparisons = [one for rule in rules for one in rule.comparisons]
    if all(one.op in (MASKED, "SCMP_CMP_EQ") for one in comparisons):
        return True
    return len(comparisons) == 1 and bits == _WIDE_BITS
