"""Groups of one recording under names that hold across recordings: rows of a summary."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from learner.context import Context
from learner.counting import whole
from learner.doers import Doers
from learner.groups import LOSS, over_all_windows

__all__ = ["named"]

_TIME = pa.timestamp("ns", tz="UTC")


def named(
    context: Context, table: str, groups: pa.Table, *, doers: Doers | None = None
) -> pa.Table:
    """Return *groups*, all that there are of *table*, as rows of a summary with enums as codes."""
    found = over_all_windows(groups)
    rows = found.num_rows
    is_loss = pc.equal(found.column("dimension"), LOSS)
    examples = pa.nulls(rows, pa.string())
    if doers is not None:
        examples = doers.of_groups(table, found)
    recording_id = context.recording.manifest.recording_id
    return pa.table(
        {
            "recording_id": _under(
                pa.array([recording_id], pa.string()), pa.repeat(pa.scalar(0, pa.int32()), rows)
            ),
            "instance_key": _looked_up(found.column("instance"), context.instance_keys),
            "workload_key": _looked_up(found.column("workload"), context.workload_keys),
            "phase": found.column("phase"),
            "dimension": found.column("dimension"),
            "arch": found.column("arch"),
            "key": found.column("key"),
            "exe_path": _under(
                pa.array(context.paths, pa.binary()), whole(found.column("exe_path"))
            ),
            "windows": found.column("windows").cast(pa.uint32()),
            "calls": found.column("calls"),
            "first": found.column("first").cast(_TIME),
            "last": found.column("last").cast(_TIME),
            "exec_id": pc.if_else(is_loss, pa.scalar(None, pa.string()), examples),
            "in_image": found.column("in_image"),
        }
    )


def _looked_up(numbers: pa.ChunkedArray, names: Mapping[int, str]) -> pa.DictionaryArray:
    """Return the name of each number; nobody's is empty."""
    index = pc.index_in(whole(numbers), value_set=pa.array(list(names), pa.uint32()))
    return _under(pa.array([*names.values(), ""], pa.string()), pc.fill_null(index, len(names)))


def _under(words: pa.Array, indices: pa.Array) -> pa.DictionaryArray:
    """Return the word of each index; what stands below a null becomes an index too."""
    is_null = pc.is_null(indices).to_numpy(zero_copy_only=False)
    values = pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)
    return pa.DictionaryArray.from_arrays(pa.array(values, pa.int32(), mask=is_null), words)
