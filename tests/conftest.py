"""The tiers of the tests: what each one needs, and what happens where that is missing.

Every test carries exactly one tier. A test that cannot run is skipped with the reason, and fails
instead where `ETHOGRAM_REQUIRE` (a comma-separated list of tiers) names its tier. Tests of the
tiers that need nothing may not reach a network.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

TIERS = ("unit", "property", "contract", "golden", "bpf", "e2e")
_NEED_ROOT = frozenset({"bpf", "e2e"})

# Two cores are shared with what is tested, so a slow example says nothing about the code.
settings.register_profile("house", deadline=None, max_examples=50, print_blob=True)
settings.load_profile("house")


def _tier(item: pytest.Item) -> str:
    return next(tier for tier in TIERS if item.get_closest_marker(tier))


def _required() -> frozenset[str]:
    names = frozenset(filter(None, os.environ.get("ETHOGRAM_REQUIRE", "").split(",")))
    if unknown := sorted(names - set(TIERS)):
        raise pytest.UsageError(f"ETHOGRAM_REQUIRE: no tier is called `{unknown[0]}`")
    return names


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REQUIRED] = _required()
    sys.addaudithook(_guard)


_REQUIRED = pytest.StashKey[frozenset[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tiers = [tier for tier in TIERS if item.get_closest_marker(tier)]
        if len(tiers) != 1:
            what = f"the tiers {', '.join(tiers)}" if tiers else "no tier"
            raise pytest.UsageError(f"{item.nodeid} has {what}: mark it with one of {TIERS}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _tier(item) in _NEED_ROOT and os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    report = yield
    is_expected = hasattr(report, "wasxfail")
    if report.skipped and not is_expected and _tier(item) in item.config.stash[_REQUIRED]:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"required by ETHOGRAM_REQUIRE, but: {reason}"
    return report


class _Network:
    is_allowed = True


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would leave this host; the empty network namespace of `make test` sees the rest.

    An audit hook cannot be removed, so it asks each time.
    """
    if _Network.is_allowed or event not in {"socket.connect", "socket.getaddrinfo"}:
        return
    address = arguments[1] if event == "socket.connect" else arguments[0]
    host = address[0] if isinstance(address, tuple) else address
    is_path = event == "socket.connect" and not isinstance(address, tuple)
    if is_path or host in {None, "", "localhost", "::1"} or str(host).startswith("127."):
        return
    raise PermissionError(f"a test of this tier may not reach the network: {host!r}")


@pytest.fixture(autouse=True)
def _quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    _Network.is_allowed = _tier(request.node) in _NEED_ROOT
    yield
    _Network.is_allowed = True
