"""What an anomaly model looks at: the steady windows of a workload, their calls and sequences.

A summary holds what was seen, not when: windows come from recordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import ENUMS
from ethogram.indicators.registry import learner_indicators
from learner.context import Context, context_of
from learner.grams import ORDER, GramWindows, distinct
from learner.identity import Identity, identity_of
from learner.sampling import INDEX, sampled
from learner.suspects import taint_of

__all__ = ["MOST_WINDOWS", "SteadyWindows", "steady_windows"]

# Of one workload. 30 days of windows of 5 s, as one episode a month needs: 0.4 GB for 100 calls.
MOST_WINDOWS = 1 << 19
_STEADY = ENUMS["phase"].index("steady")
_GRAM_BYTES = 2 * ORDER


@dataclass(frozen=True, slots=True)
class SteadyWindows:
    """Windows of one workload, in the order of their time.

    *index* has a row each: `recording_id`, `instance_key`, `window`, `start_ns`, and the `seconds`
    that were observed. *calls* names the columns of *counts*, calls in a whole window; a number is
    its architecture's place in the enum, shifted by 16 bits, and the number of the call. *watched*
    is how many windows there were, where these are a sample of them. *window_s* is how long a whole
    one is; a sample does not say.
    """

    index: pd.DataFrame
    calls: npt.NDArray[np.int32]
    counts: npt.NDArray[np.float64]
    grams: GramWindows
    watched: int | None = None
    window_s: float | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def rows(self) -> int:
        """How many calls and sequences the windows have together."""
        return int(np.count_nonzero(self.counts)) + len(self.grams.ids)

    def take(self, rows: npt.NDArray[np.int64]) -> SteadyWindows:
        """Return the windows *rows*, in that order."""
        return SteadyWindows(
            self.index.iloc[rows].reset_index(drop=True),
            self.calls,
            self.counts[rows],
            self.grams.take(rows),
            window_s=self.window_s,
        )

    def alone(self, rows: npt.NDArray[np.int64]) -> SteadyWindows:
        """Return the windows *rows*, with no call and no sequence that none of them has."""
        mine = self.take(rows)
        used = mine.counts.any(axis=0)
        return replace(
            mine, calls=mine.calls[used], counts=mine.counts[:, used], grams=mine.grams.compact()
        )

    def counts_of(self, calls: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Return how often each window makes *calls*, and in the last column all others."""
        result = np.zeros((len(self), len(calls) + 1))
        place = np.searchsorted(calls, self.calls)
        is_known = np.isin(self.calls, calls)
        result[:, place[is_known]] = self.counts[:, is_known]
        result[:, -1] = self.counts[:, ~is_known].sum(axis=1)
        return result


def steady_windows(
    recordings: Iterable[Recording], *, most: int = MOST_WINDOWS
) -> dict[Identity, SteadyWindows]:
    """Return the complete windows of the steady phase of each workload, a sample of *most* of them.

    Windows in which an indicator fired are left out: nothing is learnt from them. The order of
    *recordings* changes nothing, nor does one that comes twice.
    """
    gathered: dict[Identity, _Gathered] = {}
    for recording in recordings:
        for identity, part in _of_recording(recording):
            mine = gathered.setdefault(identity, _Gathered(most))
            mine.add(recording.manifest.recording_id, part)
    return {identity: gathered[identity].whole() for identity in sorted(gathered)}


class _Gathered:
    """The windows of one workload, never more than twice *most* of them beside the last part."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[SteadyWindows] = []
        self._watched: dict[str, int] = {}  # by recording, in which each window is there once

    def add(self, recording_id: str, part: SteadyWindows) -> None:
        self._watched[recording_id] = max(self._watched.get(recording_id, 0), len(part))
        self._parts.append(part)
        if sum(map(len, self._parts)) > 2 * self._most:
            self._parts = [self._kept()]

    def whole(self) -> SteadyWindows:
        kept = self._kept()
        watched = sum(self._watched.values())
        return kept if watched <= len(kept) else replace(kept, watched=watched)

    def _kept(self) -> SteadyWindows:
        whole = joined(self._parts)
        if len(whole) <= self._most:
            return whole
        kept = whole.take(np.flatnonzero(sampled(whole, most=self._most)))
        return replace(kept, grams=kept.grams.compact())


def joined(parts: list[SteadyWindows]) -> SteadyWindows:
    """Return the windows of all *parts*, each once, in the order of their time."""
    calls = np.unique(np.concatenate([part.calls for part in parts]))
    counts = np.concatenate([part.counts_of(calls)[:, :-1] for part in parts])
    index = pd.concat([part.index for part in parts], ignore_index=True)
    ids, starts, offset = [], [np.zeros(1, np.int64)], 0
    for part in parts:
        ids.append(part.grams.ids + offset)
        starts.append(part.grams.starts[1:] + starts[-1][-1])
        offset += len(part.grams.table)
    table, place = distinct(np.concatenate([part.grams.table for part in parts]))
    grams = GramWindows(np.concatenate(starts), place[np.concatenate(ids)], table)
    once = index.drop_duplicates(INDEX).sort_values(["start_ns", *INDEX], kind="stable")
    window_s = max((part.window_s for part in parts if part.window_s), default=None)
    whole = SteadyWindows(index, calls, counts, grams, window_s=window_s)
    return whole.take(once.index.to_numpy(np.int64))


def _of_recording(recording: Recording) -> Iterator[tuple[Identity, SteadyWindows]]:
    context = context_of(recording)
    windows = _complete(context)
    if windows.empty:
        return
    keys = _keys(windows)
    calls, counts = _counted(context, keys)
    window_s = recording.manifest.window_ms / 1000
    counts *= (window_s / windows.seconds.to_numpy())[:, None]
    whole = SteadyWindows(windows, calls, counts, _sequences(context, keys), window_s=window_s)
    for workload, key in context.workload_keys.items():
        rows = np.flatnonzero(windows.workload.to_numpy() == workload)
        if len(rows):
            mine = whole.alone(rows)
            index = mine.index.drop(columns=["workload", "instance"])
            yield identity_of(key), replace(mine, index=index)


def _complete(context: Context) -> pd.DataFrame:
    """Return the complete windows of the steady phase that no indicator condemns, sorted."""
    taint = taint_of(context, learner_indicators())
    names = ["workload", "instance", "window", "observed_ns"]
    parts = [pd.DataFrame({name: pd.Series(dtype=np.int64) for name in names})]
    for batch in context.recording.batches("coverage"):
        clean = taint.bits("coverage", batch) == 0
        state = batch.column("state").indices.to_numpy()
        phase = batch.column("phase").indices.to_numpy()
        observed = batch.column("observed_ns").to_numpy()
        keep = clean & (state == 0) & (phase == _STEADY) & (observed > 0)
        parts.append(batch.select(names).filter(pa.array(keep)).to_pandas())
    frame = pd.concat(parts).drop_duplicates(names[:3]).sort_values(["instance", "window"])
    table = context.recording.table("windows")
    starts = dict(
        zip(table.column("window").to_pylist(), table.column("start").cast(pa.int64()).to_pylist(),
            strict=True)
    )  # fmt: skip
    return pd.DataFrame(
        {
            "workload": frame.workload.astype(np.int64),
            "instance": frame.instance.astype(np.int64),
            "recording_id": context.recording.manifest.recording_id,
            "instance_key": frame.instance.map(context.instance_keys).fillna(""),
            "window": frame.window.astype(np.int64),
            "start_ns": frame.window.map(starts).fillna(0).astype(np.int64),
            "seconds": frame.observed_ns.astype(np.float64) / 1e9,
        }
    ).reset_index(drop=True)


def _keys(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a number for the instance and window of each row; they are sorted by it."""
    keys: npt.NDArray[np.int64] = frame.instance.to_numpy(np.int64) << 32 | frame.window.to_numpy(
        np.int64
    )
    return keys


def _rows_of(
    batch: pa.RecordBatch, keys: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the window of each row of *batch*, and whether it is one of *keys* and steady."""
    mine = batch.column("instance").to_numpy().astype(np.int64) << 32
    mine |= batch.column("window").to_numpy().astype(np.int64)
    place = np.minimum(np.searchsorted(keys, mine), len(keys) - 1)
    steady = pc.equal(batch.column("phase").indices, _STEADY).to_numpy(zero_copy_only=False)
    return place, (keys[place] == mine) & steady


def _counted(
    context: Context, keys: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    places, calls, numbers = [], [], []
    for batch in context.recording.batches("syscalls"):
        place, keep = _rows_of(batch, keys)
        number = np.minimum(batch.column("nr").to_numpy(), 0xFFFF).astype(np.int32)
        arch = batch.column("arch").indices.to_numpy().astype(np.int32)
        places.append(place[keep])
        calls.append((arch << 16 | number)[keep])
        numbers.append(batch.column("calls").to_numpy()[keep].astype(np.float64))
    if not places:
        return np.empty(0, np.int32), np.zeros((len(keys), 0))
    known, column = np.unique(np.concatenate(calls), return_inverse=True)
    flat = np.concatenate(places) * len(known) + column.ravel()
    counts = np.bincount(flat, np.concatenate(numbers), minlength=len(keys) * len(known))
    return known.astype(np.int32), counts.astype(np.float64).reshape(len(keys), len(known))


def _sequences(context: Context, keys: npt.NDArray[np.int64]) -> GramWindows:
    rows, tables = [np.empty(0, np.int64)], [np.empty((0, ORDER), np.int32)]
    for batch in context.recording.batches("ngrams"):
        place, keep = _rows_of(batch, keys)
        kept = batch.filter(pa.array(keep))
        gram = kept.column("gram")
        data = np.frombuffer(gram.buffers()[1], np.uint8)[gram.offset * _GRAM_BYTES :]
        numbers = data[: len(kept) * _GRAM_BYTES].view("<u2").reshape(-1, ORDER).astype(np.int32)
        arch = kept.column("arch").indices.to_numpy().astype(np.int32)
        rows.append(place[keep])
        tables.append(arch[:, None] << 16 | numbers)
    table, ids = distinct(np.concatenate(tables))
    pairs = np.unique(np.concatenate(rows) * max(len(table), 1) + ids)
    row, ids = np.divmod(pairs, max(len(table), 1))
    starts = np.searchsorted(row, np.arange(len(keys) + 1))
    return GramWindows(starts.astype(np.int64), ids, table)
