"""Attack-like and benign cases under `ethogram watch`: what is promised, and what was reached."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.cases.catalogue import all_cases, learnt_cases
from tests.cases.harness import Harness, missing, run_harness
from tests.cases.report import KEPT, load_kept
from tests.cases.scoring import Result

# One run of all the cases takes longer than other tests, and counts for the first one here.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

QUIET_SECONDS = 45
PROMISED = {
    "a shell or interpreter with a socket on its stdio": ("B01", "B03", "B06"),
    "a namespace that became the host's": ("D03",),
    "a sensitive file read": ("C01", "C03", "C04", "C06"),
    "an executable that is not from the image": ("A03", "A04"),
    "an executable in memory or deleted": ("A07", "A08"),
    "a recon tool": ("A01",),
    "a service-account token read by something new": ("C10",),
    "calls that tamper with the kernel": ("D19",),
}


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    if absent := missing():
        pytest.skip(f"not installed: {', '.join(absent)}")
    directory = tmp_path_factory.mktemp("cases")
    return run_harness(directory, cases=all_cases(), quiet_seconds=QUIET_SECONDS)


@pytest.fixture(scope="module")
def results(harness: Harness) -> Mapping[str, Result]:
    return {result.case.id: result for result in harness.results}


def test_every_case_ran(results: Mapping[str, Result]) -> None:
    assert {name: one.problem for name, one in results.items() if one.verdict == "not run"} == {}


@pytest.mark.parametrize("behaviour", PROMISED)
def test_what_is_promised_is_found(behaviour: str, results: Mapping[str, Result]) -> None:
    verdicts = {name: results[name].verdict for name in PROMISED[behaviour]}
    assert set(verdicts.values()) == {"found"}, verdicts


def test_what_is_benign_is_silent(results: Mapping[str, Result]) -> None:
    alarms = {
        case.id: results[case.id].rules
        for case in learnt_cases()
        if results[case.id].verdict != "silent"
    }
    assert alarms == {}


def test_the_service_alone_raises_nothing(harness: Harness) -> None:
    assert harness.noise.alerts == ()


def test_nothing_is_worse_than_it_was(results: Mapping[str, Result]) -> None:
    kept = load_kept()
    worse = {
        name: (verdict, "now", results[name].verdict)
        for verdict, names in kept.items()
        for name in names
        if results[name].verdict != verdict
    }
    assert worse == {}, f"`make cases` writes {KEPT.name} anew where that is as it should be"
