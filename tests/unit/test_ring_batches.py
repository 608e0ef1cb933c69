"""Many small batches of records become one, and none of them is lost."""

import numpy as np
import pytest

from ethogram.contracts.events import RecordKind
from profiler.ring import STRUCT_OF, Records, with_small_as_one

pytestmark = pytest.mark.unit


def _batch(first: int, size: int) -> Records:
    heads = np.zeros(size, STRUCT_OF[RecordKind.FILE].dtype)
    heads["fingerprint"] = np.arange(first, first + size)
    return Records(heads, [b"%d" % number for number in range(first, first + size)])


def test_small_batches_become_one_with_each_record_and_its_tail() -> None:
    large = _batch(10_000, 1000)
    few = [_batch(number, 1) for number in range(7)]
    assert with_small_as_one([large, *few]) == [large, *few]
    kept, merged = with_small_as_one([*few, large, _batch(7, 3)])
    assert kept is large
    assert merged.heads["fingerprint"].tolist() == list(range(10))
    assert merged.tails == [b"%d" % number for number in range(10)]
