"""Windows of a workload as a frame to look at: frequencies as columns, by names.

It shows what an anomaly model is fitted to, but of the sequences only the most frequent.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ethogram.contracts.syscall_names import name_of
from ethogram.contracts.tables import ENUMS
from learner.explanation import sequence
from learner.grams import GramWindows
from learner.sampling import INDEX
from learner.windows import SteadyWindows

__all__ = ["feature_frame", "feature_text"]

_ARCH_SHIFT = 16
_NUMBER = 0xFFFF


def feature_frame(windows: SteadyWindows, *, grams: int = 128) -> pd.DataFrame:
    """Return *windows* as a frame with a row each, by what `INDEX` names.

    Columns `call/<arch>/<name>` hold calls in a whole window, `gram/<arch>/<hex>` whether one of
    the *grams* most frequent sequences of six calls was seen. Rows and columns are sorted.
    """
    index = pd.MultiIndex.from_frame(windows.index[INDEX])
    calls = pd.DataFrame(windows.counts, index, list(map(_call, windows.calls.tolist())))
    whole = pd.concat([calls, _most_frequent(windows.grams, grams).set_axis(index)], axis="columns")
    shown: pd.DataFrame = whole.loc[:, (whole != 0).any()]
    return shown.sort_index().sort_index(axis="columns")


def feature_text(feature: str) -> str:
    """Return a column of `feature_frame` in words: the call, or the sequence of calls."""
    kind, arch, rest = feature.split("/", 2)
    return rest if kind == "call" else " ".join(sequence(arch, bytes.fromhex(rest)))


def _most_frequent(windows: GramWindows, most: int) -> pd.DataFrame:
    """Return whether each of *windows* has each of the *most* sequences that most of them have."""
    names = [_gram(row) for row in windows.table]
    seen_in = np.bincount(windows.ids, minlength=len(names))
    kept = sorted(range(len(names)), key=lambda number: (-seen_in[number], names[number]))[:most]
    place = np.full(len(names), -1)
    place[kept] = np.arange(len(kept))
    columns = place[windows.ids]
    rows = np.repeat(np.arange(len(windows)), np.diff(windows.starts))
    has = np.zeros((len(windows), len(kept)))
    has[rows[columns >= 0], columns[columns >= 0]] = 1.0
    return pd.DataFrame(has, columns=[names[number] for number in kept])


def _call(call: int) -> str:
    arch, number = ENUMS["arch"][call >> _ARCH_SHIFT], call & _NUMBER
    return f"call/{arch}/{name_of(arch, number) or number}"


def _gram(row: np.ndarray) -> str:
    arch = ENUMS["arch"][int(row[-1]) >> _ARCH_SHIFT]
    return f"gram/{arch}/{(row & _NUMBER).astype('<u2').tobytes().hex()}"
