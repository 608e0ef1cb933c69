"""Where the rows of a window go: a journal on disk, or a detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from ethogram.contracts.columns import Values

__all__ = ["Both", "Sink", "Until"]


class Sink(Protocol):
    """Takes the rows of one window after the other; tables are those of a recording."""

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Take rows of *table* in the open window."""
        ...

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """End the window. Work that takes its time calls *between* for what cannot wait."""
        ...

    def look(
        self, span: Mapping[str, Values], *, between: Callable[[], None] | None = None
    ) -> None:
        """Look at what came since the last look, if that is of use: the window goes on.

        *span* is the row of `windows` as far as the window has come. Rows of one window come in
        parts then, whose counts add up.
        """
        ...


class Until(Sink, Protocol):
    """A sink that knows when there is enough: a recording ends then."""

    @property
    def is_settled(self) -> bool:
        """Whether what was flushed up to now is enough."""
        ...

    def progress(self) -> str:
        """Return in one line how far it is."""
        ...


class Both:
    """A sink that hands everything to two others, in turn."""

    def __init__(self, first: Sink, second: Sink) -> None:
        self._sinks = first, second

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Take rows of *table* in the open window."""
        for sink in self._sinks:
            sink.append(table, columns)

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """End the window."""
        for sink in self._sinks:
            sink.flush(between=between)

    def look(
        self, span: Mapping[str, Values], *, between: Callable[[], None] | None = None
    ) -> None:
        """Let both look at what came since the last look."""
        for sink in self._sinks:
            sink.look(span, between=between)
