"""Policies that are relaxed for a while: `relaxed.json` beside them has their bytes of before.

The state is written before any policy is touched and removed after all are back, so that whatever
stops the command, the bytes are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ethogram.contracts.durable import replace_file
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import UsageError

__all__ = [
    "RELAXED_NAME",
    "RelaxedFile",
    "digest_of",
    "read_relaxed",
    "relaxed_words",
    "write_relaxed",
]

RELAXED_NAME = "relaxed.json"
RELAXED_SCHEMA: Literal["ethogram.relaxed/1"] = "ethogram.relaxed/1"
_LIMIT_BYTES = 256 << 20
_MODE = 0o644

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RelaxedFile(BaseModel):
    """One relaxed policy: *content* is what it was, *relaxed_sha256* of what it is now.

    *path* is relative to the directory of the state. *since* is the time, in UTC, and *reason*
    what somebody gave as one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str
    reason: str
    since: str
    relaxed_sha256: Digest
    content: str

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if not path or path[0] == "/" or "\0" in path or ".." in path.split("/"):
            raise ValueError(f"leads out of the directory: {path!r}")
        return path


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_name: Literal["ethogram.relaxed/1"] = Field(RELAXED_SCHEMA, alias="schema")
    files: tuple[RelaxedFile, ...]


def digest_of(content: bytes) -> str:
    """Return the digest by which files are told apart."""
    return hashlib.sha256(content).hexdigest()


def read_relaxed(directory: Path) -> dict[str, RelaxedFile]:
    """Return what is relaxed in *directory* by its path; `UsageError` for a foreign state."""
    path = directory / RELAXED_NAME
    try:
        with open_plain(path) as file:
            content = file.read(_LIMIT_BYTES + 1)
        if len(content) > _LIMIT_BYTES:
            raise UsageError(f"`{path}` is no state of relaxed policies: larger than 256 MiB")
        return {one.path: one for one in _State.model_validate_json(content).files}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValidationError as error:
        raise UsageError(
            f"`{path}` is not the state of relaxed policies",
            hint="take it from version control, or export the policies again",
        ) from error
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}") from error


def relaxed_words(files: Mapping[str, RelaxedFile]) -> str:
    """Return since when and why, of the one that was relaxed first."""
    first = min(files.values(), key=lambda one: (one.since, one.path))
    return f"relaxed since {first.since}: {first.reason}"


def write_relaxed(directory: Path, files: Iterable[RelaxedFile]) -> None:
    """Write the state of *directory*; without any of *files* there is none."""
    path = directory / RELAXED_NAME
    found = sorted(files, key=lambda one: one.path)
    try:
        if not found:
            path.unlink(missing_ok=True)
            return
        document: Mapping[str, object] = {
            "schema": RELAXED_SCHEMA,
            "files": [one.model_dump() for one in found],
        }
        content = json.dumps(document, indent=2) + "\n"
        replace_file(path, content.encode(), mode=_MODE)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {error.strerror}") from error
