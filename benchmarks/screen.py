"""Lines of a table that is printed as it grows."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["row", "say"]

_FIRST, _OTHER = 26, 13


def row(name: str, values: Sequence[str]) -> None:
    """Print one line: a name and its columns."""
    print(f"  {name:{_FIRST}}" + "".join(f"{value:>{_OTHER}}" for value in values), flush=True)


def say(text: str) -> None:
    """Print a paragraph and end it."""
    print(f"\n{text}\n", flush=True)
