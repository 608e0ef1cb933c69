"""What makes a window strange, and in which words."""

from __future__ import annotations

import struct

import numpy as np
import pandas as pd
import pytest

from learner.anomaly import AnomalyModel
from learner.detectors.residual import ResidualDetector
from learner.explanation import contributions, feature_text, sequence

pytestmark = pytest.mark.unit

CALLS = ("read", "write", "close", "epoll_wait")
GRAM = struct.pack("<6H", 65535, 65534, 1000, 0, 1, 3)


def windows(rows: int = 40, *, seed: int = 3) -> pd.DataFrame:
    """Return windows of a service whose calls rise and fall together."""
    random = np.random.default_rng(seed)
    load = random.gamma(20, 5, rows)
    return pd.DataFrame(
        {f"call/x86_64/{name}": load * random.normal(1, 0.03, rows) for name in CALLS}
    )


def model_of(frame: pd.DataFrame) -> AnomalyModel:
    return AnomalyModel(tuple(frame.columns), ResidualDetector().fit(frame.to_numpy()))


def test_what_the_features_add_is_the_whole_score() -> None:
    model, other = model_of(windows()), windows(seed=4) * 3
    parts = contributions(model, other)
    assert list(parts.columns) == list(model.features)
    pd.testing.assert_series_equal(-parts.sum(axis="columns"), model.score(other).rename(None))


def test_the_feature_that_changed_adds_most() -> None:
    strange = windows(seed=4).assign(**{"call/x86_64/close": 40_000.0})
    parts = contributions(model_of(windows()), strange)
    assert set(parts.idxmax(axis="columns")) == {"call/x86_64/close"}


def test_order_of_columns_and_unknown_features_do_not_matter() -> None:
    model, other = model_of(windows()), windows(seed=4)
    shuffled = other[list(reversed(other.columns))].assign(**{"call/x86_64/ptrace": 9.0})
    pd.testing.assert_frame_equal(contributions(model, shuffled), contributions(model, other))


def test_a_sequence_names_its_calls() -> None:
    assert sequence("x86_64", GRAM) == ("-", "other", "1000", "read", "write", "close")
    assert sequence("aarch64", struct.pack("<6H", *[63] * 6)) == ("read",) * 6


def test_a_feature_is_named_by_its_calls() -> None:
    assert feature_text("call/x86_64/openat") == "openat"
    assert feature_text(f"gram/x86_64/{GRAM.hex()}") == "- other 1000 read write close"
