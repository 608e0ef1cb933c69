"""What `export` writes: policy files and the `index.json` that says what each is for.

Exporters return artifacts and touch no file; everything that reads or writes the directory is
here. `plan` compares with what stands, `write_plan` acts on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from ethogram.contracts.artifacts import Artifact, Reason, artifact_path
from ethogram.contracts.durable import replace_file
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import ExportError, UsageError

__all__ = [
    "INDEX_NAME",
    "Artifact",
    "Change",
    "IndexEntry",
    "Plan",
    "Reason",
    "artifact_path",
    "plan",
    "read_index",
    "write_plan",
]

INDEX_NAME = "index.json"
_INDEX_LIMIT_BYTES = 64 * 1024 * 1024
_MODE = 0o644

State = Literal["new", "same", "changed"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and "\0" not in path and path[0] != "/" and ".." not in parts


class IndexEntry(BaseModel):
    """One file of an export; *baseline_sha256* is the digest of the baseline's file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str
    target: str
    workload_key: str
    sha256: Digest
    baseline_sha256: Digest
    installs_as: str | None = None

    @field_validator("path", "installs_as")
    @classmethod
    def _stays_inside(cls, path: str | None) -> str | None:
        if path is not None and not _is_inside(path):
            raise ValueError(f"leads out of the directory: {path!r}")
        return path


_INDEX = TypeAdapter(list[IndexEntry])


@dataclass(frozen=True, slots=True)
class Change:
    """An artifact beside what stands in its place."""

    artifact: Artifact
    entry: IndexEntry
    state: State


@dataclass(frozen=True, slots=True)
class Plan:
    """What an export into *directory* does; *index* is the whole index afterwards.

    Entries of files that this export does not produce stay in the index as they are.
    """

    directory: Path
    changes: tuple[Change, ...]
    index: tuple[IndexEntry, ...]
    index_state: State

    def of(self, state: State) -> list[str]:
        """Return the paths of the artifacts in *state*."""
        return [change.artifact.path for change in self.changes if change.state == state]


def plan(directory: Path, artifacts: Iterable[tuple[Artifact, str]]) -> Plan:
    """Return what writing *artifacts* into *directory* would change; nothing is written.

    Each artifact comes with the digest of the baseline that it was made from.
    """
    changes = tuple(
        _change(directory, artifact, baseline_sha256)
        for artifact, baseline_sha256 in sorted(artifacts, key=lambda pair: pair[0].path)
    )
    _refuse_collisions([change.artifact for change in changes])
    entries = {entry.path: entry for entry in read_index(directory)}
    before = dict(entries)
    entries |= {change.entry.path: change.entry for change in changes}
    state: State = "same" if entries == before and before else "changed" if before else "new"
    return Plan(directory, changes, tuple(entries[path] for path in sorted(entries)), state)


def write_plan(planned: Plan, *, force: bool = False) -> list[str]:
    """Write what is new or changed, then the index; return the paths written.

    Without *force* a file that differs is not replaced: `UsageError`, and nothing is written.
    """
    changed = planned.of("changed")
    if changed and not force:
        others = len(changed) - 1
        what = f" and {others} more exist and differ" if others else " exists and differs"
        raise UsageError(
            f"`{planned.directory / changed[0]}`{what}",
            hint="pass `--force` to replace it, or `--check` to compare only",
        )
    written = [change for change in planned.changes if change.state != "same"]
    for change in written:
        _write(planned.directory, change.artifact.path, change.artifact.content)
    if planned.index_state != "same":
        _write(planned.directory, INDEX_NAME, _dump_index(planned.index))
    return [change.artifact.path for change in written]


def read_index(directory: Path) -> list[IndexEntry]:
    """Return the index of *directory*, empty where there is none; `UsageError` if it is foreign."""
    path = directory / INDEX_NAME
    try:
        with open_plain(path) as file:
            content = file.read(_INDEX_LIMIT_BYTES + 1)
        if len(content) > _INDEX_LIMIT_BYTES:
            raise UsageError(f"`{path}` is no index of an export: larger than 64 MiB")
        return _INDEX.validate_json(content)
    except FileNotFoundError:
        return []
    except (ValidationError, NotADirectoryError) as error:
        raise UsageError(
            f"`{path}` is not the index of an export",
            hint="choose another directory: what stands there was not written by `export`",
        ) from error
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}") from error


def _change(directory: Path, artifact: Artifact, baseline_sha256: str) -> Change:
    if not _is_inside(artifact.path):
        raise ExportError(f"an exporter names a file outside of its directory: {artifact.path!r}")
    entry = IndexEntry(
        path=artifact.path,
        target=artifact.target,
        workload_key=artifact.workload_key,
        sha256=hashlib.sha256(artifact.content).hexdigest(),
        baseline_sha256=baseline_sha256,
        installs_as=artifact.installs_as,
    )
    path = directory / artifact.path
    try:
        state: State = "same" if path.read_bytes() == artifact.content else "changed"
    except (FileNotFoundError, NotADirectoryError):
        state = "new"
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}") from error
    return Change(artifact, entry, state)


def _refuse_collisions(artifacts: Sequence[Artifact]) -> None:
    for first, second in pairwise(artifacts):
        if first.path == second.path:
            raise ExportError(
                f"two baselines export to `{first.path}`: `{first.workload_key}` and"
                f" `{second.workload_key}`",
                hint="export them into two directories, or learn them as one baseline",
            )


def _dump_index(entries: Sequence[IndexEntry]) -> bytes:
    document = [entry.model_dump(exclude_none=True) for entry in entries]
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _write(directory: Path, relative: str, content: bytes) -> None:
    path = directory / relative
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link that somebody put into the directory does not carry the file elsewhere.
        if not path.parent.resolve().is_relative_to(directory.resolve()):
            raise UsageError(f"`{path.parent}` is a link that leads out of `{directory}`")
        replace_file(path, content, mode=_MODE, sync=False)
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be written: {error.strerror}",
            hint="check the directory's permissions and the free space",
        ) from error
