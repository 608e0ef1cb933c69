"""Codes on the wire: what the kernel side writes as a number and a table calls by name."""

from __future__ import annotations

import numpy as np

from ethogram.contracts.events import ARCHES
from ethogram.contracts.tables import ENUMS
from ethogram.errors import CaptureError

__all__ = ["checked", "foreign"]

_CODES = {
    "arch": len(ARCHES),
    **{name: len(ENUMS[name]) for name in ("action", "direction", "operation", "phase", "stdio")},
}
_ARCH_SHIFT = np.uint64(60)
_LONGEST_NS = np.uint64(1 << 61)  # since boot: 73 years, with room for what is added for UTC


def checked(heads: np.ndarray) -> np.ndarray:
    """Return *heads*, records or keys of a map; `CaptureError` for a code that has no name."""
    if "gram" in (heads.dtype.names or ()) and (heads["gram"] >> _ARCH_SHIFT >= len(ARCHES)).any():
        raise foreign("has a sequence of no architecture")
    if "time_ns" in (heads.dtype.names or ()) and (heads["time_ns"] >= _LONGEST_NS).any():
        raise foreign("is of another time")
    for name in _CODES.keys() & set(heads.dtype.names or ()):
        if len(heads) and int(heads[name].max()) >= _CODES[name]:
            raise foreign(f"has {name} {int(heads[name].max())}")
    return heads


def foreign(what: str) -> CaptureError:
    """Return the error of a record that *what* is said of."""
    return CaptureError(
        f"a record of the kernel side {what}: BPF object and package differ",
        hint="build the objects of this version with `make objects`, or install its wheel",
    )
