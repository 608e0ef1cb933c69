"""Windows of a workload as a frame to look at: frequencies as columns, by names.

An anomaly model looks at `learner.windows`, which have every sequence.

A summary holds what was seen, not when: features come from recordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.recording import Recording
from ethogram.contracts.syscall_names import name_of
from ethogram.contracts.tables import ENUMS
from ethogram.indicators.registry import indicators
from learner.context import Context, context_of
from learner.explanation import sequence
from learner.identity import Identity, identity_of
from learner.suspects import taint_of
from learner.taint import Taint

__all__ = ["INDEX", "feature_frames", "feature_text"]

INDEX = ["recording_id", "instance_key", "window"]
_STEADY = ENUMS["phase"].index("steady")
_WHERE = ["workload", "instance", "window"]


def feature_frames(
    recordings: Iterable[Recording], *, grams: int = 128
) -> dict[Identity, pd.DataFrame]:
    """Return one frame a workload: a row for each steady window of each instance.

    Columns `call/<arch>/<name>` hold calls a second, `gram/<arch>/<hex>` whether one of the
    *grams* most frequent sequences of six calls was seen. Windows in which an indicator fired, and
    those that are not complete, are left out: nothing is learnt from them. Columns are sorted,
    rows are in the order of `INDEX`.
    """
    parts: dict[Identity, list[pd.DataFrame]] = {}
    for recording in recordings:
        for identity, part in _frames(recording):
            parts.setdefault(identity, []).append(part)
    return {identity: _joined(parts[identity], grams) for identity in sorted(parts)}


def feature_text(feature: str) -> str:
    """Return a column of `feature_frames` in words: the call, or the sequence of calls."""
    kind, arch, rest = feature.split("/", 2)
    return rest if kind == "call" else " ".join(sequence(arch, bytes.fromhex(rest)))


def _joined(parts: list[pd.DataFrame], grams: int) -> pd.DataFrame:
    whole = pd.concat(parts).fillna(0.0).sort_index()
    whole = whole[~whole.index.duplicated()]
    whole = whole.loc[:, (whole != 0).any()]
    is_gram = whole.columns.str.startswith("gram/")
    counts = whole.loc[:, is_gram].sum()
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
    kept = [str(name) for name, _ in ranked[:grams]]
    return whole[sorted([*whole.columns[~is_gram], *kept])]


def _frames(recording: Recording) -> Iterator[tuple[Identity, pd.DataFrame]]:
    """Yield the features of each workload of one recording."""
    context = context_of(recording)
    taint = taint_of(context, indicators().values())
    windows = _steady_windows(context, taint)
    if windows.empty:
        return
    calls, grams = _calls(context), _grams(context)
    for workload, key in context.workload_keys.items():
        part = windows[windows.workload == workload]
        if part.empty:
            continue
        index = pd.MultiIndex.from_frame(part[_WHERE])
        frame = pd.concat(
            [_pivoted(table, workload, index) for table in (calls, grams)], axis="columns"
        )
        is_call = frame.columns.str.startswith("call/")
        seconds = part.observed_ns.to_numpy() / 1e9
        frame.loc[:, is_call] = frame.loc[:, is_call].div(seconds, axis="index")
        yield identity_of(key), _named(context, frame)


def _named(context: Context, frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* indexed by names that hold across recordings."""
    where = frame.index.to_frame(index=False)
    frame.index = pd.MultiIndex.from_arrays(
        [
            [context.recording.manifest.recording_id] * len(where),
            where.instance.map(context.instance_keys).fillna(""),
            where.window,
        ],
        names=INDEX,
    )
    return frame


def _steady_windows(context: Context, taint: Taint) -> pd.DataFrame:
    """Return the complete windows of the steady phase, with the time that was observed of them."""
    parts = []
    for batch in context.recording.batches("coverage"):
        clean = taint.bits("coverage", batch) == 0
        state = batch.column("state").indices.to_numpy()
        phase = batch.column("phase").indices.to_numpy()
        observed = batch.column("observed_ns").to_numpy()
        keep = clean & (state == 0) & (phase == _STEADY) & (observed > 0)
        columns = [*_WHERE, "observed_ns"]
        parts.append(batch.select(columns).filter(pa.array(keep)).to_pandas())
    whole = pd.concat(parts) if parts else pd.DataFrame(columns=[*_WHERE, "observed_ns"])
    return whole.sort_values(_WHERE).drop_duplicates(_WHERE)


def _steady(batch: pa.RecordBatch, columns: list[str]) -> pa.Table:
    rows = batch.filter(pc.equal(batch.column("phase").indices, _STEADY))
    arch = rows.column("arch").indices
    return pa.table({name: rows.column(name) for name in [*_WHERE, *columns]} | {"arch": arch})


def _calls(context: Context) -> pd.DataFrame:
    tables = [_steady(b, ["nr", "calls"]) for b in context.recording.batches("syscalls")]
    if not tables:
        return _nothing()
    grouped = pa.concat_tables(tables).group_by([*_WHERE, "arch", "nr"])
    frame: pd.DataFrame = grouped.aggregate([("calls", "sum")]).to_pandas()
    return frame.assign(
        feature=_features(frame, "nr", _call_feature), value=frame.calls_sum.astype(float)
    )


def _grams(context: Context) -> pd.DataFrame:
    tables = [_steady(b, ["gram"]) for b in context.recording.batches("ngrams")]
    if not tables:
        return _nothing()
    grouped = pa.concat_tables(tables).group_by([*_WHERE, "arch", "gram"]).aggregate([])
    frame: pd.DataFrame = grouped.to_pandas()
    return frame.assign(feature=_features(frame, "gram", _gram_feature), value=1.0)


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=[*_WHERE, "feature", "value"])


def _call_feature(arch: str, number: int) -> str:
    return f"call/{arch}/{name_of(arch, number) or number}"


def _gram_feature(arch: str, gram: bytes) -> str:
    return f"gram/{arch}/{gram.hex()}"


def _features(frame: pd.DataFrame, column: str, name: object) -> pd.Series:
    """Return the name of each row's feature, made once for each distinct one."""
    assert callable(name)
    distinct = frame[["arch", column]].drop_duplicates()
    names = {
        (arch, value): name(ENUMS["arch"][arch], value)
        for arch, value in zip(distinct.arch, distinct[column], strict=True)
    }
    pairs = zip(frame.arch, frame[column], strict=True)
    return pd.Series([names[pair] for pair in pairs], index=frame.index, dtype=object)


def _pivoted(table: pd.DataFrame, workload: object, index: pd.MultiIndex) -> pd.DataFrame:
    """Return the *table* of one workload with a row for each entry of *index*."""
    rows = table[table.workload == workload]
    if rows.empty:
        return pd.DataFrame(index=index)
    wide = rows.pivot_table(
        index=_WHERE, columns="feature", values="value", aggfunc="sum", fill_value=0.0
    )
    return wide.reindex(index, fill_value=0.0).astype(np.float64)
