"""Takes one table of a recording, or a fragment of it, to rows of a summary.

What comes of a fragment is a table of groups, in numbers of the recording; groups of several
fragments fold into those of all, in any order. They get names that hold across recordings when all
are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from ethogram.contracts.tables import TABLES
from learner.behaviour import Behaviour
from learner.chunk import Chunk
from learner.context import Context
from learner.doers import Doers
from learner.groups import folded
from learner.judging import Suspects
from learner.naming import named
from learner.taint import Taint

__all__ = ["extract", "grouped"]

_CHUNK_ROWS = 1 << 20


def extract(
    context: Context, taint: Taint, behaviour: Behaviour, doers: Doers | None = None
) -> pa.Table:
    """Return what the table of *behaviour* shows, as rows of a summary with enums as codes.

    Without *doers* no row says which process did it.

    Rows that name a workload or an instance which the recording lacks are counted as a loss.
    """
    batches = context.recording.batches(behaviour.table)
    groups, _ = grouped(context, taint, behaviour, batches, doers=doers)
    return named(context, behaviour.table, groups, doers=doers)


def grouped(
    context: Context,
    taint: Taint,
    behaviour: Behaviour,
    batches: Iterable[pa.RecordBatch],
    *,
    shared: Iterable[int] = (),
    doers: Doers | None = None,
) -> tuple[pa.Table, Suspects]:
    """Return the groups of *batches*, and whose processes the indicators of *taint* suspect.

    Rows of the windows *shared* may be elsewhere as well. Windows come in order, as they are
    recorded: a row that is some million rows late counts its window again.
    """
    parts: list[pa.Table] = []
    suspects = Suspects()
    for rows in _chunks(batches, TABLES[behaviour.table].arrow_schema()):
        chunk = Chunk(context, taint, behaviour, rows, doers)
        parts += chunk.groups(frozenset(shared))
        suspects.take(chunk.suspects)
    return folded(parts), suspects


def _chunks(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    pending: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        if rows >= _CHUNK_ROWS:
            yield pa.Table.from_batches(pending, schema)
            pending, rows = [], 0
    if rows:
        yield pa.Table.from_batches(pending, schema)
