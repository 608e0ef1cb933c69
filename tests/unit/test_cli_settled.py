"""What the command line says of how settled a baseline is, and where it fails for it."""

from __future__ import annotations

import pytest

from ethogram.cli.settled import curve_lines, require_settled, settled_lines
from ethogram.contracts.baseline import Baseline, Blind, Coverage, Curve, Observation, Runs
from ethogram.errors import EthogramError
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit

BLIND = Blind(
    watched_seconds=7200, rarer_than_seconds=2403, starts=2, start_share=0.78,
    hours_of_day=(8, 9), days_of_week=("Mon",),
)  # fmt: skip
RUNS = Runs(
    runs=3, f1=1, f2=1, probability=0.4, expected=0.33, low=0, high=2, covered=0.97, target=0.99,
    needed=2,
)  # fmt: skip
CURVE = Curve(
    seconds=(900, 1800, 3600, 5400, 7200, 10800, 14400),
    seen=(1, 2, 3, 3, 4), expected=(1.2, 2.1, 3, 3.5, 4, 5, 6),
)  # fmt: skip
FILES = Coverage(f1=1, f2=1, windows=9, unseen=0.1, low=0, high=1, runs=RUNS, curve=CURVE)


def baseline(settled: float | None = 0.98, **observation: object) -> Baseline:
    one = make_baseline("read", settled=settled, blind=BLIND, coverage={"files": FILES})
    fields = one.observation.model_dump() | observation
    return one.model_copy(update={"observation": Observation.model_validate(fields)})


def test_the_screen_says_how_settled_it_is_and_what_it_is_blind_to() -> None:
    assert list(settled_lines(baseline())) == [
        "settled: at least 98.00% of the windows to come show nothing new",
        "runs: 3 seen; about 2 more runs to know 99% of what a run shows",
        "blind: watched for 2 h 0 min; what happens less often than every 40 min 3 s may never "
        "have been seen",
        "blind: watched in 2 of 24 hours of the day (UTC) and 1 of 7 days of the week only",
    ]
    assert list(settled_lines(make_baseline("read"))) == []


def test_the_curve_is_a_small_plot_up_to_now_and_ahead() -> None:
    assert list(curve_lines(baseline())) == [
        "files        ▂▃▅▅▆|▇█  4 after 2 h 0 min, about 6 expected after 4 h 0 min"
    ]


def test_settled_baselines_pass() -> None:
    require_settled([baseline(), baseline(0.995)], 0.98)


def test_what_is_not_settled_fails_and_says_how_long_it_takes() -> None:
    with pytest.raises(EthogramError) as caught:
        require_settled([baseline(), baseline(0.995)], 0.99)
    assert caught.value.exit_code == 1
    assert caught.value.message == (
        "1 of 2 baselines not settled: of the windows of `shop-staging/Deployment/checkout "
        "(nginx)` to come, at least 98.00% show nothing new; asked for 99.00%"
    )
    assert caught.value.hint == "record for about 2 h 0 min more, if nothing new comes meanwhile"


def test_how_long_it_takes_goes_by_the_time_that_was_judged() -> None:
    started_slowly = baseline().model_copy(
        update={"blind": BLIND.model_copy(update={"watched_seconds": 14400})}
    )
    with pytest.raises(EthogramError) as caught:
        require_settled([started_slowly], 0.99)
    assert caught.value.hint == "record for about 2 h 0 min more, if nothing new comes meanwhile"


def test_a_loss_is_never_settled() -> None:
    with pytest.raises(EthogramError, match=r"events of `.*` were lost"):
        require_settled([baseline(0.9999, losses={"ring_full": 3})], 0.5)


def test_too_little_seen_says_so() -> None:
    with pytest.raises(EthogramError) as caught:
        require_settled([baseline(None)], 0.5)
    assert caught.value.hint == "record for longer: too little of it was seen to say for how long"
