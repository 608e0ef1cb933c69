"""Where the rows of a window go: a journal on disk, or a detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ethogram.contracts.columns import Values

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes the rows of one window after the other; tables are those of a recording."""

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Take rows of *table* in the open window."""
        ...

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """End the window. Work that takes its time calls *between* for what cannot wait."""
        ...
