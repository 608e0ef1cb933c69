"""Fits, saves and loads the anomaly model beside a baseline, with the threshold of its budget.

A model file is data from elsewhere. It is opened only when its digest is the baseline's, and built
only of the types that `learner.model_file` lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ethogram.contracts.baseline import Baseline, ModelReference
from ethogram.errors import BaselineError
from learner import model_file
from learner.alerts import MIN_WINDOWS, alerts_of, time_folds, with_most_new, with_realised
from learner.budget import Budget
from learner.calibration import Calibration
from learner.parallel import Told, mapped, untold

if TYPE_CHECKING:
    from learner.ensemble import Ensemble, Windows
    from learner.windows import SteadyWindows

__all__ = [
    "AnomalyModel",
    "attach_model",
    "fit_model",
    "load_model",
    "modelled",
    "modelled_all",
]

DEFAULT_BUDGET = "1/week"
_FORMAT = "ethogram.model/2"

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AnomalyModel:
    """A fitted ensemble, the calls that it knows, and how often windows usually make them.

    *usual* has a row for the fewest and the most that 98 of 100 fitted windows make. Windows that
    score below *threshold* are flagged; None where no threshold keeps the budget. *calibration* is
    of the ensemble's own held-out scores, *window_s* how long a whole window is; an earlier version
    saved neither.
    """

    calls: npt.NDArray[np.int32]
    usual: npt.NDArray[np.float64]
    ensemble: Ensemble
    threshold: float | None = None
    calibration: Calibration | None = None
    window_s: float | None = None

    def score(self, windows: SteadyWindows) -> Scores:
        """Return how normal each window is: zero is as normal as can be, lower is stranger.

        A call that the model does not know counts as one that nobody made.
        """
        return self.ensemble.score(self.looked_at(windows))

    def strangeness(self, scores: Scores) -> Scores | None:
        """Return minus the decimal logarithm of the p-value of each of *scores* of `score`."""
        return None if self.calibration is None else self.calibration.strangeness(scores)

    def looked_at(self, windows: SteadyWindows) -> Windows:
        """Return *windows* with a column for each call that the model knows, and one for others."""
        from learner.ensemble import Windows  # noqa: PLC0415  with scikit-learn, as the model

        return Windows(windows.counts_of(self.calls), windows.grams)


def fit_model(windows: SteadyWindows) -> tuple[AnomalyModel, bytes]:
    """Return the model of *windows*, and the bytes that save it with its sample.

    `BaselineError` where there are fewer than `MIN_WINDOWS`. Equal windows give equal bytes.
    """
    model, chosen = _fitted(windows)
    from learner.sample import sample_bytes  # noqa: PLC0415

    kept = windows.take(np.flatnonzero(chosen))
    return model, model_file.dump(_document(model), sample_bytes(kept))


def _fitted(windows: SteadyWindows) -> tuple[AnomalyModel, npt.NDArray[np.bool_]]:
    """Return the model of *windows*, and which of them it was fitted to."""
    if len(windows) < MIN_WINDOWS or not len(windows.calls):
        raise BaselineError(
            f"{len(windows)} steady windows are too few for an anomaly model",
            hint=f"record until there are {MIN_WINDOWS}; the allowlist works without a model",
        )
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  comes with scikit-learn

    from learner.ensemble import Windows, fit_ensemble  # noqa: PLC0415  1.5 s and 220 MB
    from learner.sampling import sampled  # noqa: PLC0415

    chosen = sampled(windows)
    grams = windows.grams if len(windows.grams.ids) else None
    looked_at = Windows(windows.counts_of(windows.calls), grams)
    # Sums over other shares have other last digits: the bytes must not tell how many worked.
    with threadpool_limits(1):
        ensemble = fit_ensemble(looked_at, time_folds(windows), sample=chosen)
    usual = np.quantile(windows.counts, [0.01, 0.99], axis=0)
    calibration = Calibration.of(ensemble.held_out)
    model = AnomalyModel(
        windows.calls, usual, ensemble, calibration=calibration, window_s=windows.window_s
    )
    return model, chosen


def attach_model(
    baseline: Baseline, windows: SteadyWindows, *, file: str, budget: str = DEFAULT_BUDGET
) -> tuple[Baseline, bytes | None]:
    """Return *baseline* with a reference to the model of *windows*, and the bytes of *file*.

    Without a model, and None, where there are too few windows. `UsageError` where *budget* is none.
    """
    found = modelled(windows, file, budget)
    if found is None:
        return baseline, None
    return baseline.model_copy(update={"model": found[0]}), found[1]


def modelled(
    windows: SteadyWindows, file: str, budget: str = DEFAULT_BUDGET
) -> tuple[ModelReference, bytes] | None:
    """Return the reference to the model of *windows* and the bytes of *file*; None if too few.

    The reference holds the threshold that keeps *budget*, and what such thresholds did on later
    time, or how much time it still needs. `UsageError` where *budget* is none.
    """
    wanted = Budget.parse(budget)
    if len(windows) < MIN_WINDOWS or not len(windows.calls):
        return None
    import sklearn  # noqa: PLC0415

    model, data = fit_model(windows)
    alerts = with_most_new(alerts_of(windows, model.ensemble.held_out, wanted), windows)
    reference = ModelReference(
        file=file,
        sha256=hashlib.sha256(data).hexdigest(),
        sklearn=sklearn.__version__,
        detectors=tuple(model.ensemble.fitted.detectors),
        windows=windows.watched or len(windows),
        used=None if windows.watched is None else len(windows),
        alerts=with_realised(alerts, windows, wanted, lambda some: _fitted(some)[0]),
    )
    return reference, data


def modelled_all(
    work: Sequence[tuple[SteadyWindows, str, str]], executor: Executor, *, told: Told = untold
) -> list[tuple[ModelReference, bytes] | None]:
    """Return what `modelled` does of each of *work*, by *executor*; the same whoever works."""
    found = dict(mapped(executor, modelled, work, done=told(len(work))))
    return [found[number] for number in range(len(work))]


def load_model(data: bytes, reference: ModelReference) -> AnomalyModel:
    """Return the model in *data*; `BaselineError` where it is not the one of *reference*.

    Where scikit-learn has another major or minor version than the one that saved it, the model is
    fitted again to its sample, and so is the threshold: a sample may be too short for the budget.
    """
    source = reference.file
    if hashlib.sha256(data).hexdigest() != reference.sha256:
        raise BaselineError(
            f"`{source}` is not the model that the baseline names: its sha256 differs",
            hint=f"restore the file, or {model_file.LEARN_AGAIN}",
        )
    import sklearn  # noqa: PLC0415

    if _release(reference.sklearn) != _release(sklearn.__version__):
        return refitted(data, reference)
    document = model_file.load(data, source=source)
    try:
        model = _model(document)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise model_file.damaged(source, "its parts do not fit") from error
    alerts = reference.alerts
    return replace(model, threshold=alerts.threshold if alerts else None)


def refitted(data: bytes, reference: ModelReference) -> AnomalyModel:
    """Return a model fitted to the sample in *data*; nothing else of it is looked at."""
    from learner.sample import read_sample  # noqa: PLC0415  with the model alone

    source = reference.file
    windows = read_sample(model_file.sample_in(data, source=source), source=source)
    model, _ = _fitted(windows)
    if reference.alerts is None:
        return model
    budget = Budget.parse(reference.alerts.budget)
    alerts = alerts_of(windows, model.ensemble.held_out, budget)
    return replace(model, threshold=alerts.threshold)


def _release(version: str) -> list[str]:
    return version.split(".")[:2]


def _document(model: AnomalyModel) -> dict[str, Any]:
    """Return *model* as dictionaries, lists and arrays."""
    ensemble = model.ensemble
    vocabulary = ensemble.fitted.vocabulary
    return {
        "format": _FORMAT,
        "calls": model.calls,
        "usual": model.usual,
        "combine": ensemble.combine,
        "known_calls": vocabulary.calls if vocabulary else np.empty(0, np.int32),
        "known_parts": list(vocabulary.parts) if vocabulary else [],
        "detectors": dict(ensemble.fitted.detectors),
        "calibrations": {
            name: _calibration_document(each) for name, each in ensemble.calibrations.items()
        },
        "calibration": _calibration_document(model.calibration) if model.calibration else [],
        "window_s": np.array([] if model.window_s is None else [model.window_s]),
    }


def _calibration_document(calibration: Calibration) -> list[npt.NDArray[np.float64]]:
    return [calibration.scores, np.array([calibration.start, calibration.excess])]


def _calibration(document: Any) -> Calibration:
    scores, tail = document
    return Calibration(scores, float(tail[0]), float(tail[1]))


def _model(document: Any) -> AnomalyModel:
    """Return the model that `_document` made *document* of; else any error of its types."""
    from learner.detectors.base import Detector  # noqa: PLC0415  with scikit-learn
    from learner.ensemble import Ensemble, Fitted  # noqa: PLC0415
    from learner.grams import ORDER, GramVocabulary  # noqa: PLC0415

    calls, usual = document["calls"], document["usual"]
    detectors, parts = document["detectors"], document["known_parts"]
    is_whole = (
        document["format"] == _FORMAT
        and document["combine"] in {"mean", "max", "square"}
        and set(detectors) == set(document["calibrations"])
        and all(isinstance(each, Detector) for each in detectors.values())
        and calls.dtype == np.int32
        and usual.shape == (2, len(calls))
        and len(parts) in {0, ORDER}
        and all(part.dtype == np.uint64 for part in parts)
    )
    if not is_whole:
        raise ValueError("its parts do not fit")
    calibrations = {name: _calibration(each) for name, each in document["calibrations"].items()}
    own = document.get("calibration")
    length = document.get("window_s", ())
    vocabulary = GramVocabulary(document["known_calls"], tuple(parts)) if parts else None
    widths = {"counts": len(calls) + 1, "grams": vocabulary.columns if vocabulary else 0}
    if any(each.n_features_in_ != widths[each.looks_at] for each in detectors.values()):
        raise ValueError("its parts do not fit")
    fitted = Fitted(detectors, vocabulary)
    ensemble = Ensemble(fitted, calibrations, document["combine"], _NONE)
    return AnomalyModel(
        calls,
        usual,
        ensemble,
        calibration=_calibration(own) if own else None,
        window_s=float(length[0]) if len(length) else None,
    )


_NONE: Scores = np.empty(0)
