"""Scores windows by the models of baselines, and says which of them begin or go on an episode.

It runs in the scorer's process. Importing it loads scikit-learn and pandas.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from detector.anomaly.pieces import Piece
from detector.anomaly.sums import Sums, Whole
from ethogram.contracts.baseline import ModelReference
from ethogram.errors import EthogramError
from learner.anomaly import AnomalyModel, load_model
from learner.explanation import Explanation, Reason, explain
from learner.grams import GramWindows, distinct, map_of
from learner.model_file import sample_in
from learner.sample import read_sample, window_seconds
from learner.windows import SteadyWindows

__all__ = ["Scoring"]

_LOOKED_THROUGH, _REASONS = 50, 3
_Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: AnomalyModel
    threshold: float
    length_ns: int


class Scoring:
    """Takes models and pieces; what comes of it is said to *say*, as `replies` has it."""

    def __init__(self, say: _Say) -> None:
        self._say = say
        self._models: dict[int, _Loaded] = {}
        self._sums = Sums()
        self._episodes: dict[tuple[int, int], str] = {}  # what each is about

    def load(self, number: int, reference: ModelReference, data: bytes) -> None:
        """Take the model in *data* as *number*; one that cannot be used is refused, and said."""
        try:
            model = load_model(data, reference)
            seconds = model.window_s or _sampled_s(data, reference.file)
            known = _known(data, reference)
        except EthogramError as error:
            self._refuse(number, error.message)
        except MemoryError:
            self._refuse(number, "it needs more memory than `--anomaly-memory` allows")
        except Exception as error:  # whatever the file makes numpy raise
            self._refuse(number, f"it cannot be used: {type(error).__name__}")
        else:
            if model.threshold is not None:
                loaded = _Loaded(model, model.threshold, round(seconds * 1e9))
                self._models[number] = loaded
            state = "insufficient" if model.threshold is None else "loaded"
            self._say({"kind": state, "model": number, "seconds": seconds} | known)

    def forget(self, number: int) -> None:
        """Let go of a model."""
        self._models.pop(number, None)
        for key in [key for key in self._episodes if key[1] == number]:
            del self._episodes[key]

    def score(self, number: int, piece: Piece) -> None:
        """Take piece *number*; tell of the strange windows that it completes."""
        lengths = {each: loaded.length_ns for each, loaded in self._models.items()}
        done = sorted(self._sums.add(number, piece, lengths), key=lambda one: one.model)
        for key in list(self._episodes):
            if key[0] in self._sums.broken or key[0] not in piece.models:
                del self._episodes[key]
        for model, group in groupby(done, key=lambda one: one.model):
            self._try(model, list(group))
        self._say({"kind": "scored", "windows": len(done), "withheld": self._sums.withheld})
        self._sums.withheld = 0

    def _try(self, model: int, wholes: Sequence[Whole]) -> None:
        """Score *wholes*; a model that fails on them must not end those of others."""
        try:
            self._score(self._models[model], wholes)
        except MemoryError:
            raise
        except Exception as error:  # whatever numpy raises for what the file made it hold
            self.forget(model)
            self._refuse(model, f"it failed on a window: {type(error).__name__}")

    def _refuse(self, number: int, reason: str) -> None:
        self._say({"kind": "refused", "model": number, "reason": reason})

    def _score(self, loaded: _Loaded, wholes: Sequence[Whole]) -> None:
        windows = _windows(wholes)
        scores = loaded.model.score(windows)
        for row, (whole, score) in enumerate(zip(wholes, scores.tolist(), strict=True)):
            key = (whole.instance, whole.model)
            if score >= loaded.threshold:
                self._episodes.pop(key, None)
                continue
            told = explain(loaded.model, windows, row, most=_LOOKED_THROUGH)
            reasons = _chosen(told)
            is_new = key not in self._episodes
            about = self._episodes.setdefault(key, _about(told))
            self._say(
                {
                    "kind": "strange",
                    "model": whole.model,
                    "instance": whole.instance,
                    "first_ns": whole.first_ns,
                    "last_ns": whole.last_ns,
                    "seconds": whole.seconds,
                    "is_new": is_new,
                    "about": about,
                    "detectors": [name for name, strange in told.detectors if strange > 0],
                    "reasons": list(map(str, reasons)),
                    "usual": _usual(reasons),
                    **_rarity(loaded, score),
                }
            )


def _known(data: bytes, reference: ModelReference) -> dict[str, str]:
    """Return the map of the sequences that were seen, where new ones are told by their number."""
    if reference.alerts is None or reference.alerts.most_new is None:
        return {}
    sample = read_sample(sample_in(data, source=reference.file), source=reference.file)
    return {"known": base64.b64encode(map_of(sample.grams.table)).decode()}


def _sampled_s(data: bytes, source: str) -> float:
    return window_seconds(sample_in(data, source=source), source=source)


def _rarity(loaded: _Loaded, score: float) -> dict[str, float | None]:
    """Return the p-value, and how many decades rarer the window is than what is just flagged."""
    strange = loaded.model.strangeness(np.array([score, loaded.threshold]))
    if strange is None:
        return {"p_value": None, "beyond": loaded.threshold - score}
    return {"p_value": float(10.0 ** -strange[0]), "beyond": float(strange[0] - strange[1])}


def _chosen(told: Explanation) -> list[Reason]:
    """Return the largest reasons of each kind: what comes too often is seen in no sequence."""
    by_kind = (
        [one for one in told.reasons if one.kind == kind and not _is_known(one)]
        for kind in ("sequence", "call")
    )
    chosen = [one for group in by_kind for one in group[:_REASONS]]
    return sorted(chosen, key=lambda one: -one.share)


def _is_known(reason: Reason) -> bool:
    """Return whether there is nothing to say of *reason*: it is as in other windows."""
    if reason.kind == "sequence":
        return reason.known >= len(reason.what)
    return not reason.is_new and reason.low <= reason.count <= reason.high


def _about(told: Explanation) -> str:
    """Return what an episode is about that begins with this window: its first reason's call."""
    if not told.reasons:
        return "proportions"
    first = told.reasons[0]
    return f"{first.kind} {first.what[-1]}"


def _usual(reasons: Iterable[Reason]) -> list[str]:
    return [
        f"{one.what[0]} {one.low:.0f} to {one.high:.0f} times"
        for one in reasons
        if one.kind == "call" and one.high and not one.is_new
    ]


def _windows(wholes: Sequence[Whole]) -> SteadyWindows:
    """Return *wholes* as the learner has windows."""
    calls = np.array(sorted({call for one in wholes for call in one.calls}), np.int32)
    place = {call: column for column, call in enumerate(calls.tolist())}
    counts = np.zeros((len(wholes), len(calls)))
    for row, one in enumerate(wholes):
        for call, number in one.calls.items():
            counts[row, place[call]] = number
    sets = [distinct(one.grams)[0] for one in wholes]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in sets])]).astype(np.int64)
    table, ids = distinct(np.concatenate(sets))
    index = pd.DataFrame({"instance_key": [str(one.instance) for one in wholes]})
    return SteadyWindows(index, calls, counts, GramWindows(starts, ids, table))
