"""What a recorder loads before it records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


def said(code: str) -> str:
    """Return what a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_lists_become_arrays_without_pandas() -> None:
    code = "import sys, profiler, pyarrow; pyarrow.array(['a']); print('pandas' in sys.modules)"
    assert said(code) == "False\n"


def test_who_asks_for_a_data_frame_gets_one() -> None:
    code = (
        "import profiler, pyarrow\n"
        "print(pyarrow.table({'number': [23]}).to_pandas()['number'].tolist())\n"
        "import pandas\n"
        "print(pyarrow.array(pandas.Series([1, 2], dtype='category')).type)\n"
    )
    assert said(code) == "[23]\ndictionary<values=int64, indices=int8, ordered=0>\n"


def test_pandas_that_is_loaded_before_is_known() -> None:
    code = (
        "import pandas, profiler, pyarrow\n"
        "print(pyarrow.array(pandas.Series([1, 2], dtype='category')).type)\n"
    )
    assert said(code) == "dictionary<values=int64, indices=int8, ordered=0>\n"


def test_who_records_may_read_times_to_the_nanosecond_afterwards() -> None:
    code = (
        "import profiler, pyarrow\n"
        "from ethogram.contracts.arrow import find_pandas\n"
        "pyarrow.array(['a'])\n"
        "find_pandas()\n"
        "print(pyarrow.array([23], pyarrow.timestamp('ns')).to_pylist()[0].nanosecond)\n"
    )
    assert said(code) == "23\n"
