"""The windows that a model is fitted to, as bytes beside it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ethogram.errors import BaselineError
from learner.grams import ORDER, GramWindows
from learner.sampling import INDEX
from learner.windows import SteadyWindows

__all__ = ["read_sample", "sample_bytes", "window_seconds"]

_LONGEST_S = 86_400.0
_SCHEMA = pa.schema(
    [
        ("recording_id", pa.string()),
        ("instance_key", pa.string()),
        ("window", pa.int64()),
        ("start_ns", pa.int64()),
        ("seconds", pa.float64()),
        ("calls", pa.list_(pa.int32())),
        ("counts", pa.list_(pa.float64())),
        ("grams", pa.list_(pa.int32())),
        ("table", pa.list_(pa.int32(), ORDER)),
    ]
)


def sample_bytes(windows: SteadyWindows) -> bytes:
    """Return *windows* as a Parquet file, with every sequence that their table has.

    Equal windows give equal bytes: a first row holds the table, which is sorted.
    """
    table, place = np.unique(windows.grams.table, axis=0, return_inverse=True)
    ids = place.ravel()[windows.grams.ids]
    rows, columns = np.nonzero(windows.counts)
    starts = np.searchsorted(rows, np.arange(len(windows) + 1))
    index = windows.index
    lists = {
        "calls": _lists(starts, windows.calls[columns], pa.int32()),
        "counts": _lists(starts, windows.counts[rows, columns], pa.float64()),
        "grams": _lists(windows.grams.starts, ids, pa.int32()),
    }
    columns_of = {name: pa.array(index[name]) for name in [*INDEX, "start_ns", "seconds"]} | lists
    empty = pa.nulls(len(windows), _SCHEMA.field("table").type)
    whole = pa.table([*columns_of.values(), empty], schema=_SCHEMA)
    known = pa.FixedSizeListArray.from_arrays(pa.array(table.ravel(), pa.int32()), ORDER)
    extra = pa.table(
        [pa.nulls(len(known), field.type) for field in list(_SCHEMA)[:-1]] + [known],
        schema=_SCHEMA,
    )
    buffer = io.BytesIO()
    pq.write_table(pa.concat_tables([whole, extra]), buffer, compression="zstd")
    return buffer.getvalue()


def _lists(starts: npt.NDArray[np.int64], values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(values, kind))


def read_sample(data: bytes, *, source: str) -> SteadyWindows:
    """Return the windows in *data*; `BaselineError` where it is no sample. It may be hostile."""
    try:
        whole = pq.read_table(io.BytesIO(data), schema=_SCHEMA).combine_chunks()
        return _windows(whole)
    except (pa.ArrowException, ValueError, IndexError, OSError, OverflowError) as error:
        raise _unreadable(source, error) from error


def window_seconds(data: bytes, *, source: str) -> float:
    """Return how long the windows in *data* are; their median, for the last of each is shorter."""
    try:
        column = pq.read_table(io.BytesIO(data), columns=["seconds"]).column("seconds")
        seconds = float(np.median(column.drop_null().to_numpy()))
        if not 0 < seconds < _LONGEST_S:
            raise ValueError("no length of a window")
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError, OverflowError) as error:
        raise _unreadable(source, error) from error
    return seconds


def _unreadable(source: str, error: Exception) -> BaselineError:
    return BaselineError(
        f"the sample in `{source}` cannot be read: {type(error).__name__}",
        hint="fit the model again with `ethogram learn RECORDING -o DIRECTORY`",
    )


def _windows(whole: pa.Table) -> SteadyWindows:
    is_table = whole.column("table").is_valid()
    known = whole.column("table").filter(is_table).combine_chunks()
    rows = whole.filter(whole.column("window").is_valid())
    index = rows.select([*INDEX, "start_ns", "seconds"]).to_pandas()
    table = known.flatten().to_numpy(zero_copy_only=False).reshape(-1, ORDER)
    starts, ids = _flat(rows.column("grams"))
    call_starts, numbers = _flat(rows.column("calls"))
    _, counts = _flat(rows.column("counts"))
    calls, place = np.unique(numbers, return_inverse=True)
    matrix = np.zeros((len(index), len(calls)))
    matrix[np.repeat(np.arange(len(index)), np.diff(call_starts)), place.ravel()] = counts
    is_whole = len(ids) == 0 or (ids.min() >= 0 and ids.max() < len(table))
    if not is_whole or index.isna().any(axis=None) or not np.isfinite(matrix).all():
        raise ValueError("its parts do not fit")
    grams = GramWindows(starts, ids.astype(np.int64), table.astype(np.int32))
    return SteadyWindows(index, calls.astype(np.int32), matrix, grams)


def _flat(
    column: pa.ChunkedArray,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return where each list of *column* starts, and the values of all."""
    lists = column.combine_chunks()
    sizes = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return starts, lists.flatten().to_numpy(zero_copy_only=False)
