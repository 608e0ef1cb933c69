"""Removes workloads from a recording: their rows from every file, and their names.

New files are written beside the old ones, then the manifest lists the new ones, then the old ones
are deleted: a reader sees the recording before or after, and what a kill leaves is void.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.journal_format import PARQUET_SUFFIX, part_name, part_of
from ethogram.contracts.keys import WorkloadKey, parse_workload_key, workload_key_of
from ethogram.contracts.manifest import DataFile, Forgotten, Manifest, write_manifest
from ethogram.contracts.parquet_rows import parquet_metadata
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from ethogram.errors import CaptureError, RecordingError, UsageError
from profiler.compaction import compact, write_parquet
from profiler.directory import delete_void, holds_replaced
from profiler.lock import lock_directory

__all__ = ["Removal", "forget", "would_forget"]

Wanted = Callable[[WorkloadKey], bool]


@dataclass(frozen=True, slots=True)
class Removal:
    """What is removed from one recording: *rows* by table, of *workloads*, which are keys.

    *void* are files that no reader reads, which a kill left.
    """

    workloads: tuple[str, ...]
    rows: Mapping[str, int]
    void: int = 0


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Whose rows go, as the numbers that one recording has for them."""

    keys: tuple[WorkloadKey, ...]
    workloads: pa.Array
    instances: pa.Array
    runtime_ids: tuple[str, ...]
    executables: pa.Array
    only: tuple[str | None] | None = None  # the namespace whose addresses may have names


def would_forget(directory: Path, wanted: Wanted) -> Removal:
    """Return what `forget` would remove from the recording *directory*; nothing is changed."""
    recording = Recording.open(directory)
    chosen = _chosen(recording, wanted)
    rows: Counter[str] = Counter()
    for name in TABLES:
        for batch in recording.batches(name):
            rows[name] += pc.sum(_is_gone(name, batch, chosen)).as_py() or 0
    return _removal(chosen, rows)


def forget(
    directory: Path, wanted: Wanted, *, now: datetime, only: tuple[str | None] | None = None
) -> Removal:
    """Remove the workloads that *wanted* takes from the recording *directory*.

    With *only*, a namespace, the addresses of all others go, too, recorded or not, and executables
    that none of it has to do with. What a killed recorder left is compacted first. `CaptureError`
    while it is written, or where the disk refuses: then the recording is as it was.
    """
    _refuse_pieces(directory)
    compact(directory)
    lock = lock_directory(directory)
    try:
        # Another may have had its turn since: what is listed now is what stays.
        recording = Recording.open(directory)
        void = delete_void(directory, {file.path for file in recording.manifest.files})
        _refuse_newer(recording)
        chosen = _chosen(recording, wanted, only)
        if not chosen.keys and only is None:
            return _removal(chosen, Counter(), void)
        files, rows, losses = _rewritten(recording, directory, chosen)
        manifest = _without(recording.manifest, chosen, rows=rows.total(), now=now)
        left = max(0, manifest.losses - losses)
        write_manifest(directory, manifest.model_copy(update={"files": files, "losses": left}))
        delete_void(directory, {file.path for file in files})
    except OSError as error:
        raise CaptureError(
            f"`{directory}` cannot be rewritten: {os.strerror(error.errno or 0)}",
            hint="it needs room for what remains beside what is there; run it again",
        ) from error
    finally:
        os.close(lock)
    return _removal(chosen, rows, void)


def _removal(chosen: _Chosen, rows: Counter[str], void: int = 0) -> Removal:
    found = {name: rows[name] for name in TABLES if rows[name]}
    return Removal(tuple(sorted(map(str, chosen.keys))), MappingProxyType(found), void)


def _refuse_pieces(directory: Path) -> None:
    """Refuse what is not all there is: the rest would keep what is to be forgotten."""
    if holds_replaced(directory):
        raise UsageError(
            f"`{directory}` holds another recording, in `replaced`, which `--force` was to replace",
            hint="delete it, or forget there first",
        )
    sent = Recording.open(directory).manifest.sent
    if sent is not None and sent.files:
        raise UsageError(
            f"a part of `{directory}` is at `{sent.url}` already",
            hint="`ethogram send` the rest, copy the recording here, forget there, and send it",
        )


def _refuse_newer(recording: Recording) -> None:
    """Refuse tables and columns of a later version: they may tell of a workload, too."""
    for file in recording.manifest.files:
        what = f"`{recording.path}` was made by a newer ethogram: it has "
        if file.table not in TABLES:
            raise RecordingError(f"{what}a table `{file.table}`", hint="upgrade ethogram")
        known = {column.name for column in TABLES[file.table].columns}
        assert isinstance(recording.path, Path)
        columns = parquet_metadata(recording.path / file.path).schema.to_arrow_schema().names
        if added := sorted(set(columns) - known):
            raise RecordingError(
                f"{what}a column `{file.table}.{added[0]}`", hint="upgrade ethogram"
            )


def _chosen(recording: Recording, wanted: Wanted, only: tuple[str | None] | None = None) -> _Chosen:
    numbers, keys = [], []
    for row in recording.table("workloads").to_pylist():
        key = parse_workload_key(workload_key_of(row | {"labels": None, "selector": None}))
        if wanted(key):
            numbers.append(row["workload"])
            keys.append(key)
    workloads = pa.array(numbers, pa.uint32())
    instances = recording.table("instances")
    theirs = instances.filter(pc.is_in(instances["workload"], value_set=workloads))
    chosen = _Chosen(
        keys=tuple(keys),
        workloads=workloads,
        instances=theirs["instance"].combine_chunks().cast(pa.uint32()),
        runtime_ids=tuple(theirs["runtime_id"].to_pylist()),
        executables=pa.array([], pa.uint32()),
        only=only,
    )
    gone = _only_theirs(recording, chosen) if numbers or only is not None else []
    return replace(chosen, executables=pa.array(gone, pa.uint32()))


def _only_theirs(recording: Recording, chosen: _Chosen) -> list[int]:
    """Return the executables that nobody else has to do with; 0 is none.

    Where a part is made that is also those of which no row says who had to do with them.
    """
    listed = recording.table("executables")["exe"].to_pylist() if chosen.only is not None else ()
    theirs: set[int] = set(listed)
    others: set[int] = {0}
    wanted = frozenset(("workload", "instance", "exe"))
    for name, table in TABLES.items():
        if name == "executables" or all(column.name != "exe" for column in table.columns):
            continue
        for number in range(len(recording.parts(name))):
            recording.verify_part(name, number)
            for batch in recording.part_batches(name, number, columns=wanted):
                gone = _is_gone(name, batch, chosen)
                exe = batch.column("exe")
                theirs.update(pc.unique(exe.filter(gone)).to_pylist())
                others.update(pc.unique(exe.filter(pc.invert(gone))).to_pylist())
    return sorted(theirs - others)


def _is_gone(name: str, batch: pa.RecordBatch, chosen: _Chosen) -> pa.Array:
    """Return for each row of table *name* whether it goes."""
    gone = pa.array([False] * batch.num_rows, pa.bool_())
    by_column = {
        "workload": chosen.workloads,
        "instance": chosen.instances,
        "exe": chosen.executables if name == "executables" else None,
    }
    for column, numbers in by_column.items():
        if numbers is not None and column in batch.schema.names:
            gone = pc.or_(gone, pc.is_in(batch.column(column), value_set=numbers))
    if name == "addresses":
        owners = {(key.namespace, key.kind, key.name) for key in chosen.keys}
        columns = (batch.column(one) for one in ("namespace", "owner_kind", "owner_name"))
        named = zip(*(column.to_pylist() for column in columns), strict=True)
        gone = pc.or_(gone, pa.array([one in owners for one in named], pa.bool_()))
        if chosen.only is not None:
            kept = {None, *chosen.only}
            namespaces = batch.column("namespace").to_pylist()
            gone = pc.or_(gone, pa.array([one not in kept for one in namespaces], pa.bool_()))
    return gone


def _rewritten(
    recording: Recording, directory: Path, chosen: _Chosen
) -> tuple[tuple[DataFile, ...], Counter[str], int]:
    """Write the files that are to change anew; return all that remain, what went, and its losses.

    What has no row left is no file any more. Every digest has been compared before.
    """
    files: list[DataFile] = []
    rows: Counter[str] = Counter()
    losses = 0
    free = _free_numbers(recording.manifest)
    for name in TABLES:
        for number, part in enumerate(recording.parts(name)):
            listed = part.listed
            assert listed is not None, "it was compacted"
            recording.verify_part(name, number)
            gone = 0
            for batch in recording.part_batches(name, number):
                is_gone = _is_gone(name, batch, chosen)
                gone += pc.sum(is_gone).as_py() or 0
                if name == "losses":
                    losses += pc.sum(batch.column("count").filter(is_gone)).as_py() or 0
            rows[name] += gone
            if not gone:
                files.append(listed)
            elif gone < listed.rows:
                target = directory / part_name(name, next(free), PARQUET_SUFFIX)
                written = write_parquet(
                    TABLES[name], _kept(recording, name, number, chosen), target
                )
                span = {"first_window": listed.first_window, "last_window": listed.last_window}
                files.append(written.model_copy(update=span))
    return tuple(files), rows, losses


def _free_numbers(manifest: Manifest) -> Iterator[int]:
    """Yield numbers of parts that no file has."""
    named = (part_of(file.path) for file in manifest.files)
    first = 1 + max((part[1] for part in named if part is not None), default=-1)
    return iter(range(first, 100_000))


def _kept(
    recording: Recording, name: str, number: int, chosen: _Chosen
) -> Iterator[pa.RecordBatch]:
    for batch in recording.part_batches(name, number):
        yield batch.filter(pc.invert(_is_gone(name, batch, chosen)))


def _without(manifest: Manifest, chosen: _Chosen, *, rows: int, now: datetime) -> Manifest:
    """Return *manifest* without what names the workloads, and with how much went."""
    before = manifest.forgotten
    update: dict[str, object] = {
        "forgotten": Forgotten(
            workloads=len(chosen.keys) + (before.workloads if before else 0),
            rows=rows + (before.rows if before else 0),
            last=now,
        )
    }
    if any(key.kind == "Command" for key in chosen.keys):
        update["command"] = None
    if manifest.targets.kind not in {"all", "namespace"}:
        # A target is named as people call it, which need not be what the workload is called.
        update["targets"] = manifest.targets.model_copy(update={"values": ()})
    return manifest.model_copy(update=update)
