"""What rows refer to, looked up anew only where it changed since the last window."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from detector.live import Live
from ethogram.contracts.arrow import plain_rows
from learner.context import Context, context_of, windows_of

__all__ = ["Lookups"]

_TABLES = ("executables", "workloads", "instances", "addresses")
# Peers are numbered as they come up: now and then the numbering begins again.
_USES = 1000


class Lookups:
    """Keeps the lookups of the last window for as long as their tables are the same."""

    def __init__(self) -> None:
        self._tables: tuple[pa.Table, ...] = ()
        self._context: Context | None = None
        self._uses = 0

    def of(self, live: Live) -> Context:
        """Return the lookups of the window that *live* has open."""
        tables = tuple(live.table(name) for name in _TABLES)
        is_same = len(self._tables) == len(tables) and all(
            new is old for new, old in zip(tables, self._tables, strict=True)
        )
        self._uses += 1
        if self._context is None or not is_same or self._uses >= _USES:
            self._tables, self._context, self._uses = (
                tables,
                context_of(live, rows_of=plain_rows),
                0,
            )
        else:
            self._context = replace(self._context, recording=live, windows=windows_of(live))
        return self._context
