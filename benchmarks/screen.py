"""How measurements are printed: lines as soon as they are known, in columns."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["duration", "heading", "row", "say"]

_FIRST, _OTHER = 26, 13


def heading(title: str, how: str) -> None:
    """Begin a part."""
    print(f"{title}\n({how})\n", flush=True)


def row(name: str, values: Sequence[str]) -> None:
    """Print one line: a name and its columns."""
    print(f"  {name:{_FIRST}}" + "".join(f"{value:>{_OTHER}}" for value in values), flush=True)


def say(text: str) -> None:
    """Print a paragraph and end it."""
    print(f"\n{text}\n", flush=True)


def duration(seconds: float) -> str:
    """Return *seconds* with three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
