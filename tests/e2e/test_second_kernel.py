"""The recorder on another kernel: Debian's 6.1, booted in an emulator on this machine's files.

The tests of the kernel side run there as they are, those that need no containers and, because
emulation is slow, not the slow ones; `make kernels` runs all of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from tests.kernels.chosen import EVERY_CHANGE, command
from tests.kernels.guest import NoGuestError, Outcome, find_guest
from tests.workloads import build_known

LIMIT_S = 900

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_S + 100)]


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    build_known()
    try:
        guest = find_guest()
    except NoGuestError as missing:
        pytest.skip(str(missing))
    return guest.run(command(EVERY_CHANGE, is_all=False), LIMIT_S)


@pytest.fixture(scope="module")
def told(outcome: Outcome) -> dict[str, list[dict[str, Any]]]:
    by_module = defaultdict(list)
    for line in outcome.results:
        result = json.loads(line)
        by_module[result["test"].partition("::")[0]].append(result)
    return by_module


def test_the_guest_ran_to_its_end(outcome: Outcome) -> None:
    assert outcome.status == 0, outcome.console[-8000:]


@pytest.mark.parametrize("module", EVERY_CHANGE)
def test_the_second_kernel_passes(
    told: dict[str, list[dict[str, Any]]], module: str, subtests: pytest.Subtests
) -> None:
    assert told[module], "no test of it has ended there"
    for result in told[module]:
        with subtests.test(result["test"].partition("::")[2]):
            assert result["outcome"] == "passed", result["why"]
