"""Fits, saves and loads the anomaly model beside a baseline: skops, never pickle.

A model file is data from elsewhere. It is opened only when its digest is the baseline's, and built
only of the types that this module lists; `load_model` refuses any other by name.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ethogram.contracts.baseline import Baseline, ModelReference
from ethogram.contracts.escape import escape
from ethogram.errors import BaselineError

if TYPE_CHECKING:
    from learner.detectors.residual import ResidualDetector

__all__ = ["MIN_WINDOWS", "AnomalyModel", "attach_model", "fit_model", "load_model"]

MIN_WINDOWS = 8
_FORMAT = "ethogram.model/1"
_ESTIMATOR = "learner.detectors.residual.ResidualDetector"
# Each type with what skops may build it by: nothing here can call a function.
_TRUSTED = frozenset(
    {
        (_ESTIMATOR, "ObjectNode"),
        ("builtins.dict", "DictNode"),
        ("builtins.list", "ListNode"),
        ("builtins.str", "JsonNode"),
        ("builtins.str", "TypeNode"),  # the type of a dictionary's keys
        ("numpy.ndarray", "NdArrayNode"),
    }
)
_MAX_BYTES = 64 << 20
_MAX_MEMBERS = 64
_LEARN_AGAIN = "fit it again with `ethogram learn RECORDING -o DIRECTORY`"
# The oldest time that a ZIP archive can hold: equal models have equal bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class AnomalyModel:
    """A fitted estimator, and the names of its features in their order."""

    features: tuple[str, ...]
    estimator: ResidualDetector

    def score(self, frame: pd.DataFrame) -> pd.Series:
        """Return how normal each window of *frame* is: higher is more normal.

        Features that the model does not know are not looked at: what was never seen is the
        allowlist's to find.
        """
        rows = frame.reindex(columns=list(self.features), fill_value=0.0)
        scores = self.estimator.score_samples(rows.to_numpy(np.float64))
        return pd.Series(scores, index=frame.index, name="score")


def fit_model(frame: pd.DataFrame) -> bytes:
    """Return the model of the windows in *frame*, as `feature_frames` makes it, saved by skops.

    `BaselineError` where it has fewer than `MIN_WINDOWS` windows. Equal frames give equal bytes.
    """
    if len(frame) < MIN_WINDOWS or not frame.shape[1]:
        raise BaselineError(
            f"{len(frame)} steady windows are too few for an anomaly model",
            hint=f"record until there are {MIN_WINDOWS}; the allowlist works without a model",
        )
    import skops.io  # noqa: PLC0415  with scikit-learn 1.5 s and 220 MB, for models alone

    from learner.detectors.residual import ResidualDetector  # noqa: PLC0415

    estimator = ResidualDetector().fit(frame.to_numpy(np.float64))
    document = {
        "format": _FORMAT,
        "features": [str(name) for name in frame.columns],
        "estimator": estimator,
    }
    return _stable(skops.io.dumps(document))


def attach_model(
    baseline: Baseline, frame: pd.DataFrame, *, file: str
) -> tuple[Baseline, bytes | None]:
    """Return *baseline* with a reference to the model of *frame*, and the bytes to save as *file*.

    Without a model, and None, where *frame* has too few windows.
    """
    if len(frame) < MIN_WINDOWS or not frame.shape[1]:
        return baseline, None
    import sklearn  # noqa: PLC0415

    data = fit_model(frame)
    digest = hashlib.sha256(data).hexdigest()
    reference = ModelReference(file=file, sha256=digest, sklearn=sklearn.__version__)
    return baseline.model_copy(update={"model": reference}), data


def load_model(data: bytes, reference: ModelReference) -> AnomalyModel:
    """Return the model in *data*; `BaselineError` where it is not the one of *reference*.

    Refused by name: any type but the listed ones.
    """
    source = reference.file
    if hashlib.sha256(data).hexdigest() != reference.sha256:
        raise BaselineError(
            f"`{source}` is not the model that the baseline names: its sha256 differs",
            hint=f"restore the file, or {_LEARN_AGAIN}",
        )
    _check_types(data, source)
    import skops.io  # noqa: PLC0415

    try:
        document = skops.io.loads(data, trusted=[_ESTIMATOR])
        features = tuple(document["features"])
        estimator = document["estimator"]
        is_whole = document["format"] == _FORMAT and len(features) == len(estimator.mean_)
    except Exception as error:
        # skops raises whatever the file makes numpy, zipfile or scikit-learn raise.
        raise _damaged(source, type(error).__name__) from error
    if not is_whole or not all(isinstance(name, str) for name in features):
        raise _damaged(source, "its parts do not fit")
    return AnomalyModel(features, estimator)


def _damaged(source: str, cause: str) -> BaselineError:
    return BaselineError(f"`{source}` is not a model: {cause}", hint=_LEARN_AGAIN)


def _check_types(data: bytes, source: str) -> None:
    """Refuse an archive that is too large, or that names a type which is not trusted."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > _MAX_MEMBERS or size > _MAX_BYTES:
                raise _damaged(source, f"larger than {_MAX_BYTES} bytes")
            schema = json.loads(archive.read("schema.json"))
        found = sorted(set(_types(schema)))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, OSError) as error:
        raise _damaged(source, "no archive of skops") from error
    for name, loader in found:
        if (name, loader) not in _TRUSTED:
            raise BaselineError(
                f"`{source}` holds the type `{escape(name)}` as {escape(loader)}: no model does",
                hint=f"do not load it; {_LEARN_AGAIN}",
            )


def _types(node: Any) -> Iterator[tuple[str, str]]:
    """Yield type and loader of every object in a schema of skops."""
    if isinstance(node, dict):
        if "__class__" in node or "__loader__" in node:
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            yield name, str(node.get("__loader__"))
        for value in node.values():
            yield from _types(value)
    elif isinstance(node, list):
        for value in node:
            yield from _types(value)


def _stable(data: bytes) -> bytes:
    """Return the archive *data* without what differs between runs: addresses and times."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        arrays = {name: archive.read(name) for name in archive.namelist()}
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for old, new in files.items():
            archive.writestr(zipfile.ZipInfo(new, _ZIP_TIME), arrays[old])
        archive.writestr(zipfile.ZipInfo("schema.json", _ZIP_TIME), json.dumps(schema))
    return whole.getvalue()


def _renumber(node: Any, numbers: dict[int, int], files: dict[str, str]) -> None:
    """Replace identities and names of files in *node* by numbers in the order of the document."""
    if isinstance(node, dict):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if "file" in node and isinstance(node["file"], str):
            node["file"] = files.setdefault(node["file"], f"{len(files)}.npy")
        for value in node.values():
            _renumber(value, numbers, files)
    elif isinstance(node, list):
        for value in node:
            _renumber(value, numbers, files)
