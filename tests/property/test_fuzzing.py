"""A short run of `make fuzz`, the same every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.property

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_seek_new_paths_find_nothing(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this Python")
    options = ["-runs=500", "-seed=23", "-verbosity=0", f"-artifact_prefix={tmp_path}/"]
    result = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, *options],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert list(tmp_path.iterdir()) == []
