"""What the scorer is given of a window: the calls and sequences of instances that have a model.

A window of the watch may be shorter than those of a model, and may be ended early. So this is a
piece of time, and the scorer adds pieces up. Importing this costs neither pandas nor scikit-learn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detector.anomaly.frames import Frame, packed
from ethogram.contracts.tables import ENUMS

__all__ = ["CALLS", "GRAMS", "Piece", "Rest", "Rows"]

_STEADY = ENUMS["phase"].index("steady")
_COMPLETE = ENUMS["coverage_state"].index("complete")
_GRAM_BYTES = 12
_PARTS = 64  # of a window: it is looked at whenever something new comes
CALLS = np.dtype([("instance", "<u4"), ("call", "<i4"), ("calls", "<f8")])
GRAMS = np.dtype([("instance", "<u4"), ("arch", "<i4"), ("gram", "<u2", (_GRAM_BYTES // 2,))])
_OF_WINDOW = [("window", "<u4")]
_Table = npt.NDArray[Any]


class Rows(Protocol):
    """The window that is open now; see `detector.live.Live`."""

    def window(self, name: str) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """Some time, from *began_ns* to *ended_ns*, UTC; *number* counts pieces without a gap.

    *models* says which model is asked about an instance, *observed* how many nanoseconds its
    steady phase was seen; an instance is not in it where something was lost.
    """

    began_ns: int
    ended_ns: int
    models: Mapping[int, int]
    observed: Mapping[int, int]
    calls: _Table = field(default_factory=lambda: np.empty(0, CALLS))
    grams: _Table = field(default_factory=lambda: np.empty(0, GRAMS))

    def joined(self, other: Piece) -> Piece:
        """Return this and the *other* that follows as one; who is not whole in both is in neither.

        An instance that began between the two is whole from then on.
        """
        observed = {}
        for instance in self.models.keys() | other.models.keys():
            parts = [one for one in (self, other) if instance in one.models]
            if all(instance in one.observed for one in parts):
                observed[instance] = sum(one.observed[instance] for one in parts)
        return Piece(
            self.began_ns,
            other.ended_ns,
            {**self.models, **other.models},
            observed,
            np.concatenate([self.calls, other.calls]),
            np.concatenate([self.grams, other.grams]),
        )

    def frame(self, number: int) -> bytes:
        """Return this as it is sent."""
        header = {
            "kind": "piece",
            "number": number,
            "began_ns": self.began_ns,
            "ended_ns": self.ended_ns,
            "models": list(self.models.items()),
            "observed": list(self.observed.items()),
            "calls": len(self.calls),
        }
        return packed(header, self.calls.tobytes() + self.grams.tobytes())

    @classmethod
    def of_frame(cls, frame: Frame) -> Piece:
        """Return the piece in *frame*, which `frame` made."""
        header, size = frame.header, frame.header["calls"] * CALLS.itemsize
        return cls(
            header["began_ns"],
            header["ended_ns"],
            dict(header["models"]),
            dict(header["observed"]),
            np.frombuffer(frame.body[:size], CALLS),
            np.frombuffer(frame.body[size:], GRAMS),
        )


class Rest:
    """What was told of a window before it ended: its rows come in parts that add up."""

    def __init__(self) -> None:
        self._calls: list[_Table] = []
        self._grams: list[_Table] = []
        self._missed: set[int] = set()

    def add(self, live: Rows, models: Mapping[int, int]) -> None:
        """Keep the calls and sequences that *live* has of the instances in *models*."""
        wanted = np.array(sorted(models), np.int64)
        _put(self._calls, _calls(_chosen(live.window("syscalls"), wanted)), _added_up)
        _put(self._grams, _grams(_chosen(live.window("ngrams"), wanted)), np.unique)

    def miss(self, instances: Iterable[int]) -> None:
        """Note that nothing was kept of *instances*: who gets a model now has no whole window."""
        self._missed.update(instances)

    def piece(self, live: Rows, models: Mapping[int, int]) -> Piece:
        """Return the window of *live*, which has ended, with what was kept of it."""
        self.add(live, models)
        ended = live.window("windows")
        began, until = (ended.column(name).cast(pa.int64())[0].as_py() for name in ("start", "end"))
        number = ended.column("window")[0].as_py()
        calls = np.concatenate([_calls(live.window("syscalls")[:0]), *self._calls])
        grams = np.concatenate([_grams(live.window("ngrams")[:0]), *self._grams])
        missed, self._missed = self._missed, set()
        self._calls, self._grams = [], []
        wanted = np.array(sorted(models.keys() - missed), np.int64)
        coverage = _chosen(live.window("coverage"), wanted)
        return Piece(
            began,
            until,
            models,
            _observed(coverage.filter(pc.equal(coverage.column("window"), number))),
            # Rows of a workload whose name came late are of windows that are over.
            calls[calls["window"] == number][list(CALLS.names or ())].astype(CALLS),
            grams[grams["window"] == number][list(GRAMS.names or ())].astype(GRAMS),
        )


def _put(parts: list[_Table], rows: _Table, folded: Callable[[_Table], _Table]) -> None:
    """Add *rows* to *parts*; many small parts become one, *folded*."""
    if len(rows):
        parts.append(rows)
    if len(parts) >= _PARTS:
        parts[:] = [folded(np.concatenate(parts))]


def _added_up(rows: _Table) -> _Table:
    """Return *rows* with one for each call of an instance in a window."""
    keys = rows[["window", "instance", "call"]]
    _, first, each = np.unique(keys, return_index=True, return_inverse=True)
    one = rows[first]
    one["calls"] = np.bincount(each, rows["calls"])
    return one


def _chosen(rows: pa.Table, wanted: npt.NDArray[np.int64]) -> pa.Table:
    """Return what of *rows* is of the steady phase of those *wanted*."""
    if not rows.num_rows:
        return rows
    keep = np.isin(rows.column("instance").to_numpy(), wanted)
    keep &= _codes(rows, "phase") == _STEADY
    return rows.filter(pa.array(keep))


def _observed(mine: pa.Table) -> dict[int, int]:
    """Return for how long the steady phase was seen, of those of which nothing was lost."""
    found: dict[int, int] = defaultdict(int)
    lossy = set()
    columns = (mine.column(name).to_pylist() for name in ("instance", "observed_ns"))
    for instance, observed_ns, state in zip(*columns, _codes(mine, "state").tolist(), strict=True):
        found[instance] += observed_ns
        if state != _COMPLETE:
            lossy.add(instance)
    return {instance: ns for instance, ns in found.items() if instance not in lossy}


def _calls(rows: pa.Table) -> _Table:
    found = np.empty(rows.num_rows, _OF_WINDOW + CALLS.descr)
    found["window"] = rows.column("window").to_numpy()
    found["instance"] = rows.column("instance").to_numpy()
    found["call"] = _codes(rows, "arch").astype(np.int32) << 16 | rows.column("nr").to_numpy()
    found["calls"] = rows.column("calls").to_numpy()
    return found


def _grams(rows: pa.Table) -> _Table:
    found = np.empty(rows.num_rows, _OF_WINDOW + GRAMS.descr)
    found["window"] = rows.column("window").to_numpy()
    found["instance"] = rows.column("instance").to_numpy()
    found["arch"] = _codes(rows, "arch")
    gram = rows.column("gram").combine_chunks()
    if rows.num_rows:
        gram = pa.concat_arrays(gram.chunks) if isinstance(gram, pa.ChunkedArray) else gram
        data = np.frombuffer(gram.buffers()[1], np.uint8)[gram.offset * _GRAM_BYTES :]
        shaped = data[: len(gram) * _GRAM_BYTES].view("<u2").reshape(-1, _GRAM_BYTES // 2)
        found["gram"] = shaped
    return found


def _codes(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    """Return the places of an enumeration's words, which every batch has in the same order."""
    column = rows.column(name)
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int8())
    numbers: npt.NDArray[Any] = pc.cast(codes, pa.int64()).to_numpy()
    return numbers
