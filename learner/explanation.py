"""Why a window is strange: what each feature adds to its distance, and features in words.

Importing this module costs no scikit-learn; a model that was loaded has it loaded already.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ethogram.contracts.syscall_names import name_of
from learner.anomaly import AnomalyModel

__all__ = ["contributions", "feature_text", "sequence"]

_NONE_YET, _OTHER = 65535, 65534


def contributions(model: AnomalyModel, frame: pd.DataFrame) -> pd.DataFrame:
    """Return what each feature of *model* adds to the strangeness of each window of *frame*.

    A row sums up to minus the window's score. The largest parts are what makes it strange; a
    part below zero belongs to a feature that goes along with the others as it always did.
    """
    estimator = model.estimator
    rows = frame.reindex(columns=list(model.features), fill_value=0.0).to_numpy(np.float64)
    return pd.DataFrame(estimator.contributions(rows), frame.index, list(model.features))


def sequence(arch: str, gram: bytes) -> tuple[str, ...]:
    """Return the names of the calls in *gram*, as table `ngrams` holds it, oldest first.

    `-` stands for no call yet, `other` for a call whose number does not fit, and a number for a
    call that *arch* does not name.
    """
    numbers = np.frombuffer(gram, "<u2").tolist()
    special = {_NONE_YET: "-", _OTHER: "other"}
    return tuple(special.get(n) or name_of(arch, n) or str(n) for n in numbers)


def feature_text(feature: str) -> str:
    """Return a column of `feature_frames` in words: the call, or the sequence of calls."""
    kind, arch, rest = feature.split("/", 2)
    return rest if kind == "call" else " ".join(sequence(arch, bytes.fromhex(rest)))
