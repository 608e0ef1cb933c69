"""What each detector of counts finds strange, and which call it says it was."""

from __future__ import annotations

import numpy as np
import pytest

from learner.detectors.base import Detector
from learner.detectors.count_envelope import CountEnvelope
from learner.detectors.isolation_forest import Forest
from learner.detectors.neighbours import Neighbours
from learner.detectors.residual_peak import ResidualPeak
from learner.detectors.unseen_call import UnseenCall
from learner.detectors.unseen_pair import UnseenPair
from learner.ensemble import DEFAULT_ALONE, Windows, fit_ensemble

pytestmark = pytest.mark.unit

READ, WRITE, OPEN, CLOSE, PTRACE = range(5)


def service(rows: int = 240, *, seed: int = 0) -> np.ndarray:
    """Return windows of a service: it reads and writes, or opens and closes; never all four."""
    random = np.random.default_rng(seed)
    load = random.gamma(20, 1.0, rows)
    counts = np.zeros((rows, 5))
    starts = np.arange(rows) % 10 == 0
    counts[~starts, READ] = random.poisson(load[~starts] * 4)
    counts[~starts, WRITE] = random.poisson(load[~starts] * 2)
    counts[starts, OPEN] = counts[starts, CLOSE] = 1 + random.poisson(load[starts])
    return counts


def named(detector: Detector, row: np.ndarray) -> list[int]:
    """Return the calls that make *row* strange, the strangest first."""
    shares = detector.contributions(row[np.newaxis])[0]
    return [int(call) for call in np.argsort(-shares) if shares[call] > 0]


def test_a_new_call_counts_once_however_often_it_is_made() -> None:
    detector = UnseenCall().fit(service())
    rows = service(4, seed=1)
    rows[1, PTRACE], rows[2, PTRACE] = 1, 1000
    assert detector.score_samples(rows).tolist() == [0, -1, -1, 0]
    assert named(detector, rows[1]) == [PTRACE]


def test_known_calls_that_were_never_together_are_new() -> None:
    detector = UnseenPair().fit(service())
    rows = service(3, seed=1)
    rows[1, OPEN] = 1  # beside reads and writes: two pairs
    scores = detector.score_samples(rows)
    assert scores[0] == scores[2] == 0
    assert scores[1] == pytest.approx(-np.log1p(2))
    assert named(detector, rows[1])[0] == OPEN
    assert UnseenCall().fit(service()).score_samples(rows)[1] == 0


def test_the_envelope_tells_by_how_much_the_highest_count_is_passed() -> None:
    train = service()
    detector = CountEnvelope().fit(train)
    row = service(2, seed=1)[1]
    row[WRITE] = 2 * train[:, WRITE].max() + 1
    assert detector.score_samples(row[np.newaxis])[0] == pytest.approx(-np.log(2), abs=1e-9)
    assert named(detector, row) == [WRITE]
    assert detector.score_samples(train).max() >= detector.score_samples(train).min() >= 0


def test_a_call_out_of_proportion_is_found_below_its_highest_count() -> None:
    train = service()
    row = np.array([[train[:, READ].max(), 1.0, 0, 0, 0]])
    assert CountEnvelope().fit(train).score_samples(row)[0] >= 0
    detector = ResidualPeak(explained=0.9).fit(train)
    assert detector.score_samples(row)[0] < detector.score_samples(train).min()


def test_a_window_unlike_any_other_is_far_from_all() -> None:
    train = service()
    between = np.append(train[:, :4].max(axis=0), 0)
    detector = Neighbours().fit(train)
    assert detector.score_samples(between[np.newaxis])[0] < detector.score_samples(train).min()
    few = Neighbours(neighbours=1, most=24).fit(train)
    assert few.kept_.shape == (24, 5)


def test_the_forest_explains_itself_by_what_it_asked() -> None:
    train = service()
    detector = Forest(trees=20).fit(train)
    row = train[[1]] * np.array([1, 9, 1, 1, 1])
    shares = detector.contributions(row)
    assert shares.min() >= 0
    assert shares[0, PTRACE] == 0  # it never varied


def test_without_sequences_the_ensemble_is_of_counts() -> None:
    train, other = service(), service(60, seed=1)
    folds = np.arange(len(train)) // 60
    ensemble = fit_ensemble(Windows(train), folds)
    assert tuple(ensemble.calibrations) == DEFAULT_ALONE
    strange = other.copy()
    strange[:, PTRACE] = 1
    normal = ensemble.score(Windows(other))
    assert ensemble.score(Windows(strange)).max() < np.median(normal)
