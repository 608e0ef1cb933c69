"""The catalogue: every behaviour is told by something that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ethogram.contracts.baseline import DIMENSIONS
from ethogram.indicators.catalogue import CATALOGUE, RELATED, SENSOR, Behaviour, markdown
from ethogram.indicators.registry import indicators

pytestmark = pytest.mark.unit

DOCUMENT = Path(__file__).parents[3] / "docs/detections.md"
# Those that only matter where a baseline lacks them.
DEVIATIONS_ALONE = {1, 11, 12, 34, 39, 42}


def test_it_has_every_behaviour_once() -> None:
    assert [one.number for one in CATALOGUE] == list(range(1, 45))


@pytest.mark.parametrize("one", CATALOGUE, ids=lambda one: str(one.number))
def test_what_tells_of_a_behaviour_is_there(one: Behaviour) -> None:
    assert set(one.indicators) <= set(indicators())
    assert set(one.deviations) <= set(DIMENSIONS)
    assert set(one.rules) <= {*RELATED, SENSOR}


@pytest.mark.parametrize("one", CATALOGUE, ids=lambda one: str(one.number))
def test_what_is_bad_in_any_case_has_a_rule_of_its_own(one: Behaviour) -> None:
    assert bool(one.indicators or one.rules) != (one.number in DEVIATIONS_ALONE)
    assert one.deviations or one.number not in DEVIATIONS_ALONE


def test_every_indicator_is_about_some_behaviour() -> None:
    told = {name for one in CATALOGUE for name in one.indicators}
    assert set(indicators()) == told


def test_the_document_has_the_table() -> None:
    assert "\n".join(markdown()) in DOCUMENT.read_text(encoding="utf-8")
