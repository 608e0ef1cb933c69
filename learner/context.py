"""The small tables of one recording, as lookups that need no table-local number afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.keys import instance_key, workload_key_of
from ethogram.contracts.manifest import Manifest
from learner.peers import Peers

__all__ = ["Context", "Source", "Windows", "context_of", "windows_of"]


class Source(Protocol):
    """Where rows come from: a recording on disk, or the window that is open now.

    Tables have exactly the schema of `ethogram.contracts.tables`; of the rows of a table that one
    column identifies, only the last one of a key.
    """

    @property
    def manifest(self) -> Manifest: ...

    def table(self, name: str) -> pa.Table:
        """Return table *name* whole, empty where it has no rows."""
        ...

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yield table *name* in batches."""
        ...


@dataclass(frozen=True, slots=True)
class Windows:
    """When each window was: sorted numbers with the nanoseconds at which they start and end."""

    numbers: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    began_ns: int
    length_ns: int

    def start_of(self, windows: np.ndarray) -> np.ndarray:
        return self._times(self.starts, windows, 0)

    def end_of(self, windows: np.ndarray) -> np.ndarray:
        return self._times(self.ends, windows, 1)

    def at(self, times_ns: np.ndarray) -> np.ndarray:
        """Return the number of the window in which each time lies, the nearest for others."""
        if not len(self.numbers):
            nominal: np.ndarray = np.maximum(0, (times_ns - self.began_ns) // self.length_ns)
            return nominal
        index = np.searchsorted(self.starts, times_ns, side="right") - 1
        numbers: np.ndarray = self.numbers[np.clip(index, 0, len(self.numbers) - 1)]
        return numbers

    def _times(self, known: np.ndarray, windows: np.ndarray, offset: int) -> np.ndarray:
        """Return the time of each window; one that table `windows` lacks gets its nominal one."""
        numbers = windows.astype(np.int64)
        nominal = self.began_ns + (numbers + offset) * self.length_ns
        if not len(self.numbers):
            return nominal
        index = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        times: np.ndarray = np.where(self.numbers[index] == numbers, known[index], nominal)
        return times


@dataclass(frozen=True)
class Context:
    """What the rows of a recording refer to."""

    recording: Source
    windows: Windows
    executables: pa.Table
    paths: tuple[bytes, ...]
    path_of_exe: Mapping[int, int]
    upper_exes: frozenset[int]
    """Executables that are not the image's: the container wrote them."""
    workload_keys: Mapping[int, str]
    instance_keys: Mapping[int, str]
    workload_rows: Mapping[int, dict[str, Any]]
    instance_rows: Mapping[int, dict[str, Any]]
    peers: Peers

    @cached_property
    def processes(self) -> tuple[pa.Array, pa.Array]:
        """`exec_id` and `exe` of every process."""
        table = self.recording.table("processes").select(["exec_id", "exe"])
        return _column(table, "exec_id"), _column(table, "exe")

    def path_indices(self, exes: pa.Array) -> pa.Array:
        """Return for each number of an executable the index of its path, null where unknown.

        Two executables with one path (a file that was replaced) share an index.
        """
        numbers = exes.to_numpy(zero_copy_only=False)
        size = max(self.path_of_exe, default=0) + 1
        table = np.full(size + 1, -1, np.int64)
        for exe, index in self.path_of_exe.items():
            table[exe] = index
        found = table[np.minimum(numbers, size)]
        return pa.array(found.astype(np.int32), mask=found < 0)

    def are_upper(self, exes: pa.Array) -> pa.Array:
        """Return for each number of an executable whether it is known not to be the image's."""
        return pc.is_in(exes, value_set=pa.array(sorted(self.upper_exes), pa.uint32()))


def context_of(
    recording: Source, *, rows_of: Callable[[pa.Table], list[dict[str, Any]]] = pa.Table.to_pylist
) -> Context:
    """Return the lookups of *recording*; *rows_of* makes mappings of the rows of a small table."""
    executables = recording.table("executables")
    workloads = {row["workload"]: row for row in rows_of(recording.table("workloads"))}
    instances = {row["instance"]: row for row in rows_of(recording.table("instances"))}
    paths: dict[bytes, int] = {}
    path_of_exe = {
        exe: paths.setdefault(path, len(paths))
        for exe, path in zip(
            executables.column("exe").to_pylist(),
            executables.column("path").to_pylist(),
            strict=True,
        )
        if path
    }
    host = recording.manifest.host_id
    return Context(
        recording=recording,
        windows=windows_of(recording),
        executables=executables,
        paths=tuple(paths),
        path_of_exe=path_of_exe,
        upper_exes=_upper_exes(executables),
        workload_keys={number: workload_key_of(row) for number, row in workloads.items()},
        instance_keys={
            number: instance_key(host, row["runtime_id"]) for number, row in instances.items()
        },
        workload_rows=workloads,
        instance_rows=instances,
        peers=Peers(recording.table("addresses"), workloads),
    )


def _upper_exes(executables: pa.Table) -> frozenset[int]:
    upper = executables.filter(pc.fill_null(executables.column("upper"), False))
    return frozenset(upper.column("exe").to_pylist())


def _column(table: pa.Table, name: str) -> pa.Array:
    return (
        pa.concat_arrays(table.column(name).chunks)
        if table.num_rows
        else pa.array([], table.schema.field(name).type)
    )


def windows_of(recording: Source) -> Windows:
    """Return when the windows of *recording* were."""
    table = recording.table("windows").sort_by("window")
    starts = table.column("start").cast(pa.int64()).to_numpy()
    began = recording.manifest.started
    began_ns = int(began.timestamp()) * 10**9 + began.microsecond * 1000
    return Windows(
        numbers=table.column("window").to_numpy().astype(np.int64),
        # A wall clock that was set back must not make the search wrong.
        starts=np.maximum.accumulate(starts) if len(starts) else starts,
        ends=table.column("end").cast(pa.int64()).to_numpy(),
        began_ns=began_ns,
        length_ns=recording.manifest.window_ms * 10**6,
    )
