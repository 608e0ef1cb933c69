"""Unified differences of files that anybody may have written: bounded, and safe to print."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ethogram.contracts.escape import printable

__all__ = ["TextDiff", "text_diff"]

_CONTEXT = 3
# `difflib` compares each line with each that equals it. Policies of some hundred peers are far
# below; a file made to be slow is counted and not shown.
_MOST_PAIRS = 4_000_000
_MOST_LINE = 400


@dataclass(frozen=True, slots=True)
class TextDiff:
    """*lines* of a unified difference, and how many of it are *hidden*; with counts of all."""

    lines: tuple[str, ...]
    added: int
    removed: int
    hidden: int = 0


def text_diff(old: bytes | None, new: bytes | None, *, path: str, most: int) -> TextDiff:
    """Return what changes from *old* to *new*, where None is no file; at most *most* lines.

    What is not printable is escaped, and a line of more than 400 characters is cut.
    """
    before, after = _lines(old), _lines(new)
    name = printable(path)
    heads = (
        "/dev/null" if old is None else f"a/{name}",
        "/dev/null" if new is None else f"b/{name}",
    )
    start, end = _common(before, after)
    if _pairs(before[start : len(before) - end], after[start : len(after) - end]) > _MOST_PAIRS:
        added = sum((Counter(after) - Counter(before)).values())
        removed = sum((Counter(before) - Counter(after)).values())
        return TextDiff((f"--- {heads[0]}", f"+++ {heads[1]}"), added, removed, added + removed)
    # Newlines are left out of lines, so that the last one without is a line of its own.
    found = list(difflib.unified_diff(before, after, *heads, lineterm="", n=_CONTEXT))
    body = found[2:]
    return TextDiff(
        lines=tuple(_shown(line) for line in found[: most + 2]),
        added=sum(line.startswith("+") for line in body),
        removed=sum(line.startswith("-") for line in body),
        hidden=max(0, len(body) - most),
    )


def _lines(content: bytes | None) -> list[str]:
    if not content:
        return []
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    if lines[-1]:
        return [*lines[:-1], lines[-1] + "\n\\ No newline at end of file"]
    return lines[:-1]


def _shown(line: str) -> str:
    text, _, mark = line.partition("\n")
    more = len(text) - _MOST_LINE
    cut = f"{printable(text[:_MOST_LINE])} (and {more:,} more characters)" if more > 0 else None
    return (cut or printable(text)) + (f"\n{mark}" if mark else "")


def _common(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Return how many lines both begin with, and how many they end with."""
    start = _length(zip(before, after, strict=False))
    rest = min(len(before), len(after)) - start
    ends = zip(reversed(before), reversed(after), strict=False)
    return start, min(rest, _length(ends))


def _length(pairs: Iterator[tuple[str, str]]) -> int:
    number = 0
    for one, other in pairs:
        if one != other:
            break
        number += 1
    return number


def _pairs(before: Sequence[str], after: Sequence[str]) -> int:
    ours = Counter(before)
    return sum(ours[line] * number for line, number in Counter(after).items()) + len(before)
