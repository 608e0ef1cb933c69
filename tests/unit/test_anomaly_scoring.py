"""Which windows a model finds strange, how episodes are told apart, and what is said of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.anomaly.replies import REPLY, Loaded, Refused, Reply, Scored, Strange
from detector.anomaly.scoring import Scoring
from learner.grams import map_of
from tests.anomaly import make_model, make_piece
from tests.unit.test_learner_anomaly import CALLS, steady

pytestmark = pytest.mark.unit

LATER = steady(360, seed=11)  # half an hour that no model was fitted to
GRAMS = LATER.take(np.array([0])).grams.symbols.tolist()
USUAL = dict(zip(CALLS.tolist(), (LATER.counts[0] / 5).tolist(), strict=True))  # in a second
FLOOD = USUAL | {3: 4000.0}


class Heard(Scoring):
    """A scoring whose sayings are kept, as the sensor reads them."""

    def __init__(self) -> None:
        self.said: list[Reply] = []
        super().__init__(self._keep)
        self.number = 0

    def _keep(self, header: dict[str, Any]) -> None:
        self.said.append(REPLY.validate_python(header))

    def see(self, seconds: int, calls: dict[int, float], *, is_whole: bool = True) -> list[Strange]:
        """Take so many seconds of *calls*; return what of that is strange."""
        before = len(self.said)
        for _ in range(seconds):
            self.number += 1
            piece = make_piece(self.number, calls=calls, grams=GRAMS, is_whole=is_whole)
            self.score(self.number, piece)
        return [one for one in self.said[before:] if isinstance(one, Strange)]


@pytest.fixture(scope="module")
def model() -> tuple[Any, bytes]:
    return make_model()


@pytest.fixture
def scoring(model: tuple[Any, bytes]) -> Heard:
    scoring = Heard()
    scoring.load(1, *model)
    return scoring


def test_a_model_says_how_long_its_windows_are(scoring: Heard) -> None:
    (said,) = scoring.said
    assert isinstance(said, Loaded)
    assert (said.kind, said.model, said.seconds) == ("loaded", 1, 5.0)


def test_a_model_says_which_sequences_it_knows(scoring: Heard, model: tuple[Any, bytes]) -> None:
    (said,) = scoring.said
    assert isinstance(said, Loaded)
    assert said.known == map_of(steady(120).grams.table)
    assert sum(map(int.bit_count, said.known)) > 0
    alerts = model[0].alerts.model_copy(update={"most_new": None})
    other = Heard()
    other.load(1, model[0].model_copy(update={"alerts": alerts}), model[1])
    assert isinstance(other.said[0], Loaded)
    assert other.said[0].known is None


def test_what_was_learnt_is_not_strange(scoring: Heard) -> None:
    assert scoring.see(60, USUAL) == []
    answers = [one for one in scoring.said if isinstance(one, Scored)]
    assert (len(answers), sum(one.windows for one in answers)) == (60, 12)


def test_known_calls_in_other_proportions_are_strange_and_named(scoring: Heard) -> None:
    (found,) = scoring.see(5, FLOOD)
    assert found.is_new
    assert found.about == "call close"
    assert any(reason.startswith("close 20000 times, usually") for reason in found.reasons)
    assert found.usual[0].startswith("close ")
    assert found.p_value is not None
    assert found.p_value < 1e-4
    assert found.beyond > 1


def test_an_episode_goes_on_until_a_window_is_usual(scoring: Heard) -> None:
    first, second = scoring.see(10, FLOOD)
    assert (first.is_new, second.is_new, second.about) == (True, False, first.about)
    assert scoring.see(5, USUAL) == []
    (again,) = scoring.see(5, FLOOD)
    assert again.is_new


def test_an_episode_ends_where_something_was_not_seen(scoring: Heard) -> None:
    scoring.see(5, FLOOD)
    scoring.see(1, FLOOD, is_whole=False)
    (again,) = scoring.see(5, FLOOD)
    assert again.is_new


def test_a_model_without_a_threshold_is_not_asked() -> None:
    scoring = Heard()
    reference, data = make_model("1/month", rows=20)
    scoring.load(1, reference, data)
    assert scoring.said == [Loaded(kind="insufficient", model=1, seconds=5.0)]
    assert scoring.see(5, FLOOD) == []


def test_a_model_that_is_another_is_refused(model: tuple[Any, bytes]) -> None:
    scoring = Heard()
    scoring.load(1, model[0], model[1] + b"x")
    (said,) = scoring.said
    assert isinstance(said, Refused)
    assert "its sha256 differs" in said.reason


def test_a_model_that_was_let_go_of_is_not_asked(scoring: Heard) -> None:
    scoring.forget(1)
    assert scoring.see(5, FLOOD) == []


def test_few_of_the_time_that_a_model_was_not_fitted_to_are_strange(scoring: Heard) -> None:
    """The budget is 12 an hour, and this is half an hour that nobody saw: 6 are to be expected."""
    strange = 0
    for row, counts in enumerate(LATER.counts.tolist()):
        calls = dict(zip(CALLS.tolist(), counts, strict=True))
        grams = LATER.take(np.array([row])).grams.symbols.tolist()
        piece = make_piece(row * 5, length_s=5.0, calls=calls, grams=grams)
        before = len(scoring.said)
        scoring.score(row + 1, piece)
        strange += sum(isinstance(one, Strange) for one in scoring.said[before:])
    assert strange <= 14  # a Poisson count of 6 is more once in 2,000
