"""Thresholds that keep an alert budget, from held-out scores alone."""

from __future__ import annotations

import numpy as np
import pytest

from ethogram.errors import UsageError
from learner.budget import (
    Budget,
    Insufficient,
    Threshold,
    episodes,
    realised,
    share_threshold,
    threshold,
)

pytestmark = pytest.mark.unit

MINUTE = 600  # windows of 100 ms


def blocks(count: int, *, seed: int, length: int = MINUTE) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, length)))


def found(result: Threshold | Insufficient) -> Threshold:
    assert isinstance(result, Threshold)
    return result


@pytest.mark.parametrize(
    ("text", "episodes_", "seconds"),
    [("1/week", 1, 604800), ("0.15/min", 0.15, 60), ("3/day", 3, 86400), ("2/month", 2, 2592000)],
)
def test_a_budget_is_episodes_in_a_time(text: str, episodes_: float, seconds: float) -> None:
    budget = Budget.parse(text)
    assert (budget.episodes, budget.seconds, budget.text) == (episodes_, seconds, text)


NO_BUDGETS = ["", "1", "week", "0/week", "-1/week", "1/fortnight", "1 / week", "1e9/s"]
OUT_OF_BOUNDS = ["9" * 400 + "/s", f"0.{'0' * 400}1/month"]


@pytest.mark.parametrize("text", [*NO_BUDGETS, *OUT_OF_BOUNDS])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no alert budget"):
        Budget.parse(text)


def test_flags_close_to_each_other_are_one_episode() -> None:
    flags = np.array([1, 1, 0, 1, 0, 0, 0, 1], bool)
    assert [episodes(flags, merge=merge) for merge in (0, 1, 2, 3)] == [3, 2, 2, 1]
    assert episodes(np.zeros(4, bool)) == 0


def test_a_threshold_flags_one_episode_less_than_the_budget_has() -> None:
    held_out = blocks(12, seed=1)
    result = found(threshold(held_out, Budget.parse("1/min"), window_s=0.1))
    assert result.seconds == pytest.approx(720)
    assert result.episodes == 11
    assert sum(episodes(block < result.score) for block in held_out) == 11
    assert result.promised * 60 == pytest.approx(1)


def test_where_one_episode_fits_nothing_of_the_held_out_time_is_flagged() -> None:
    held_out = blocks(12, seed=2)
    result = found(threshold(held_out, Budget.parse("0.15/min"), window_s=0.1))
    assert result.episodes == 0
    assert result.score == min(block.min() for block in held_out)


def test_what_is_promised_is_kept_on_unseen_time() -> None:
    budget = Budget.parse("1/min")
    rates = []
    for seed in range(40):
        result = found(threshold(blocks(12, seed=seed), budget, window_s=0.1))
        rates.append(realised(blocks(4, seed=1000 + seed), result.score, window_s=0.1).rate * 60)
    # 160 minutes: the standard error of the mean is 0.08.
    assert 0.7 < np.mean(rates) < 1.3


def test_equal_scores_are_flagged_together_or_not_at_all() -> None:
    held_out = [np.tile([0.0, 1.0], 300) for _ in range(12)]
    result = found(threshold(held_out, Budget.parse("1/min"), window_s=0.1))
    assert result.score == 0.0
    assert result.episodes == 0


def test_short_time_has_no_threshold_but_says_how_much_is_missing() -> None:
    held_out = [np.zeros(17280) for _ in range(4)]  # four days of windows of 5 s
    result = threshold(held_out, Budget.parse("1/week"), window_s=5)
    assert isinstance(result, Insufficient)
    assert result.missing == 3 * 86400
    assert str(result) == "insufficient: needs 3 days more for this budget"
    assert isinstance(threshold(held_out * 2, Budget.parse("1/week"), window_s=5), Threshold)


def test_a_window_without_a_score_is_time_but_no_alarm() -> None:
    held_out = blocks(12, seed=3)
    for block in held_out:
        block[:10] = np.nan
    result = found(threshold(held_out, Budget.parse("1/min"), window_s=0.1))
    assert np.isfinite(result.score)
    assert result.seconds == pytest.approx(720)


def test_an_episode_does_not_span_two_blocks() -> None:
    held_out = [np.array([0.0, 5, 5]), np.array([5.0, 5, 0])]
    result = found(threshold(held_out, Budget(1, 1, "1/s"), window_s=1, merge=100))
    assert (result.score, result.episodes) == (5.0, 2)


def test_the_realised_rate_has_an_interval() -> None:
    result = realised([np.array([0.0, 1, 0, 1])], 0.5, window_s=30)
    assert (result.episodes, result.seconds) == (2, 120)
    # Garwood's interval of a count of 2: 0.242 to 7.225.
    assert result.low * 120 == pytest.approx(0.2422, abs=1e-3)
    assert result.high * 120 == pytest.approx(7.2247, abs=1e-3)
    assert realised([np.ones(4)], 0.5, window_s=30).low == 0


def test_a_share_of_the_windows_can_be_the_budget() -> None:
    held_out = blocks(12, seed=4)
    limit = share_threshold(held_out, 0.01)
    assert limit is not None
    assert sum((block < limit).sum() for block in held_out) == 71  # 1 % of 7201, less one
    assert share_threshold([np.zeros(98)], 0.01) is None
    assert share_threshold([np.zeros(99)], 0.01) is not None
