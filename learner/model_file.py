"""The bytes of a model: skops, never pickle, of types that are listed here and no others.

A model file is data from elsewhere. Beside what skops writes it holds the sample that the model
was fitted to, so that it can be fitted again where scikit-learn has another version.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from ethogram.contracts.escape import escape
from ethogram.errors import BaselineError

__all__ = ["ESTIMATORS", "LEARN_AGAIN", "damaged", "dump", "load", "sample_in"]

# What an estimator in a model may be; those of the default ensembles, and no other.
ESTIMATORS = (
    "learner.detectors.gram_cover.GramCover",
    "learner.detectors.gram_model.GramModel",
    "learner.detectors.gram_neighbours.GramNeighbours",
    "learner.detectors.gram_novelty.GramNovelty",
    "learner.detectors.neighbours.Neighbours",
    "learner.detectors.residual.ResidualDetector",
    "learner.detectors.residual_peak.ResidualPeak",
    "learner.detectors.unseen_pair.UnseenPair",
)
# Each type with what skops may build it by: nothing here can call a function.
_TRUSTED = frozenset(
    {
        *((name, "ObjectNode") for name in ESTIMATORS),
        ("builtins.dict", "DictNode"),
        ("builtins.list", "ListNode"),
        ("builtins.str", "JsonNode"),
        ("builtins.str", "TypeNode"),  # the type of a dictionary's keys
        ("numpy.ndarray", "NdArrayNode"),
    }
)
_MAX_BYTES = 256 << 20
_MAX_MEMBERS = 256
_SAMPLE = "sample.parquet"
LEARN_AGAIN = "fit it again with `ethogram learn RECORDING -o DIRECTORY`"
# The oldest time that a ZIP archive can hold: equal models have equal bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def dump(document: dict[str, Any], sample: bytes) -> bytes:
    """Return *document* as skops saves it, and *sample*; equal ones give equal bytes."""
    import skops.io  # noqa: PLC0415  with scikit-learn 1.5 s and 220 MB, for models alone

    return _stable(skops.io.dumps(document), sample)


def load(data: bytes, *, source: str) -> Any:
    """Return the document in *data*; `BaselineError` where it holds a type that is not listed."""
    _check_types(data, source)
    import skops.io  # noqa: PLC0415

    try:
        return skops.io.loads(data, trusted=list(ESTIMATORS))
    except Exception as error:
        # skops raises whatever the file makes numpy, zipfile or scikit-learn raise.
        raise damaged(source, type(error).__name__) from error


def sample_in(data: bytes, *, source: str) -> bytes:
    """Return the sample in *data*, as Parquet; nothing else of it is looked at."""
    with _opened(data, source) as archive:
        if _SAMPLE not in archive.namelist():
            raise damaged(source, "it holds no sample")
        return archive.read(_SAMPLE)


def damaged(source: str, cause: str) -> BaselineError:
    """Return the error for a file that is no model."""
    return BaselineError(f"`{source}` is not a model: {cause}", hint=LEARN_AGAIN)


def _opened(data: bytes, source: str) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise damaged(source, "no archive of skops") from error
    members = archive.infolist()
    size = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS or size > _MAX_BYTES:
        raise damaged(source, f"larger than {_MAX_BYTES} bytes")
    return archive


def _check_types(data: bytes, source: str) -> None:
    """Refuse an archive that is too large, or that names a type which is not trusted."""
    try:
        with _opened(data, source) as archive:
            schema = json.loads(archive.read("schema.json"))
        found = sorted(set(_types(schema)))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, OSError) as error:
        raise damaged(source, "no archive of skops") from error
    for name, loader in found:
        if (name, loader) not in _TRUSTED:
            raise BaselineError(
                f"`{source}` holds the type `{escape(name)}` as {escape(loader)}: no model does",
                hint=f"do not load it; {LEARN_AGAIN}",
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


def _stable(data: bytes, sample: bytes) -> bytes:
    """Return the archive *data* without what differs between runs: addresses and times."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        arrays = {name: archive.read(name) for name in archive.namelist()}
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in files.items():
            archive.writestr(_member(new), arrays[old])
        archive.writestr(_member("schema.json"), json.dumps(schema))
        archive.writestr(_member(_SAMPLE), sample)
    return whole.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _ZIP_TIME)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


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
