"""What is remembered of each instance, and that nobody takes another's room."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from detector.remembered import newest_of_each

pytestmark = pytest.mark.unit


class Thing(NamedTuple):
    instance: int
    number: int


def test_the_newest_of_each_stay_in_their_order() -> None:
    things = [Thing(number % 3 == 0, number) for number in range(9)]
    kept = newest_of_each(things, 2)
    assert [one.number for one in kept] == [3, 6, 7, 8]
    assert newest_of_each(things, 9) == things
    assert newest_of_each([], 2) == []
