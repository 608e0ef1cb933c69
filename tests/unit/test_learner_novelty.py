"""How often something new comes: stretches, bursts, and what the time seen is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from learner.counts import dispersion, mixed_poisson_bounds, poisson_bounds
from learner.dimensions import canonical
from learner.novelty import BLOCKS, Novelty
from learner.richness import curve_of, in_all_of, runs_of
from learner.timeline import blind_of, timeline_of

pytestmark = pytest.mark.unit

SECOND = 10**9
MONDAY_NS = 1_763_942_400 * SECOND  # 2025-11-24T00:00:00Z


def novelty(*seen: tuple[float, float, int], length: float = 7200.0) -> Novelty:
    """Return values that were seen first, last and in how many windows of 5 s, as *seen* says."""
    first, last, windows = (np.array([one[i] for one in seen], float) for i in range(3))
    return Novelty(first, last, windows, length, 5.0)


ALWAYS = (0.0, 7200.0, 1440)


def test_a_burst_of_three_windows_is_new_although_no_value_was_seen_once() -> None:
    job = [(3000.0, 3015.0, 3)] * 8
    seen = novelty(ALWAYS, *job)
    assert seen.blocks == BLOCKS
    assert seen.lone == 8
    assert seen.expected(3600) > 1
    assert seen.settled < novelty(ALWAYS).settled


def test_what_comes_at_once_widens_the_interval_not_the_expectation() -> None:
    at_once = novelty(*[(3000.0, 3005.0, 1)] * 8)
    spread = novelty(*[(t, t + 5.0, 1) for t in np.linspace(200, 7000, 8)])
    assert at_once.lone == spread.lone
    assert (at_once.burst, spread.burst) == (pytest.approx(8), 1)
    assert at_once.count_bounds(3600)[1] > 2 * spread.count_bounds(3600)[1]
    assert at_once.probability(3600) < spread.probability(3600)


def test_names_that_come_and_stay_are_expected_to_go_on_coming() -> None:
    growing = novelty(*[(t, 7200.0, int((7200 - t) / 5)) for t in np.arange(50, 7200, 100)])
    assert growing.lone <= 4
    _, high = growing.count_bounds(3600)
    assert high >= 36
    assert growing.settled < 0.97


def test_settled_is_the_rule_of_three_where_nothing_was_new() -> None:
    assert novelty(ALWAYS).settled == pytest.approx(1 - 3.689 / 1440, abs=1e-5)
    short = Novelty(np.zeros(1), np.full(1, 115.0), np.full(1, 23.0), 115.0, 5.0)
    assert short.settled == 0
    assert not short.is_enough


def test_nothing_watched_says_nothing() -> None:
    nothing = Novelty(np.zeros(0), np.zeros(0), np.zeros(0), 0.0, 0.0)
    assert (nothing.lone, nothing.settled, nothing.expected(60)) == (0, 0, 0)
    assert nothing.count_bounds(60) == (0, 0)
    assert nothing.probability(60) == 1


def test_the_curve_joins_what_was_seen_to_what_is_to_come() -> None:
    rare = [(t, t + 5.0, 1) for t in (905.0, 2000.0, 4000.0, 6000.0)]
    curve = curve_of(novelty(ALWAYS, *rare, (1000.0, 6500.0, 2)), before=10)
    assert curve.seconds[4] == 7200
    assert curve.seen == (11, 13, 14, 15, 16)
    assert curve.expected[4] == 16
    assert list(curve.expected) == sorted(curve.expected)
    assert curve.expected[-1] > 16


def test_in_all_is_what_chao_says() -> None:
    ones = [(t, t + 5.0, 1) for t in np.linspace(100, 7000, 6)]
    twos = [(100.0, 7000.0, 2)] * 3
    whole = in_all_of(novelty(*ones, *twos))
    assert whole.unseen == pytest.approx(36 / 6 * 23 / 24, abs=0.001)
    assert whole.low < whole.unseen < whole.high
    assert in_all_of(novelty(ALWAYS)).high == 0


def test_runs_needed_are_those_that_bring_the_target() -> None:
    # Ten runs; 2 values in one of them, 1 in two, 7 in all: 74 sights.
    runs = runs_of([1, 1, 2] + [10] * 7, ["a", "b"], 10)
    assert runs is not None
    assert (runs.f1, runs.f2, runs.expected) == (2, 1, 0.2)
    kept = 9 * 2 / (9 * 2 + 2)
    assert runs.covered == pytest.approx(1 - 2 / 74 * kept, abs=1e-6)
    share = [2 / 74 * kept ** (more + 1) for more in (runs.needed - 1, runs.needed)]
    assert share[0] > 0.01 >= share[1]
    assert runs_of([1, 1], ["a", "a"], 1) is None
    settled = runs_of([3, 3], [], 3)
    assert settled is not None
    assert (settled.covered, settled.needed) == (1, 0)


def test_bounds_of_counts() -> None:
    assert poisson_bounds(3) == (pytest.approx(0.6187, abs=1e-4), pytest.approx(8.7673, abs=1e-4))
    assert poisson_bounds(100) == (pytest.approx(81.36, abs=0.05), pytest.approx(121.63, abs=0.05))
    assert mixed_poisson_bounds(0.5, 0.01) == (0, 0)
    low, high = mixed_poisson_bounds(400.0, 1.0)
    assert (low, high) == (344, 456)
    assert dispersion(np.array([0, 0, 8, 0])) == pytest.approx(8)


def watched(*lives: tuple[str, int, int], phase: str = "steady", share: float = 1) -> pd.DataFrame:
    """Return rows about lives of an instance, from one second after Monday to another."""
    rows = []
    for name, start, end in lives:
        windows = (end - start) // 5
        row = {
            "recording_id": "r", "instance_key": name, "dimension": "observation",
            "phase": "unknown", "key": canonical(["windows"]), "windows": windows,
            "first": MONDAY_NS + start * SECOND, "last": MONDAY_NS + end * SECOND,
        }  # fmt: skip
        part = {"key": canonical(["phase"]), "phase": phase, "windows": int(windows * share)}
        rows += [row, row | part]
    return pd.DataFrame(rows)


def test_the_axis_leaves_gaps_out_and_counts_overlaps_once() -> None:
    line = timeline_of(watched(("a", 0, 100), ("b", 50, 150), ("c", 1000, 1100)))
    assert line.seconds == 250
    assert line.window_s == 5
    times = np.array([120, 500, 1010]) * SECOND + MONDAY_NS
    assert line.at(times).tolist() == [120, 150, 160]


def test_the_steady_phase_is_the_end_of_a_life() -> None:
    line = timeline_of(watched(("a", 0, 100), share=0.6), ("steady",))
    assert line.seconds == 60
    assert line.at(np.array([40]) * SECOND + MONDAY_NS).tolist() == [0]
    assert timeline_of(watched(("a", 0, 100)), ("startup",)).seconds == 0


def test_the_blind_period_is_a_third_of_what_was_watched() -> None:
    blind = blind_of(watched(("a", 0, 3600), ("b", 0, 3600), phase="startup"))
    assert blind.watched_seconds == 3600
    assert blind.rarer_than_seconds == pytest.approx(3600 / 2.9957, rel=1e-4)
    assert (blind.starts, blind.hours_of_day, blind.days_of_week) == (2, (0,), ("Mon",))
    assert blind.start_share == pytest.approx(1 - 0.05**0.5, abs=1e-6)
    week = blind_of(watched(("a", 3600, 7 * 86400)))
    assert week.hours_of_day == tuple(range(24))
    assert week.days_of_week == ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    assert (week.starts, week.start_share) == (0, 1)
