"""What one seccomp profile allows, before it is written down in a dialect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ethogram.contracts.syscall_names import names_of
from exporters.seccomp_calls import Call

__all__ = ["EXECUTABLE", "ArgumentFilter", "Content"]

EXECUTABLE = frozenset({"mprotect", "pkey_mprotect"})
# What the argument is, for people.
_WORDS: Mapping[str, str] = {
    "socket": "family",
    "clone": "new namespaces",
    "personality": "persona",
    "ioctl": "request",
    "prctl": "option",
    "mprotect": "executable memory",
    "pkey_mprotect": "executable memory",
}
_HEXADECIMAL = frozenset({"clone", "personality", "ioctl"})


@dataclass(frozen=True, slots=True)
class ArgumentFilter:
    """Call *name* is allowed where argument *index* has, of the bits *mask*, one of *values*."""

    name: str
    index: int
    mask: int
    values: tuple[int, ...]

    def comparisons(self) -> Iterator[dict[str, object]]:
        """Yield the comparison of each entry; one in 32 bits where the kernel reads 32."""
        for value in self.values:
            yield {
                "index": self.index,
                "value": self.mask,
                "valueTwo": value,
                "op": "SCMP_CMP_MASKED_EQ",
            }

    @property
    def words(self) -> str:
        """`socket (family 1, 2, 10)`."""
        if self.name in EXECUTABLE:
            return f"{self.name} (no executable memory)"
        shown = [hex(value) if self.name in _HEXADECIMAL else str(value) for value in self.values]
        return f"{self.name} ({_WORDS[self.name]} {', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class Content:
    """What one profile allows, before it is written down in a dialect."""

    calls: Mapping[str, Call]
    archs: tuple[str, ...]
    filters: Mapping[str, ArgumentFilter] = field(default_factory=dict)

    @property
    def refusable(self) -> list[str]:
        """The names of calls that the architectures have and the profile does not allow."""
        known = frozenset[str]().union(*(names_of(arch) for arch in self.archs))
        return sorted(known - set(self.calls))
