"""Pieces of time become windows as long as those of a model, whatever their own lengths."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from detector.anomaly.frames import Frames, packed
from detector.anomaly.pieces import Piece
from detector.anomaly.sums import Sums, Whole
from tests.anomaly import SECOND, make_piece

pytestmark = pytest.mark.unit

LENGTHS = {1: 5 * SECOND}


def whole_of(sums: Sums, pieces: Iterable[Piece], first: int = 1) -> list[Whole]:
    found = []
    for number, piece in enumerate(pieces, start=first):
        found += list(sums.add(number, piece, LENGTHS))
    return found


def test_five_seconds_are_a_window_and_the_sixth_begins_another() -> None:
    pieces = [make_piece(n, calls={0: 10.0, 3: n}) for n in range(6)]
    (one,) = whole_of(Sums(), pieces)
    assert one.calls == {0: 50.0, 3: 10.0}
    assert (one.first_ns, one.last_ns) == (0, 5 * SECOND)


def test_windows_that_were_ended_early_count_by_their_time() -> None:
    lengths = (0.02, 0.98, 1.5, 0.5, 1.9, 0.1)
    starts = np.cumsum([0.0, *lengths])
    pieces = [
        make_piece(start, length_s=length, calls={0: length * 100})
        for start, length in zip(starts.tolist(), lengths, strict=False)
    ]
    (one,) = whole_of(Sums(), pieces)
    assert one.calls[0] == pytest.approx(500)


def test_counts_are_those_of_a_whole_window_where_it_was_a_little_longer() -> None:
    pieces = [make_piece(n, length_s=0.9, calls={0: 9.0}) for n in range(6)]
    (one,) = whole_of(Sums(), pieces)
    assert one.calls[0] == pytest.approx(50)  # of 5.4 s


def test_sequences_are_joined() -> None:
    pieces = [make_piece(n, grams=[(0, 1, 2, 3, 4, 5 + n)]) for n in range(5)]
    (one,) = whole_of(Sums(), pieces)
    assert one.grams.tolist() == [[0, 1, 2, 3, 4, 5 + n] for n in range(5)]


def test_what_was_not_seen_whole_is_not_scored_and_said() -> None:
    sums = Sums()
    pieces = [make_piece(n, is_whole=n != 3, calls={0: 1.0}) for n in range(9)]
    (one,) = whole_of(sums, pieces)
    assert (one.first_ns, sums.withheld) == (4 * SECOND, 1)


def test_a_piece_that_never_came_is_a_gap() -> None:
    sums = Sums()
    assert whole_of(sums, [make_piece(n) for n in range(4)]) == []
    assert whole_of(sums, [make_piece(5)], first=6) == []
    assert (sums.broken, sums.withheld) == ({1}, 1)


def test_a_window_much_longer_than_those_of_the_model_says_nothing() -> None:
    sums = Sums()
    assert whole_of(sums, [make_piece(0, length_s=10.0)]) == []
    assert sums.withheld == 1


def test_each_instance_has_its_own_window() -> None:
    both = [make_piece(n, instance=n % 2, calls={0: 1.0}) for n in range(10)]
    # The other one is not there in each: who is gone begins anew.
    assert whole_of(Sums(), both) == []
    joined = [one.joined(two) for one, two in zip(both[::2], both[1::2], strict=True)]
    found = whole_of(Sums(), joined)
    assert [(one.instance, one.calls) for one in found] == [(0, {0: 5.0}), (1, {0: 5.0})]


def test_who_is_not_whole_in_one_of_two_pieces_is_in_neither() -> None:
    whole, lossy = make_piece(0), make_piece(1, is_whole=False)
    assert whole.joined(lossy).observed == {}
    assert lossy.joined(whole).observed == {}
    assert whole.joined(make_piece(1)).observed == {1: 2 * SECOND}


def test_a_piece_survives_being_sent_in_parts() -> None:
    sent = make_piece(7, calls={0: 2.0, 3: 1.0}, grams=[(9, 8, 7, 6, 5, 4)]).frame(3)
    frames, found = Frames(), []
    for at in range(0, len(sent) * 2, 7):
        found += list(frames.feed((sent * 2)[at : at + 7]))
    one, two = (Piece.of_frame(frame) for frame in found)
    assert found[0].header["number"] == 3
    assert one.calls.tolist() == two.calls.tolist() == [(1, 0, 2.0), (1, 3, 1.0)]
    assert one.grams["gram"].tolist() == [[9, 8, 7, 6, 5, 4]]
    assert one.observed == {1: SECOND}


@pytest.mark.parametrize("data", [b"\xff" * 8, packed({})[:8] + b"[]", b"\x02\0\0\0\0\0\0\0{]"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"message|Expecting"):
        list(Frames().feed(data))
