"""What every detector owes: to be an estimator of scikit-learn, and to explain its scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from learner.detectors.base import Detector
from learner.detectors.registry import detectors

pytestmark = pytest.mark.contract

DOCUMENT = Path(__file__).parents[2] / "docs" / "anomaly.md"

every = pytest.mark.parametrize(
    "detector", [pytest.param(each(), id=name) for name, each in detectors().items()]
)


def windows(rows: int = 80, *, columns: int = 30, seed: int = 0) -> np.ndarray:
    """Return counts of a service: a few features often, most of them seldom."""
    random = np.random.default_rng(seed)
    rates = 40 / np.arange(1, columns + 1) ** 1.5
    load = random.gamma(20, 0.05, (rows, 1))
    return random.poisson(load * rates).astype(np.float64)


@every
def test_it_is_an_estimator_of_scikit_learn(detector: Detector) -> None:
    results = check_estimator(clone(detector), on_fail=None, on_skip=None)
    failed = [
        (result["check_name"], result["exception"])
        for result in results
        if result["status"] == "failed"
    ]
    assert failed == []


@every
def test_the_document_names_it(detector: Detector) -> None:
    assert f"\n| `{detector.name}` |" in DOCUMENT.read_text()


@every
def test_it_says_what_it_is(detector: Detector) -> None:
    assert detector.name
    assert detector.looks_at in {"counts", "grams", "hashes"}
    assert detector.summary


@every
def test_what_the_features_add_is_the_whole_score(detector: Detector) -> None:
    fitted = clone(detector).fit(windows())
    other = windows(40, seed=1)
    other[:10] *= 7
    shares = fitted.contributions(other)
    assert shares.shape == other.shape
    np.testing.assert_allclose(-shares.sum(axis=1), fitted.score_samples(other), atol=1e-9)


@every
def test_a_row_is_scored_alone(detector: Detector) -> None:
    fitted, other = clone(detector).fit(windows()), windows(12, seed=1)
    together = fitted.score_samples(other)
    alone = [fitted.score_samples(other[[row]])[0] for row in range(len(other))]
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


@every
def test_what_was_never_there_is_stranger_than_what_was(detector: Detector) -> None:
    train, other = windows(), windows(40, seed=1)
    train[:, -3:] = 0
    other[:, -3:] = 0
    strange = other.copy()
    strange[:, -3:] = 50
    fitted = clone(detector).fit(train)
    if not detector.sees_unseen:
        np.testing.assert_array_equal(fitted.score_samples(strange), fitted.score_samples(other))
        return
    assert np.median(fitted.score_samples(strange)) < np.median(fitted.score_samples(other))


@every
def test_equal_rows_make_equal_detectors(detector: Detector) -> None:
    other = windows(20, seed=1)
    first, second = (clone(detector).fit(windows()).score_samples(other) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@every
def test_sparse_rows_score_as_dense_ones(detector: Detector) -> None:
    if not detector.takes_sparse:
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            clone(detector).fit(sp.csr_array(windows()))
        return
    other = windows(20, seed=1)
    dense = clone(detector).fit(windows())
    sparse = clone(detector).fit(sp.csr_array(windows()))
    np.testing.assert_allclose(
        dense.score_samples(other), sparse.score_samples(sp.csr_array(other)), atol=1e-9
    )
