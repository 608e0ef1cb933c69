"""Adds pieces of time up to windows as long as those that a model was fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anomaly.pieces import Piece

__all__ = ["TOO_LONG", "Sums", "Whole"]

# A window ends with the piece that brings it to this share of its length; beyond the other it has
# more sequences than any that was fitted, and says nothing.
_ENOUGH, TOO_LONG = 0.95, 1.5
_Grams = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Whole:
    """One window of *instance*, to be scored by *model*; calls are as many as in a whole one."""

    model: int
    instance: int
    first_ns: int
    last_ns: int
    seconds: float
    calls: Mapping[int, float]
    grams: _Grams


@dataclass(slots=True)
class _Open:
    first_ns: int
    last_ns: int
    observed_ns: int = 0
    calls: dict[int, float] = field(default_factory=dict)
    grams: list[_Grams] = field(default_factory=list)

    def add(
        self,
        last_ns: int,
        observed_ns: int,
        calls: npt.NDArray[Any] | None,
        grams: npt.NDArray[Any] | None,
    ) -> None:
        """Add what was seen until *last_ns*."""
        self.last_ns = last_ns
        self.observed_ns += observed_ns
        for row in () if calls is None else calls:
            call = int(row["call"])
            self.calls[call] = self.calls.get(call, 0.0) + float(row["calls"])
        if grams is not None:
            self.grams.append(grams["arch"][:, None] << 16 | grams["gram"].astype(np.int32))


class Sums:
    """Keeps an open window of each instance and model. *lost* are those that had to be given up."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Open] = {}
        self._number: int | None = None
        self.withheld = 0
        self.broken: set[int] = set()

    def add(self, number: int, piece: Piece, lengths: Mapping[int, int]) -> Iterator[Whole]:
        """Yield the windows that *piece* completes; *lengths* are those of models, nanoseconds.

        `broken` has the instances that were not seen without a gap since the piece before.
        """
        self.broken = set(piece.models) - set(piece.observed)
        if self._number is not None and number != self._number + 1:
            self.broken |= set(piece.models)
        self._number = number
        for key in list(self._open):
            if key[0] in self.broken or key[0] not in piece.models:
                del self._open[key]
                self.withheld += 1
        calls, grams = _by_instance(piece.calls), _by_instance(piece.grams)
        for instance, observed_ns in piece.observed.items():
            model = piece.models[instance]
            if not observed_ns or model not in lengths:
                continue
            one = self._open.setdefault((instance, model), _Open(piece.began_ns, piece.ended_ns))
            one.add(piece.ended_ns, observed_ns, calls.get(instance), grams.get(instance))
            whole = self._whole((instance, model), lengths[model])
            if whole is not None:
                yield whole

    def _whole(self, key: tuple[int, int], length_ns: int) -> Whole | None:
        """Return the open window of *key* where it is long enough, and begin another."""
        one = self._open[key]
        if one.observed_ns < _ENOUGH * length_ns:
            return None
        del self._open[key]
        if one.observed_ns > TOO_LONG * length_ns:
            self.withheld += 1
            return None
        scale = length_ns / one.observed_ns
        return Whole(
            model=key[1],
            instance=key[0],
            first_ns=one.first_ns,
            last_ns=one.last_ns,
            seconds=length_ns / 1e9,
            calls={call: number * scale for call, number in one.calls.items()},
            grams=np.concatenate([np.empty((0, 6), np.int32), *one.grams]),
        )


def _by_instance(rows: npt.NDArray[Any]) -> dict[int, npt.NDArray[Any]]:
    """Return *rows* by their instance."""
    order = np.argsort(rows["instance"], kind="stable")
    numbers, starts = np.unique(rows["instance"][order], return_index=True)
    return {
        int(number): part
        for number, part in zip(numbers, np.split(rows[order], starts[1:]), strict=False)
    }
