"""Estimates of what is still to be seen."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.baseline import Coverage
from ethogram.contracts.recording import Recording
from learner.coverage import estimate, expected_new, settledness, settledness_of
from learner.learn import learn
from learner.summary import summarize
from tests.recordings import make_recording, shop_recording

pytestmark = pytest.mark.unit

MINE = {"workload": 1, "instance": 1}


def test_what_was_seen_in_every_window_promises_nothing_new() -> None:
    coverage = estimate([40] * 9, 40)
    assert (coverage.f1, coverage.f2, coverage.unseen, coverage.low) == (0, 0, 0, 0)
    assert coverage.high == pytest.approx(3.689 / 40, rel=0.001)


def test_singletons_promise_their_share_of_windows() -> None:
    coverage = estimate([1, 1, 1, 2, 9], 30)
    assert (coverage.f1, coverage.f2, coverage.windows) == (3, 1, 30)
    assert coverage.unseen == pytest.approx(0.1)
    # The exact Poisson bounds of 3 are 0.619 and 8.767.
    assert coverage.low == pytest.approx(0.619 / 30, rel=0.001)
    assert coverage.high == pytest.approx(8.767 / 30, rel=0.001)


def test_one_window_more_brings_what_good_and_turing_say() -> None:
    coverage = estimate([1] * 6 + [2] * 3, 60)
    assert expected_new(coverage, 1) == pytest.approx(coverage.unseen, rel=0.05)


def test_further_ahead_it_levels_off() -> None:
    coverage = estimate([1] * 6 + [2] * 3, 60)
    ahead = [expected_new(coverage, windows) for windows in (1, 10, 100, 10_000)]
    assert ahead == sorted(ahead)
    assert ahead[-1] == pytest.approx(6 * 6 / 6 * 59 / 60, rel=0.01)
    assert expected_new(estimate([1], 10), 10**6) <= 1
    assert expected_new(estimate([], 0), 5) == 0


def test_the_estimate_is_right_on_average_for_a_known_process() -> None:
    random = np.random.default_rng(11)
    rates = 1 / np.arange(2, 202)
    expected, seen = [], []
    for _ in range(300):
        windows = random.random((61, len(rates))) < rates
        counts = windows[:60].sum(axis=0)
        expected.append(estimate(counts[counts > 0].tolist(), 60).unseen)
        seen.append(int((windows[60] & (counts == 0)).sum()))
    error = math.sqrt(np.mean(seen) / len(seen))
    assert abs(np.mean(expected) - np.mean(seen)) < 4 * error


@pytest.mark.parametrize(
    ("counts", "windows", "seconds", "sentence"),
    [
        ([9], 720, 5.0, "no new files expected in the next hour"),
        ([1], 720, 5.0, "1.0 new file expected in the next hour"),
        ([1, 1, 2, 2, 2, 2], 1440, 5.0, "0.4 new files expected in the next hour"),
        ([1, 1, 2, 2], 8, 5.0, "0.2 new files expected in the next window"),
        ([1], 4, 1.0, "0.2 new files expected in the next window"),
        ([1], 100_000, 5.0, "0.2 new files expected in the next day"),
        ([], 0, 0.0, "too few windows to tell how many new files to expect"),
        ([1, 1, 1], 1, 5.0, "too few windows to tell how many new files to expect"),
    ],
)
def test_a_sentence_reaches_as_far_as_the_data(
    counts: list[int], windows: int, seconds: float, sentence: str
) -> None:
    assert settledness("files", estimate(counts, windows), seconds) == sentence


def test_plurals() -> None:
    none = Coverage(f1=0, f2=0, windows=9, unseen=0, low=0, high=0)
    assert settledness("capabilities", none, 1).startswith("no new capabilities")
    assert settledness("listens", none, 1).startswith("no new listening ports")


def test_coverage_is_over_steady_windows_and_startup_is_not_new(tmp_path: Path) -> None:
    rows = [
        ("startup", 0, 1), ("steady", 2, 1),  # shown by startup: not a singleton
        ("steady", 3, 2), ("steady", 1, 3), ("steady", 2, 3), ("startup", 0, 4),
        ("exec", 2, 5),
    ]  # fmt: skip
    recording = make_recording(
        tmp_path / "r",
        workloads=[{"workload": 1, "kind": "Unit", "name": "a", "container_kind": "none"}],
        instances=[{"instance": 1, "workload": 1}],
        coverage=[
            MINE | {"window": window, "phase": phase, "observed_ns": 10**9}
            for window, phase in ((0, "startup"), (1, "steady"), (2, "steady"), (3, "steady"))
        ],
        syscalls=[
            MINE | {"window": window, "phase": phase, "nr": nr, "calls": 1}
            for phase, window, nr in rows
        ],
    )
    (baseline,) = learn(summarize(Recording.open(recording)))
    coverage = baseline.coverage["syscalls"]
    assert (coverage.f1, coverage.f2, coverage.windows) == (1, 1, 3)


def test_a_command_that_never_became_steady_is_judged_by_its_startup(tmp_path: Path) -> None:
    recording = make_recording(
        tmp_path / "r",
        workloads=[{"workload": 1, "kind": "Command", "name": "a", "container_kind": "none"}],
        instances=[{"instance": 1, "workload": 1}],
        coverage=[
            MINE | {"window": window, "phase": "startup", "observed_ns": 10**9}
            for window in range(2)
        ],
        syscalls=[MINE | {"phase": "startup", "nr": 1, "calls": 1}],
    )
    (baseline,) = learn(summarize(Recording.open(recording)))
    assert baseline.coverage["syscalls"].f1 == 1
    assert baseline.coverage["syscalls"].windows == 2


def test_every_dimension_of_a_baseline_has_its_sentence(tmp_path: Path) -> None:
    baseline = learn(summarize(Recording.open(shop_recording(tmp_path / "r"))))[0]
    assert list(settledness_of(baseline)) == list(baseline.coverage)
