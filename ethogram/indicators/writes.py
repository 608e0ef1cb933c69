"""Rules that go by the path of a file that was written to."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.predicates import Mask, also, matching, outside_runtime, tried
from ethogram.indicators.protocol import IndicatorMetadata
from ethogram.indicators.rule import Rule

__all__ = ["on_writes"]

# Of a hard link that is the new name: the old one keeps what it says.
_WRITES = Access.WRITE | Access.RENAME_TO | Access.SYMLINK | Access.MAKE


def on_writes(metadata: IndicatorMetadata, *paths: str) -> Rule:
    """Return a rule on files opened for writing whose path one of *paths* matches.

    What is made there, or brought there by a rename, is written as well. Attempts count, unless
    the file or its directory was not there. Paths are regular expressions: without `^` they match
    a host's file below a mount as well.
    """
    pattern = "|".join(paths)

    def bad(rows: pa.Table) -> Mask:
        wanted = pc.and_(tried(rows, _WRITES), outside_runtime(rows))
        return also(wanted, lambda: matching(rows.column("path"), pattern))

    return Rule(metadata, bad)
