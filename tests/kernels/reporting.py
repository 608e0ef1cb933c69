"""A pytest plugin for the guest: one line of JSON for each test, to the second serial line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_LINE = Path(os.environ.get("ETHOGRAM_RESULTS", "/dev/ttyS1"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell of a test that has ended, and of whatever went wrong before and after it."""
    if report.when != "call" and report.passed:
        return
    told = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 2)}
    if not report.passed:
        told["why"] = str(report.longrepr)[-4000:]
    with _LINE.open("a", encoding="ascii") as line:
        line.write(json.dumps(told) + "\n")
