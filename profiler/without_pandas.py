"""Keeps pandas out of processes that live long and never use it: it weighs as much as the rest.

pyarrow imports pandas, where it is installed, the first time it makes an array of Python objects,
only to tell that they are not pandas' own. It looks once and remembers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["spare_pandas"]


class _NoPandas:
    """A finder that says there is no pandas."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def spare_pandas() -> None:
    """Have pyarrow look for pandas now, and find none; no effect where pandas is imported.

    Whoever imports pandas afterwards has it, and `to_pandas` works; but pyarrow makes arrays of
    Series as of any sequence. So this is for the recorder and the watch alone.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa  # noqa: PLC0415  profiler/__init__ has seen to how

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
