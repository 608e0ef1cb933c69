"""Several detectors as one: each is held out from itself, and their p-values are put together.

Each detector is fitted once to each part of the windows without one fold, and scores that fold.
These held-out scores put it on the scale of `Calibration`. The detector that stays is fitted to all
windows. Importing this module loads scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from learner.calibration import Calibration
from learner.detectors.base import Detector
from learner.detectors.grams import GramDetector
from learner.detectors.registry import detectors
from learner.grams import GramVocabulary, GramWindows, hashed

__all__ = [
    "DEFAULT_ALONE",
    "DEFAULT_COMBINE",
    "DEFAULT_COUNTS",
    "DEFAULT_GRAMS",
    "DEFAULT_GRAM_COMBINE",
    "Combine",
    "Ensemble",
    "Windows",
    "fit_ensemble",
]

# The detectors that make the default ensemble, where windows have what they look at.
# Where sequences are known, detectors of counts add what these cannot tell: how often.
DEFAULT_COUNTS: tuple[str, ...] = ("residual-peak", "unseen-pair")
DEFAULT_ALONE: tuple[str, ...] = ("neighbours", "residual-peak", "unseen-pair")
DEFAULT_GRAMS: tuple[str, ...] = ("gram-cover", "gram-model", "gram-neighbours", "gram-novelty")

# mean: a window that several detectors find strange; max: one that any of them does; square, the
# root of the mean square: between them, for detectors of sequences that see much the same.
Combine = Literal["mean", "max", "square"]
DEFAULT_COMBINE: Combine = "mean"
DEFAULT_GRAM_COMBINE: Combine = "square"
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Windows:
    """What detectors look at: a row of *counts* for each window, and its set of sequences.

    The columns of *counts* are the same wherever an ensemble is fitted and scores.
    """

    counts: npt.NDArray[np.float64]
    grams: GramWindows | None = None

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, rows: npt.NDArray[np.int64]) -> Windows:
        """Return the windows *rows*, in that order."""
        return Windows(self.counts[rows], None if self.grams is None else self.grams.take(rows))


@dataclass(frozen=True, slots=True)
class Fitted:
    """Detectors that were fitted to the same windows, and the sequences these showed."""

    detectors: Mapping[str, Detector]
    vocabulary: GramVocabulary | None

    def scores(self, windows: Windows) -> dict[str, Scores]:
        """Return the scores of each detector; the columns of *windows* are not checked."""
        found: dict[str, Scores] = {}
        columns = None
        for name, detector in self.detectors.items():
            if detector.looks_at == "counts":
                found[name] = detector.quick_scores(windows.counts)
                continue
            if windows.grams is None:
                raise ValueError(f"`{name}` looks at sequences")
            if detector.looks_at == "grams" and self.vocabulary is not None:
                assert isinstance(detector, GramDetector)
                if columns is None:
                    columns = self.vocabulary.columns_of(windows.grams)
                found[name] = detector.score_columns(windows.grams.starts, columns)
            else:
                found[name] = detector.quick_scores(hashed(windows.grams))
        return found

    def columns(self, windows: Windows) -> dict[str, Any]:
        """Return the rows that each kind of detector looks at."""
        return _columns(windows, self.vocabulary, {d.looks_at for d in self.detectors.values()})


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Fitted detectors, each with the calibration of its scores; *held_out* are the ensemble's."""

    fitted: Fitted
    calibrations: Mapping[str, Calibration]
    combine: Combine
    held_out: Scores

    def members(self, windows: Windows) -> dict[str, Scores]:
        """Return how strange each detector finds each window: minus the logarithm of its p."""
        scores = self.fitted.scores(windows)
        return {name: each.strangeness(scores[name]) for name, each in self.calibrations.items()}

    def score(self, windows: Windows) -> Scores:
        """Return how normal each window is: zero is as normal as can be, lower is stranger.

        The score of a window does not depend on the others.
        """
        return combined(list(self.members(windows).values()), self.combine)


def fit_ensemble(
    windows: Windows,
    folds: npt.NDArray[np.int64],
    *,
    members: Sequence[str] | None = None,
    combine: Combine | None = None,
    sample: npt.NDArray[np.bool_] | None = None,
) -> Ensemble:
    """Return *members*, by default the default ones, fitted to *windows*.

    *folds* numbers the part of each window that is held out together; neighbours in time belong
    into one. Detectors are fitted to the windows of *sample* alone, where that is given; the
    sequences of the others are known to them all the same, and their scores are held out as well.
    """
    names = members or (
        DEFAULT_ALONE if windows.grams is None else (*DEFAULT_COUNTS, *DEFAULT_GRAMS)
    )
    combine = combine or (DEFAULT_COMBINE if windows.grams is None else DEFAULT_GRAM_COMBINE)
    held_out = {name: np.zeros(len(windows)) for name in names}
    for fold in np.unique(folds):
        out = np.flatnonzero(folds == fold)
        fitted = _fitted(windows, names, folds != fold, sample)
        for name, scores in fitted.scores(windows.take(out)).items():
            held_out[name][out] = scores
    calibrations = {name: Calibration.of(scores) for name, scores in held_out.items()}
    each = [calibrations[name].strangeness(scores) for name, scores in held_out.items()]
    fitted = _fitted(windows, names, np.ones(len(windows), np.bool_), sample)
    return Ensemble(fitted, calibrations, combine, combined(each, combine))


def _fitted(
    windows: Windows,
    names: Sequence[str],
    known: npt.NDArray[np.bool_],
    sample: npt.NDArray[np.bool_] | None,
) -> Fitted:
    """Return detectors that know the windows *known*, fitted to those of them in *sample*."""
    rows = np.flatnonzero(known if sample is None else known & sample)
    grams = windows.grams
    if grams is not None and not known.all():
        grams = grams.take(np.flatnonzero(known)).compact()
    return fit_detectors(windows.take(rows), names, known=grams)


def fit_detectors(
    windows: Windows, names: Sequence[str], *, known: GramWindows | None = None
) -> Fitted:
    """Return the detectors *names*, fitted to *windows*; the sequences of *known* are not new."""
    made = {name: detectors()[name]() for name in names}
    kinds = {detector.looks_at for detector in made.values()}
    vocabulary = None
    if "grams" in kinds and windows.grams is not None:
        vocabulary = GramVocabulary.of(known or windows.grams)
    columns = _columns(windows, vocabulary, kinds)
    identities = None if vocabulary is None else vocabulary.identities()
    for detector in made.values():
        extra = {"grams": identities} if detector.looks_at == "grams" else {}
        detector.fit(columns[detector.looks_at], **extra)
    return Fitted(made, vocabulary)


def _columns(
    windows: Windows, vocabulary: GramVocabulary | None, kinds: set[Any]
) -> dict[str, Any]:
    columns: dict[str, Any] = {"counts": windows.counts}
    if windows.grams is not None and vocabulary is not None:
        columns["grams"] = vocabulary.encode(windows.grams)
    if windows.grams is not None and "hashes" in kinds:
        columns["hashes"] = hashed(windows.grams)
    return columns


def combined(members: Sequence[Scores], combine: Combine) -> Scores:
    """Return how normal windows are that are as strange to each detector as *members* say."""
    every = np.stack(members)
    match combine:
        case "mean":
            strange = every.mean(axis=0)
        case "max":
            strange = every.max(axis=0)
        case "square":
            strange = np.sqrt((every * every).mean(axis=0))
    scores: Scores = -strange
    return scores
