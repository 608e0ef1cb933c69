"""What the arguments of a few calls were, as columns of `arguments`."""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import numpy as np

from ethogram.contracts.call_arguments import VETTED
from ethogram.contracts.events import ARCHES
from ethogram.contracts.syscall_names import number_of
from profiler.wire import foreign

__all__ = ["argument_columns"]


def argument_columns(
    keys: np.ndarray, values: np.ndarray, calls: np.ndarray, *, native: int | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return slot and window of each row, and the other columns.

    *keys* and *values* are what the kernel side counted, of the machine's own calls; *native* is
    the code of its table. Of *calls* of other tables the kernel side reads no argument: that they
    were made is told, and no value. `CaptureError` for a key of a call that is none of these.
    """
    indices = _indices()
    if native is None:
        native = ARCHES.index(platform.machine())
    last = indices.shape[1] - 1  # nobody's
    told = indices[native, np.minimum(keys["nr"], last)]
    if (told < 0).any():
        raise foreign(f"has an argument of call {int(keys['nr'][told < 0][0])}")
    places = indices[calls["arch"], np.minimum(calls["nr"], last)]
    odd = (calls["arch"] != native) & (places >= 0)
    whose = np.zeros(len(keys) + int(odd.sum()), [("slot", "<u4"), ("window", "<u4")])
    for name in ("slot", "window"):
        whose[name] = np.concatenate([keys[name], calls[name][odd]])
    return whose, {
        "arch": np.concatenate(
            [np.full(len(keys), native, np.uint8), calls["arch"][odd].astype(np.uint8)]
        ),
        "nr": np.concatenate([keys["nr"], calls["nr"][odd]]),
        "index": np.concatenate([told, places[odd]]).astype(np.uint8),
        "value": [
            None if is_other else value
            for value, is_other in zip(
                keys["value"].tolist(), keys["is_other"].tolist(), strict=True
            )
        ]
        + [None] * int(odd.sum()),
        "calls": np.concatenate([values, calls["calls"][odd]]).astype(np.uint64),
    }


@cache
def _indices() -> np.ndarray:
    """Return which argument is told, by architecture and number; -1: none."""
    numbers = {
        (code, number): argument.index
        for code, arch in enumerate(ARCHES)
        for name, argument in VETTED.items()
        if (number := number_of(arch, name)) is not None
    }
    indices = np.full((len(ARCHES), max(nr for _, nr in numbers) + 2), -1, np.int8)
    for (code, number), index in numbers.items():
        indices[code, number] = index
    return indices
