"""Rules on pipelines: what one program writes, a shell executes."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.arguments import takes_commands
from ethogram.indicators.predicates import Mask, executed, stream_is, truth
from ethogram.indicators.protocol import IndicatorMetadata
from ethogram.indicators.rule import Rule, everything

__all__ = ["on_pipes"]

_HALF_SECOND_NS = 500_000_000


def on_pipes(metadata: IndicatorMetadata, *, source: Callable[[pa.Table], Mask]) -> Rule:
    """Return a rule on shells that take commands from a pipe beside a *source*.

    Which pipe it is nobody records: both were started by the same process, within a second of each
    other, the source with a pipe as its output and the shell with one as its input.
    """

    def bad(rows: pa.Table) -> Mask:
        done = executed(rows)
        writes = truth(pc.and_(done, stream_is(rows, 1, "pipe")))
        if not writes.true_count:
            return writes
        sources = rows.filter(writes)
        sources = sources.filter(truth(source(sources)))
        beside = pa.concat_arrays([_siblings(sources, later) for later in (-1, 0, 1)])
        reads = pc.and_(pc.and_(done, stream_is(rows, 0, "pipe")), takes_commands(rows))
        return pc.and_(reads, pc.is_in(_siblings(rows), value_set=pc.drop_null(beside)))

    return Rule(metadata, bad, everything)


def _siblings(rows: pa.Table, later: int = 0) -> pa.Array:
    """Return what processes have in common that one parent started in the same half second.

    Or, with *later*, that many halves of a second later.
    """
    starts = rows.column("start").cast(pa.int64())
    halves = pc.add(pc.divide(starts, _HALF_SECOND_NS), later).cast(pa.string())
    named = pc.binary_join_element_wise(rows.column("parent_exec_id"), halves, "/")
    return pa.concat_arrays(named.chunks) if named.num_chunks else pa.array([], pa.string())
