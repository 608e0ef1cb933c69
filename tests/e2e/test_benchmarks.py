"""The benchmarks run, on this kernel: what they find is nobody's to judge here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def test_calls_are_measured_in_every_state() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--only", "calls"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    head = next(number for number, line in enumerate(lines) if line.split()[:1] == ["nothing"])
    works = {line[2:26].strip(): line[28:].split() for line in lines[head + 1 : head + 4]}
    assert list(works) == ["getppid", "openat, close", "fork, exec, exit, wait"]
    assert all(len(columns) == 10 for columns in works.values())
    assert "nothing lost" in result.stdout
