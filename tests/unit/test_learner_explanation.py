"""What makes a window strange, and in which words."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from learner.anomaly import AnomalyModel, fit_model
from learner.explanation import Reason, explain, sequence
from learner.features import feature_text
from learner.grams import GramWindows
from learner.windows import SteadyWindows
from tests.unit.test_learner_anomaly import changed, steady

pytestmark = pytest.mark.unit

GRAM = struct.pack("<6H", 65535, 65534, 1000, 0, 1, 3)
EVERY = 10**6


@pytest.fixture(scope="module")
def model() -> AnomalyModel:
    return fit_model(steady())[0]


def test_what_all_reasons_share_is_how_strange_the_window_is(model: AnomalyModel) -> None:
    other = changed(steady(seed=4), 3, 400.0)
    told = explain(model, other, 5, most=EVERY)
    assert told.score == pytest.approx(model.score(other)[5])
    # Those below zero are not told, nor what a detector that adds up to nothing would say.
    assert sum(reason.share for reason in told.reasons) == pytest.approx(-told.score, rel=0.02)


def test_the_call_that_changed_is_the_first_reason(model: AnomalyModel) -> None:
    first = explain(model, changed(steady(seed=4), 3, 40_000.0), 0).reasons[0]
    assert first.kind == "call"
    assert first.what == ("close",)
    assert first.count == 40_000
    assert first.high < 100
    assert str(first) == f"close 40000 times, usually {first.low:.0f} to {first.high:.0f}"


def test_a_call_that_is_new_is_named(model: AnomalyModel) -> None:
    told = explain(model, changed(steady(seed=4), 101, 90.0), 0, most=EVERY)
    assert "ptrace 90 times, never before" in map(str, told.reasons)


def test_a_sequence_says_how_much_of_it_is_known(model: AnomalyModel) -> None:
    other = steady(1, seed=4)
    grams = GramWindows.of_calls([np.array([232, 0, 1, 3, 3, 101])])
    strange = SteadyWindows(other.index, other.calls, other.counts, grams)
    told = {r.what: str(r) for r in explain(model, strange, 0, most=EVERY).reasons}
    words = ("epoll_wait", "read", "write", "close", "close", "ptrace")
    assert told[words] == f"{' '.join(words)}: ptrace was never made"
    words = ("-", "epoll_wait", "read", "write", "close", "close")
    assert told[words] == f"{' '.join(words)}: new, of which the last 1 were seen"


def test_detectors_are_told_the_strangest_first(model: AnomalyModel) -> None:
    told = explain(model, changed(steady(seed=4), 3, 40_000.0), 0)
    values = [value for _, value in told.detectors]
    assert values == sorted(values, reverse=True)
    assert told.detectors[0][0] == "residual-peak"


def test_what_is_known_is_said_to_be() -> None:
    words = ("read",) * 6
    assert str(Reason("sequence", words, 1.0, 1.0, known=6)) == f"{' '.join(words)}: seen before"
    assert str(Reason("call", ("mmap",), 1.0, 7.0)) == "mmap 7 times, usually never"


def test_a_sequence_names_its_calls() -> None:
    assert sequence("x86_64", GRAM) == ("-", "other", "1000", "read", "write", "close")
    assert sequence("aarch64", struct.pack("<6H", *[63] * 6)) == ("read",) * 6


def test_a_feature_is_named_by_its_calls() -> None:
    assert feature_text("call/x86_64/openat") == "openat"
    assert feature_text(f"gram/x86_64/{GRAM.hex()}") == "- other 1000 read write close"
