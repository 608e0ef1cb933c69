"""The intervals hold as often as they say, on generated workloads of known truth."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import coverage
from benchmarks.kinds import HOUR, KINDS, MINUTE, watch

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("kind", ["settled", "random, Zipf", "bursts", "cron", "ever new names"])
def test_the_interval_of_what_comes_next_holds(kind: str) -> None:
    random = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        trial = watch(random, KINDS[kind](random, 2 * HOUR), 2 * HOUR, 10 * MINUTE)
        low, high = trial.novelty.count_bounds(10 * MINUTE)
        held += low <= trial.came <= high
    assert held >= 90  # of 100 at 95 %: fewer come once in 35 times, and the seed is fixed


def test_a_release_is_nothing_that_was_to_be_known() -> None:
    random = np.random.default_rng(3)
    make = KINDS["a release comes"]
    trial = watch(random, make(random, 24 * HOUR), 24 * HOUR, HOUR)
    assert trial.came > trial.novelty.count_bounds(HOUR)[1]


def test_the_benchmark_prints_json_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    coverage.main(["--trials", "2"])
    printed = capsys.readouterr()
    (part,) = json.loads(printed.out)["parts"]
    generated, recorded, stopped = part["tables"]
    assert len(generated["rows"]) == len(KINDS) * len(coverage.HORIZONS)
    assert [row[0] for row in recorded["rows"]] == ["shop-strange.rec", "shop.rec"]
    assert all(row[2] > 0 for row in recorded["rows"])
    assert len(stopped["rows"]) == 2
    assert "the monthly job comes" in printed.err
