"""The example of docs/streaming.md runs as it stands there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "streaming.md"


@contextmanager
def busy() -> Iterator[None]:
    """Keep a process of the host at work: on an idle machine the recorder would be alone."""
    with subprocess.Popen(
        ["sh", "-c", "while :; do cat /etc/hostname; done"], stdout=subprocess.DEVNULL
    ) as host:
        try:
            yield
        finally:
            host.kill()


def test_the_example_counts_the_rows_of_each_table() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    with busy():
        done = subprocess.run(
            [sys.executable, "-P", "-c", path + example],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    windows, _, rest = done.stdout.partition(" ")
    tables = ast.literal_eval(rest[: rest.index("}") + 1])
    assert int(windows) >= 4
    assert tables["windows"] == int(windows)
    assert tables["syscalls"] > tables["workloads"] > 0
    assert {"processes", "instances", "coverage", "ngrams", "files"} <= tables.keys()
