"""What a threshold promises, and what the same procedure did on time that it did not see."""

from __future__ import annotations

import numpy as np
import pytest

from ethogram.contracts.baseline import AlertBudget
from learner.alerts import alerts_of, with_most_new, with_realised
from learner.anomaly import AnomalyModel, fit_model
from learner.budget import Budget
from learner.grams import GramWindows
from learner.windows import SteadyWindows, joined
from tests.unit.test_learner_anomaly import changed, steady

pytestmark = pytest.mark.unit

ROWS = 100  # of 5 s


def fitted(windows: SteadyWindows) -> AnomalyModel:
    return fit_model(windows)[0]


def of_counts(windows: SteadyWindows) -> SteadyWindows:
    """Return *windows* without sequences, which are quicker to fit."""
    nothing = GramWindows.of_calls([np.empty(0, np.int32)] * len(windows))
    return SteadyWindows(windows.index, windows.calls, windows.counts, nothing)


def told(windows: SteadyWindows, budget: str) -> AlertBudget:
    wanted = Budget.parse(budget)
    alerts = alerts_of(windows, fitted(windows).ensemble.held_out, wanted)
    return with_realised(alerts, windows, wanted, fitted)


def busy_at_last(windows: SteadyWindows) -> SteadyWindows:
    """Return *windows*, of which every other one of the last fifth makes a call that is new."""
    late = np.arange(len(windows))
    strange = (late >= len(windows) * 4 // 5) & (late % 2 == 0)
    other = changed(windows, 101, 500.0)
    counts = other.counts.copy()
    counts[~strange, np.searchsorted(other.calls, 101)] = 0
    return SteadyWindows(other.index, other.calls, counts, other.grams)


def test_what_was_realised_on_later_time_stands_beside_the_promise() -> None:
    alerts = told(of_counts(steady(ROWS)), "1/min")
    assert alerts.realised is not None
    assert alerts.realised.seconds == 200  # two fifths of 500 s
    assert 0 < alerts.realised.promised <= 1
    assert alerts.realised.low <= alerts.realised.promised <= alerts.realised.high
    assert alerts.realised_needs_seconds is None


def test_a_workload_that_changed_realises_more_than_was_promised() -> None:
    alerts = told(busy_at_last(of_counts(steady(ROWS))), "1/min")
    assert alerts.realised is not None
    assert alerts.realised.episodes >= 8  # of 10 windows; those between may join two
    assert alerts.realised.low > alerts.realised.promised


def test_the_later_time_changes_nothing_of_what_was_promised_to_it() -> None:
    windows = of_counts(steady(ROWS))
    plain, busy = (told(each, "1/min").realised for each in (windows, busy_at_last(windows)))
    assert plain is not None
    assert busy is not None
    assert plain.promised == busy.promised


def test_time_that_is_too_short_to_part_says_how_much_is_missing() -> None:
    alerts = told(
        of_counts(steady(ROWS)), "8/hour"
    )  # needs 450 s: there are 500, and 400 of four fifths
    assert alerts.state == "ready"
    assert alerts.realised is None
    assert alerts.realised_needs_seconds == pytest.approx(62.5)


def test_where_there_is_no_threshold_nothing_was_realised() -> None:
    alerts = told(of_counts(steady(20)), "1/week")
    assert alerts.state == "insufficient"
    assert alerts.realised is alerts.realised_needs_seconds is None


def test_the_order_of_recordings_changes_nothing() -> None:
    parts = [
        of_counts(steady(ROWS, seed=seed, instance=name)) for seed, name in ((1, "a"), (2, "b"))
    ]
    assert told(joined(parts), "1/min") == told(joined(parts[::-1]), "1/min")


def with_traces(windows: SteadyWindows, at: int, calls: list[int]) -> SteadyWindows:
    """Return *windows*, each with one order of calls; window *at* makes *calls* after it."""
    traces = [np.array([0, 1, 3] * 4 + (calls if n == at else [])) for n in range(len(windows))]
    return SteadyWindows(windows.index, windows.calls, windows.counts, GramWindows.of_calls(traces))


def test_how_many_new_sequences_a_held_out_window_had_is_said() -> None:
    ready = AlertBudget(budget="1/min", state="ready", threshold=-1.0, seconds=500)
    windows = with_traces(steady(ROWS), 60, [59, 101, 59])
    assert with_most_new(ready, windows).most_new == 3
    assert with_most_new(ready, with_traces(steady(ROWS), 60, [])).most_new == 0
    # What other stretches of time have is not new, and what the same one has is.
    twice = joined([windows, with_traces(steady(ROWS, instance="b"), 61, [59, 101])])
    assert with_most_new(ready, twice).most_new == 3
    late = joined([windows, with_traces(steady(ROWS, instance="b"), 90, [59, 101])])
    assert with_most_new(ready, late).most_new == 1


def test_where_there_is_no_threshold_or_no_sequence_it_is_not() -> None:
    lacks = AlertBudget(budget="1/week", state="insufficient", seconds=500)
    assert with_most_new(lacks, steady(ROWS)).most_new is None
    ready = AlertBudget(budget="1/min", state="ready", threshold=-1.0, seconds=500)
    assert with_most_new(ready, of_counts(steady(ROWS))).most_new is None
