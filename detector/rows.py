"""The rows of a moment that say which file, peer or name a deviation is about."""

from __future__ import annotations

import pyarrow as pa

from detector.live import Live

__all__ = ["ROWS_OF", "Rows"]

# dimension -> table
ROWS_OF = {"files": "files", "peers": "network", "listens": "network", "dns": "dns"}


class Rows:
    """What *live* has of those tables now; it is gone there when the next look comes."""

    def __init__(self, live: Live) -> None:
        self._tables = {name: live.window(name) for name in set(ROWS_OF.values())}

    def of(self, dimension: str) -> pa.Table:
        """Return the rows of the table that *dimension* is read from."""
        return self._tables[ROWS_OF[dimension]]
