"""Files of an earlier export that today's no longer writes: found by the index, removed if asked.

Nothing is removed but what the index says `export` wrote, and whose bytes are still those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ethogram.contracts.exports import IndexEntry, Plan, read_index
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import UsageError

__all__ = ["Stale", "pruned", "remove_stale", "stale_files", "unit_of"]

Why = Literal["gone", "replaced", "unmade"]
Bytes = Literal["same", "changed", "absent"]


@dataclass(frozen=True, slots=True)
class Stale:
    """A file of the index that an export does not write.

    *why*: `gone`, no baseline is of its workload; `replaced`, its target now writes others for
    that workload; `unmade`, the target made nothing for it this time. *content* is what became of
    the bytes that were written.
    """

    entry: IndexEntry
    why: Why
    content: Bytes

    @property
    def is_removable(self) -> bool:
        """Whether `--prune` takes it away: we wrote it, and nobody has touched it since.

        One that its target made nothing for stays: whoever could not be exported today is not
        to lose the policy of yesterday.
        """
        return self.why != "unmade" and self.content != "changed"


def unit_of(path: str, target: str) -> str:
    """Return the part of *path* that names the workload and its container."""
    return path.rpartition(f".{target}.")[0]


def stale_files(
    planned: Plan, *, targets: Collection[str], units: Collection[str], is_all: bool
) -> tuple[Stale, ...]:
    """Return what the index of *planned* has of *targets* and *planned* does not write.

    *units* are the workloads that were exported. Unless they are all that there are, nothing is
    said about others.
    """
    written = {change.artifact.path for change in planned.changes}
    made = {
        (unit_of(change.artifact.path, change.artifact.target), _kind(change.artifact.target))
        for change in planned.changes
    }
    return tuple(
        Stale(entry, _why(entry, units, made), _content(planned.directory, entry))
        for entry in read_index(planned.directory)
        if entry.path not in written
        and _kind(entry.target) in targets
        and (is_all or unit_of(entry.path, entry.target) in units)
    )


def pruned(planned: Plan, stale: Sequence[Stale]) -> Plan:
    """Return *planned* with an index without those of *stale* that are removable."""
    going = {one.entry.path for one in stale if one.is_removable}
    index = tuple(entry for entry in planned.index if entry.path not in going)
    return replace(planned, index=index, index_state="changed") if going else planned


def remove_stale(directory: Path, stale: Sequence[Stale]) -> Iterator[str]:
    """Remove those of *stale* that are removable; yield the path of each."""
    for one in stale:
        # Once more: what is removed is looked at when it is removed.
        if not one.is_removable or _content(directory, one.entry) != "same":
            continue
        path = directory / one.entry.path
        try:
            path.unlink()
        except OSError as error:
            raise UsageError(f"`{path}` cannot be removed: {error.strerror}") from error
        _remove_empty(path.parent, directory)
        yield one.entry.path


def _why(entry: IndexEntry, units: Collection[str], made: Collection[tuple[str, str]]) -> Why:
    unit = unit_of(entry.path, entry.target)
    folder, _, container = unit.rpartition("/")
    is_here = unit in units or (
        container == "pod" and any(other.rpartition("/")[0] == folder for other in units)
    )
    if not is_here:
        return "gone"
    return "replaced" if (unit, _kind(entry.target)) in made else "unmade"


def _kind(target: str) -> str:
    """Return the exporter's name: `seccomp.x86_64.provenance` is of `seccomp`."""
    return target.partition(".")[0]


def _content(directory: Path, entry: IndexEntry) -> Bytes:
    path = directory / entry.path
    try:
        if path.is_symlink() or not path.parent.resolve().is_relative_to(directory.resolve()):
            return "changed"
        with open_plain(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError:
        return "changed"
    return "same" if digest == entry.sha256 else "changed"


def _remove_empty(folder: Path, directory: Path) -> None:
    """Remove *folder* and those above it, up to *directory*, as far as they are empty."""
    while folder != directory:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
