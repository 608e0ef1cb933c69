"""What a recorder looks at: silence about anything else says nothing."""

from __future__ import annotations

from collections.abc import Iterable

from ethogram.contracts.baseline_values import DIMENSIONS, Dimension

__all__ = ["dimensions_in_words", "not_looked_at"]

# By the hooks on the end of every call, and by those on its beginning.
_BY_RESULTS = frozenset[Dimension]({"files", "capabilities", "operations"})
_BY_CALLS = frozenset[Dimension]({"syscalls"})
_BY_BCC = frozenset[Dimension]({"execs", "syscalls", "peers", "listens"})
_WORDS: dict[Dimension, str] = {
    "syscalls": "system calls",
    "execs": "executables",
    "dns": "names asked for by DNS",
}


def not_looked_at(loader: str, tier: str) -> tuple[Dimension, ...]:
    """Return the dimensions of which a recording by *loader* in *tier* has nothing, in order."""
    missing: frozenset[Dimension] = frozenset()
    if tier != "full":
        missing |= _BY_RESULTS
    if tier == "light":
        missing |= _BY_CALLS
    if loader == "bcc":
        # Its calls are counted on their entry in any tier but `light`.
        missing |= frozenset(DIMENSIONS) - _BY_BCC
    return tuple(name for name in DIMENSIONS if name in missing)


def dimensions_in_words(dimensions: Iterable[Dimension]) -> str:
    """Return them as a sentence has them: `system calls, files and operations`."""
    words = [_WORDS.get(name, name) for name in dimensions]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
