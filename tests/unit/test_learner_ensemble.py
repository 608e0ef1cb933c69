"""Detectors as one: on one scale, held out from themselves, each window scored alone."""

from __future__ import annotations

import numpy as np
import pytest

from learner.calibration import Calibration
from learner.ensemble import Ensemble, Windows, combined, fit_ensemble
from learner.grams import GramWindows

pytestmark = pytest.mark.unit


def windows(rows: int, *, seed: int, alphabet: int = 12) -> Windows:
    """Return windows of a service that walks the same routines, some more often than others."""
    random = np.random.default_rng(seed)
    routines = [np.arange(start, start + 5) % alphabet for start in range(0, 12, 2)]
    traces = [
        np.concatenate([routines[min(place, 5)] for place in random.geometric(0.4, 30) - 1])
        for _ in range(rows)
    ]
    counts = np.stack([np.bincount(trace, minlength=14) for trace in traces]).astype(np.float64)
    return Windows(counts, GramWindows.of_calls(traces))


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return fit_ensemble(windows(60, seed=1), np.arange(60) // 12)


def test_a_calibrated_score_is_the_logarithm_of_its_p_value() -> None:
    random = np.random.default_rng(1)
    calibration = Calibration.of(random.normal(0, 1, 5000))
    found = calibration.strangeness(np.array([0.0, -1.2816, -2.3263, -3.0902]))
    np.testing.assert_allclose(found, [0.301, 1, 2, 3], atol=0.25)


def test_stranger_scores_are_never_less_strange() -> None:
    calibration = Calibration.of(np.array([-3.0, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0]))
    found = calibration.strangeness(np.linspace(-50, 5, 400))
    assert (np.diff(found) <= 1e-12).all()
    assert found[0] > found[100] > 1
    assert found.min() >= 0


def test_scores_that_were_all_equal_are_calibrated() -> None:
    found = Calibration.of(np.zeros(20)).strangeness(np.array([0.0, -1.0, 1.0]))
    assert np.isfinite(found).all()
    assert found[1] > found[0] >= found[2]


def test_a_window_is_scored_alone(ensemble: Ensemble) -> None:
    other = windows(8, seed=2)
    together = ensemble.score(other)
    alone = [ensemble.score(other.take(np.array([row])))[0] for row in range(8)]
    np.testing.assert_allclose(together, alone)


def test_sequences_and_calls_that_are_new_are_strange(ensemble: Ensemble) -> None:
    normal = ensemble.score(windows(30, seed=3))
    shuffled = windows(30, seed=4)
    random = np.random.default_rng(1)
    other = GramWindows.of_calls([random.integers(0, 12, 150) for _ in range(30)])
    strange = ensemble.score(Windows(shuffled.counts, other))
    assert strange.max() < normal.min()


def test_held_out_scores_are_like_those_of_new_windows(ensemble: Ensemble) -> None:
    new = ensemble.score(windows(200, seed=5))
    assert np.median(ensemble.held_out) == pytest.approx(np.median(new), abs=0.15)


def test_a_square_lies_between_the_mean_and_the_most() -> None:
    members = [np.array([0.0, 1, 3]), np.array([2.0, 1, 0])]
    mean, square, most = (combined(members, how) for how in ("mean", "square", "max"))
    assert (most <= square).all()
    assert (square <= mean).all()
    assert mean[1] == square[1] == most[1] == -1


def test_windows_without_sequences_have_an_ensemble() -> None:
    some = windows(40, seed=1)
    ensemble = fit_ensemble(Windows(some.counts), np.arange(40) // 10)
    assert np.isfinite(ensemble.score(Windows(windows(5, seed=2).counts))).all()


def test_the_same_windows_make_the_same_ensemble() -> None:
    folds, other = np.arange(60) // 12, windows(5, seed=2)
    first, second = (fit_ensemble(windows(60, seed=1), folds).score(other) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_quick_way_to_scores_is_the_way_of_scikit_learn(ensemble: Ensemble) -> None:
    other = windows(20, seed=6)
    quick, columns = ensemble.fitted.scores(other), ensemble.fitted.columns(other)
    for name, detector in ensemble.fitted.detectors.items():
        careful = detector.score_samples(columns[detector.looks_at])
        np.testing.assert_allclose(quick[name], careful, atol=1e-9, err_msg=name)


def test_what_the_features_add_is_the_score_of_each_member(ensemble: Ensemble) -> None:
    other = windows(10, seed=6)
    scores, columns = ensemble.fitted.scores(other), ensemble.fitted.columns(other)
    for name, detector in ensemble.fitted.detectors.items():
        shares = detector.contributions(columns[detector.looks_at])
        np.testing.assert_allclose(-shares.sum(axis=1), scores[name], atol=1e-9, err_msg=name)
