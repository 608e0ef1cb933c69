"""Recorder and watch do without pandas, and who needs it afterwards has it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

LOOK = "import sys; from profiler.without_pandas import spare_pandas; spare_pandas(); "


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["profiler.recorder", "detector.watch"])
def test_what_lives_long_is_spared_pandas(module: str) -> None:
    code = f"import {module}, pyarrow as pa; pa.array(['x']); print('pandas' in sys.modules)"
    assert run(LOOK + code) == "False"


def test_who_asks_for_pandas_afterwards_has_it() -> None:
    code = "import pyarrow as pa; print(pa.table({'x': [1]}).to_pandas().x.tolist())"
    assert run(LOOK + code) == "[1]"


def test_where_pandas_is_imported_nothing_changes() -> None:
    code = "import pandas, pyarrow as pa; " + LOOK
    assert run(code + "print(pa.array(pandas.Series([1, None])).null_count)") == "1"
