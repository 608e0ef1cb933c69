"""The windows that a model is fitted to: few, of every call, and the same in any order."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ethogram.errors import BaselineError
from learner.sample import read_sample, sample_bytes
from learner.sampling import sampled
from learner.windows import SteadyWindows, joined
from tests.unit.test_learner_anomaly import steady

pytestmark = pytest.mark.unit


def parts() -> list[SteadyWindows]:
    """Return windows of three instances, one of which makes a call once that no other makes."""
    some = [steady(70, seed=seed, instance=name) for seed, name in enumerate("abc")]
    counts = np.hstack([some[1].counts, np.zeros((70, 1))])
    counts[69, -1] = 1
    calls = np.append(some[1].calls, 300).astype(np.int32)
    some[1] = SteadyWindows(some[1].index, calls, counts, some[1].grams)
    return some


def of(windows: SteadyWindows, most: int) -> SteadyWindows:
    return windows.take(np.flatnonzero(sampled(windows, most=most)))


def test_a_sample_of_samples_is_the_sample_of_everything() -> None:
    first, second, third = (of(part, 40) for part in parts())
    everything = sample_bytes(of(joined(parts()), 40))
    for order in ([first, second, third], [third, first, second]):
        assert sample_bytes(of(joined(order), 40)) == everything
        nested = of(joined([of(joined(order[:2]), 40), order[2]]), 40)
        assert sample_bytes(nested) == everything
    twice = sample_bytes(of(joined([first, first]), 40))
    assert twice == sample_bytes(first)


def test_a_sample_is_bounded_and_knows_every_call() -> None:
    sample = of(joined(parts()), 40)
    assert 40 <= len(sample) <= 40 + len(sample.calls)
    assert (sample.counts > 0).any(axis=0).all()
    assert 300 in sample.calls


def test_neighbours_are_taken_together() -> None:
    chosen = np.flatnonzero(sampled(steady(600), most=60))
    assert len(np.unique(chosen // 12)) <= 8


def test_a_sample_is_read_as_it_was_written() -> None:
    sample = of(joined(parts()), 40)
    again = read_sample(sample_bytes(sample), source="x")
    pd.testing.assert_frame_equal(again.index, sample.index)
    np.testing.assert_array_equal(again.calls, sample.calls)
    np.testing.assert_array_equal(again.counts, sample.counts)
    for row in range(len(sample)):
        mine, other = (each.grams.take(np.array([row])).symbols for each in (sample, again))
        np.testing.assert_array_equal(np.unique(mine, axis=0), np.unique(other, axis=0))


@pytest.mark.parametrize("data", [b"", b"PAR1PAR1", b"x" * 100])
def test_what_is_no_sample_is_refused(data: bytes) -> None:
    with pytest.raises(BaselineError, match="cannot be read"):
        read_sample(data, source="x")


def test_a_sample_whose_parts_do_not_fit_is_refused() -> None:
    table = pq.read_table(io.BytesIO(sample_bytes(steady(10))))
    beyond = pa.array([[10**6]] * len(table), pa.list_(pa.int32()))
    nameless = pa.nulls(len(table), pa.string())
    for name, column in (("grams", beyond), ("instance_key", nameless)):
        place = table.column_names.index(name)
        buffer = io.BytesIO()
        pq.write_table(table.set_column(place, table.schema.field(place), column), buffer)
        with pytest.raises(BaselineError, match="cannot be read"):
            read_sample(buffer.getvalue(), source="x")


def test_sequences_of_windows_that_are_not_in_the_sample_are_known() -> None:
    whole = steady(60)
    few = whole.take(np.arange(2))
    again = read_sample(sample_bytes(few), source="x")
    assert len(again) == 2
    np.testing.assert_array_equal(again.grams.table, np.unique(whole.grams.table, axis=0))
