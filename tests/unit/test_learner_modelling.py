"""Models of many workloads: the same whoever fits them, of no more windows than memory holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.recording import Recording
from learner.anomaly import modelled, modelled_all
from learner.parallel import InThisProcess, executor_of
from learner.windows import SteadyWindows, steady_windows
from tests.recordings import shop_recording
from tests.unit.test_learner_anomaly import steady

pytestmark = pytest.mark.unit

MOST = 10


def test_processes_fit_the_same_models() -> None:
    work = [(steady(rows, seed=rows), f"{rows}.skops", "1/min") for rows in (4, 20, 30)]
    alone = modelled_all(work, InThisProcess())
    with executor_of(jobs=2) as executor:
        assert modelled_all(work, executor) == alone
    assert alone[0] is None  # too few windows
    assert alone[1] == modelled(*work[1])
    assert [each[0].file for each in alone[1:] if each] == ["20.skops", "30.skops"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    place = tmp_path_factory.mktemp("days")
    return [
        Recording.open(shop_recording(place / name, recording_id=name))
        for name in ("MONDAY", "TUESDAY", "WEDNESDAY")
    ]


def places(windows: SteadyWindows) -> list[tuple[str, str, int]]:
    index = windows.index[["recording_id", "instance_key", "window"]]
    return list(index.itertuples(index=False, name=None))


def test_of_too_many_windows_a_sample_is_kept_in_any_order(recordings: list[Recording]) -> None:
    every = steady_windows(recordings)
    one, other = (
        next(iter(steady_windows(order, most=MOST).values()))
        for order in (recordings, [recordings[1], *recordings[::-1]])
    )
    whole = next(iter(every.values()))
    assert whole.watched is None
    assert one.watched == other.watched == len(whole) > 3 * MOST
    assert MOST <= len(one) < len(whole)
    assert places(one) == places(other)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.grams.symbols, other.grams.symbols)


def test_a_baseline_says_how_many_windows_were_used(recordings: list[Recording]) -> None:
    found = modelled(next(iter(steady_windows(recordings, most=MOST).values())), "a.skops")
    assert found is not None
    assert found[0].windows is not None
    assert found[0].used is not None
    assert MOST <= found[0].used < found[0].windows


def test_where_all_windows_were_used_nothing_is_said(tmp_path: Path) -> None:
    recording = Recording.open(shop_recording(tmp_path / "r"))
    found = modelled(next(iter(steady_windows([recording]).values())), "a.skops")
    assert found is not None
    assert (found[0].windows, found[0].used) == (12, None)
