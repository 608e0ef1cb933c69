"""Sequences of calls as columns: known ones, and the longest known ends of others."""

from __future__ import annotations

import numpy as np
import pytest

from learner.grams import ABSENT, ORDER, GramVocabulary, GramWindows, hashed

pytestmark = pytest.mark.unit

TRAIN = [np.arange(1, 9), np.array([1, 2, 3, 9, 9])]


def columns(vocabulary: GramVocabulary, trace: list[int]) -> dict[tuple[int, ...], int]:
    """Return how often each known end counts in *trace*."""
    row = vocabulary.encode(GramWindows.of_calls([np.array(trace)]))
    names = vocabulary.identities()
    return {
        tuple(names[column][names[column] != ABSENT].tolist()): int(count)
        for column, count in zip(row.indices, row.data, strict=True)
    }


def test_a_trace_is_the_set_of_its_sequences() -> None:
    windows = GramWindows.of_calls([np.array([5] * 100), np.array([], np.int16), np.array([7])])
    assert len(windows) == 3
    assert np.diff(windows.starts).tolist() == [6, 0, 1]
    assert windows.symbols[-1].tolist() == [0xFFFF] * 5 + [7]


def test_windows_can_be_taken_in_any_order() -> None:
    windows = GramWindows.of_calls([*TRAIN, np.array([], np.int64), np.array([4, 4])])
    taken = windows.take(np.array([3, 2, 0]))
    again = GramWindows.of_calls([np.array([4, 4]), np.array([], np.int64), TRAIN[0]])
    np.testing.assert_array_equal(taken.starts, again.starts)
    np.testing.assert_array_equal(taken.symbols, again.symbols)


def test_what_was_seen_counts_in_columns_of_whole_sequences() -> None:
    windows = GramWindows.of_calls(TRAIN)
    vocabulary = GramVocabulary.of(windows)
    rows = vocabulary.encode(windows)
    lengths = (vocabulary.identities() != ABSENT).sum(axis=1)
    assert rows.shape == (2, vocabulary.columns)
    assert set(lengths[rows.indices].tolist()) == {ORDER}
    assert rows.sum() == len(windows.symbols)


def test_what_is_new_counts_by_its_longest_known_end() -> None:
    vocabulary = GramVocabulary.of(GramWindows.of_calls(TRAIN))
    found = columns(vocabulary, [9, 3, 4, 5, 6, 7])
    # After the first call of a trace, 9 is new; 3 to 7 are known in their order, after 2.
    assert found == {(9,): 1, (3,): 1, (3, 4): 1, (3, 4, 5): 1, (3, 4, 5, 6): 1, (3, 4, 5, 6, 7): 1}


def test_a_call_that_nobody_made_has_a_column() -> None:
    vocabulary = GramVocabulary.of(GramWindows.of_calls(TRAIN))
    assert columns(vocabulary, [77, 78]) == {(): 2}


def test_every_column_ends_in_a_column() -> None:
    vocabulary = GramVocabulary.of(GramWindows.of_calls(TRAIN))
    names = {tuple(row[row != ABSENT].tolist()) for row in vocabulary.identities()}
    assert len(names) == vocabulary.columns
    assert {name[1:] for name in names if name} <= names


def test_too_many_calls_leave_the_frequent_ones_known() -> None:
    many = [np.arange(3000), *[np.array([5, 6, 5, 6])] * 3]
    vocabulary = GramVocabulary.of(GramWindows.of_calls(many))
    assert len(vocabulary.calls) < 1625
    assert set(columns(vocabulary, [5, 6, 5])) == {
        (0xFFFF,) * 5 + (5,), (0xFFFF,) * 4 + (5, 6), (0xFFFF,) * 3 + (5, 6, 5),
    }  # fmt: skip


def test_numbers_as_large_as_they_get_do_not_collide() -> None:
    random = np.random.default_rng(1)
    traces = [random.permutation(1500) for _ in range(3)]
    windows = GramWindows.of_calls(traces)
    vocabulary = GramVocabulary.of(windows)
    whole = vocabulary.identities()[-len(vocabulary.parts[-1]) :]
    np.testing.assert_array_equal(np.unique(whole, axis=0), np.unique(windows.symbols, axis=0))


def test_encoding_changes_nothing_about_the_windows() -> None:
    windows = GramWindows.of_calls([np.array([1, 2, 3, 4, 5, 6]), np.array([9] * 20)])
    starts, symbols = windows.starts.copy(), windows.symbols.copy()
    GramVocabulary.of(GramWindows.of_calls(TRAIN)).encode(windows)
    hashed(windows)
    np.testing.assert_array_equal(windows.starts, starts)
    np.testing.assert_array_equal(windows.symbols, symbols)


def test_a_sequence_sets_two_slots_of_a_map() -> None:
    windows = GramWindows.of_calls(TRAIN)
    slots = hashed(windows)
    assert slots.shape == (2, 1 << 16)
    assert slots.sum() == 2 * len(windows.symbols)


def test_slots_are_spread_evenly() -> None:
    random = np.random.default_rng(1)
    windows = GramWindows.of_calls([random.integers(0, 40, 20_000)])
    used = len(hashed(windows).indices) / (1 << 16)
    expected = 1 - np.exp(-2 * len(windows.symbols) / (1 << 16))
    assert used == pytest.approx(expected, abs=0.01)
