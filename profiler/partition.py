"""Parts of a recording, one for each namespace, which hold nothing of the others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ethogram.contracts.manifest import TargetChoice, read_manifest, write_manifest
from ethogram.contracts.recording import Recording
from ethogram.errors import EthogramError, UsageError
from profiler.forgetting import forget
from profiler.lock import lock_directory

__all__ = ["NO_NAMESPACE", "Part", "partition"]

NO_NAMESPACE = "_"


@dataclass(frozen=True, slots=True)
class Part:
    """The recording at *path* of *namespace*, `_` for who has none, and how many *workloads*."""

    path: Path
    namespace: str
    workloads: int


def partition(recording: Path, place: Path, *, now: datetime) -> Iterator[Part]:
    """Write `PLACE/NAMESPACE/NAME` for each namespace of *recording*, called NAME, and yield it.

    *recording* stays as it is. `UsageError` where a part is there; `CaptureError` while it is
    written.
    """
    if place.resolve().is_relative_to(recording.resolve()):
        raise UsageError(
            f"`{place}` is within `{recording}`, which is to stay as it is",
            hint="name another place",
        )
    lock = lock_directory(recording)
    try:
        yield from _parts(recording, place, now)
    finally:
        os.close(lock)


def _parts(recording: Path, place: Path, now: datetime) -> Iterator[Part]:
    found = Recording.open(recording).table("workloads")["namespace"].to_pylist()
    name = recording.resolve().name
    namespaces = sorted(set(found), key=lambda one: one or "")
    for namespace in namespaces:
        if namespace is not None and not _is_name(namespace):
            raise UsageError(
                f"`{recording}` has a namespace that is no name of a directory",
                hint="Kubernetes has none like it: who wrote the recording?",
            )
        if (path := place / (namespace or NO_NAMESPACE) / name).exists():
            raise UsageError(f"`{path}` is there already", hint="name another place")
    for namespace in namespaces:
        path = place / (namespace or NO_NAMESPACE) / name
        _write(recording, path, namespace, now)
        yield Part(path, namespace or NO_NAMESPACE, found.count(namespace))


def _write(recording: Path, path: Path, namespace: str | None, now: datetime) -> None:
    """Write the part of *namespace* beside where it will be, and put it there when it is whole."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        shutil.copytree(recording, unfinished)
        forget(unfinished, lambda key: key.namespace != namespace, now=now, only=(namespace,))
        manifest = read_manifest(unfinished)
        values = () if namespace is None else (namespace,)
        # Of a recording of some pods or units alone no part is of a whole namespace.
        if manifest.targets.kind == "namespace" or (values and manifest.targets.kind == "all"):
            targets = TargetChoice(kind="namespace", values=values)
            write_manifest(unfinished, manifest.model_copy(update={"targets": targets}))
        unfinished.rename(path)
    except OSError as error:
        raise EthogramError(
            f"`{path}` cannot be written: {_cause(error)}",
            hint="it needs room for a copy of the recording",
        ) from error
    except EthogramError as error:
        # What is wrong with the copy is wrong with what it is of, which stays.
        error.message = error.message.replace(str(unfinished), str(recording))
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _cause(error: OSError) -> str:
    """Return why *error*; of a tree that was not copied the first reason."""
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        return str(error.args[0][0][2])
    return (error.strerror or str(error)).lower()


def _is_name(namespace: str) -> bool:
    return namespace not in {"", ".", "..", NO_NAMESPACE} and "/" not in namespace
