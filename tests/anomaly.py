"""Pieces of time and models, for tests of what asks models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from detector.anomaly.pieces import CALLS, GRAMS, Piece
from ethogram.contracts.baseline import ModelReference
from learner.anomaly import modelled
from tests.unit.test_learner_anomaly import steady

__all__ = ["SECOND", "WINDOW_S", "make_model", "make_piece", "write_model"]

SECOND = 10**9
WINDOW_S = 5.0


def make_piece(
    second: int, *, instance: int = 1, model: int = 1, length_s: float = 1.0, is_whole: bool = True,
    calls: dict[int, float] | None = None, grams: Iterable[Sequence[int]] = (),
) -> Piece:  # fmt: skip
    """Return a piece of *instance* that began at *second*: *calls* by number, *grams* of six."""
    counted = np.array([(instance, call, n) for call, n in (calls or {}).items()], CALLS)
    return Piece(
        began_ns=second * SECOND,
        ended_ns=round((second + length_s) * SECOND),
        models={instance: model},
        observed={instance: round(length_s * SECOND)} if is_whole else {},
        calls=counted,
        grams=np.array([(instance, 0, tuple(gram)) for gram in grams], GRAMS),
    )


def make_model(budget: str = "12/hour", rows: int = 120) -> tuple[ModelReference, bytes]:
    """Return a model of a service's windows of 5 s that make `steady` calls."""
    found = modelled(steady(rows), "x.skops", budget)
    assert found is not None
    return found


def write_model(place: Path, budget: str = "12/hour", rows: int = 120) -> ModelReference:
    reference, data = make_model(budget, rows)
    (place / reference.file).write_bytes(data)
    return reference
