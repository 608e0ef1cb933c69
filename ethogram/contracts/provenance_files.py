"""Finds and reads what stands beside a policy: its provenance, and what the index says of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ethogram.contracts.escape import escape
from ethogram.contracts.exports import INDEX_NAME, read_index
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.provenance import ProvenanceFile, provenance_path
from ethogram.contracts.relaxed import read_relaxed
from ethogram.errors import UsageError

__all__ = ["Standing", "ToldPolicy", "has_provenance", "read_told_policy"]

# As `export` wrote it; relaxed since, or changed by somebody; no index tells.
Standing = Literal["written", "relaxed", "changed", "unknown"]
_LIMIT_BYTES = 256 * 1024 * 1024
# Below the directory of an export lie namespace, workload and file.
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class ToldPolicy:
    """The policy file *path* with what was told of it when it was written, and how it stands."""

    path: Path
    told: ProvenanceFile
    standing: Standing


def has_provenance(policy: Path) -> bool:
    """Return whether the reasons for *policy* stand beside it."""
    return policy.is_file() and _beside(policy).is_file()


def read_told_policy(policy: Path) -> ToldPolicy:
    """Return what is told of *policy*.

    `UsageError` where nothing is, or where what stands beside it is none of ours.
    """
    beside = _beside(policy)
    shown = escape(str(beside))
    try:
        with open_plain(beside) as file:
            content = file.read(_LIMIT_BYTES + 1)
        if len(content) > _LIMIT_BYTES:
            raise UsageError(f"`{shown}` is no provenance of a policy: larger than 256 MiB")
        told = ProvenanceFile.model_validate_json(content)
    except FileNotFoundError as error:
        raise UsageError(
            f"`{escape(str(policy))}` has no reasons beside it: no `{escape(beside.name)}`",
            hint="`ethogram export` writes both: keep them together, or export again",
        ) from error
    except ValidationError as error:
        raise UsageError(
            f"`{shown}` is not the provenance of a policy",
            hint="export again: what stands there was changed, or is another tool's",
        ) from error
    except OSError as error:
        raise UsageError(f"`{shown}` cannot be read: {error.strerror}") from error
    return ToldPolicy(policy, told, _standing(policy))


def _beside(policy: Path) -> Path:
    return policy.with_name(provenance_path(policy.name))


def _standing(policy: Path) -> Standing:
    digest = hashlib.sha256(policy.read_bytes()).hexdigest()
    absolute = policy.absolute()
    for directory in list(absolute.parents)[:_LEVELS]:
        if not (directory / INDEX_NAME).is_file():
            continue
        relative = absolute.relative_to(directory).as_posix()
        entry = next((one for one in read_index(directory) if one.path == relative), None)
        if entry is None:
            return "unknown"
        if entry.sha256 == digest:
            return "written"
        relaxed = read_relaxed(directory).get(relative)
        return "relaxed" if relaxed and relaxed.relaxed_sha256 == digest else "changed"
    return "unknown"
