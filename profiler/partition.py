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
    os.close(lock_directory(recording))
    rows = Recording.open(recording).table("workloads")
    found = rows["namespace"].to_pylist()
    name = recording.resolve().name
    namespaces = sorted(set(found), key=lambda one: one or "")
    for namespace in namespaces:
        if namespace is not None and not _is_name(namespace):
            raise UsageError(f"`{recording}` has a namespace that is no name of a directory")
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
        if namespace is not None:
            targets = TargetChoice(kind="namespace", values=(namespace,))
            manifest = read_manifest(unfinished)
            write_manifest(unfinished, manifest.model_copy(update={"targets": targets}))
        unfinished.rename(path)
    except OSError as error:
        raise EthogramError(
            f"`{path}` cannot be written: {(error.strerror or '').lower()}",
            hint="it needs room for a copy of the recording",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _is_name(namespace: str) -> bool:
    return namespace not in {"", ".", "..", NO_NAMESPACE} and "/" not in namespace
