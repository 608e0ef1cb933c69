"""Which process did what would have been denied, and whose child it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.escape import escape
from exporters.replay.observations import Observations, Sight

__all__ = ["Example", "Process", "examples"]

_COLUMNS = ["exec_id", "parent_exec_id", "instance", "phase", "exe", "ns_tgid", "start", "end"]
_FOREVER = (1 << 63) - 1
# A chain of parents that is longer than this is no chain of parents.
_DEEPEST = 64
# Sessions and the runtime are other trees than the workload's own.
_APART = ("runtime", "exec")


@dataclass(frozen=True, slots=True)
class Process:
    """One process: *pid* is that in its own namespace, *argv* as far as it was recorded."""

    exec_id: str
    exe: str
    argv: tuple[str, ...] = ()
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """The first time: *tree* is the process and its parents, up to the container's root.

    *candidates* is how many processes it may have been: calls are counted by instance, so the tree
    is that of one of them. 0 where the recording has none, and *tree* is empty then.
    """

    time_ns: int
    instance: str
    phase: str
    candidates: int
    tree: tuple[Process, ...] = ()


def examples(seen: Observations, sights: Collection[Sight]) -> Mapping[Sight, Example]:
    """Return what is known of each of *sights*; `processes` is read twice, and not kept whole."""
    if not sights:
        return {}
    known = _Lives(seen, {sight.instance for sight in sights})
    times = _windows(seen)
    found = {sight: known.who(sight, times) for sight in sights}
    chains = {sight: known.chain(rows[0]) if rows else [] for sight, rows in found.items()}
    argv = _arguments(seen, {row["exec_id"] for chain in chains.values() for row in chain})
    paths = _paths(seen, {row["exe"] for chain in chains.values() for row in chain})
    return {
        sight: Example(
            time_ns=times.get(sight.window, (0, 0))[0],
            instance=str(seen.instances.get(sight.instance, {}).get("runtime_id", "")),
            phase=sight.phase,
            candidates=len(found[sight]),
            tree=tuple(
                Process(
                    exec_id=row["exec_id"],
                    exe=paths.get(row["exe"], ""),
                    argv=argv.get(row["exec_id"], ()),
                    pid=row["ns_tgid"],
                )
                for row in chain
            ),
        )
        for sight, chain in chains.items()
    }


class _Lives:
    """The processes of some instances, without what they were called with."""

    def __init__(self, seen: Observations, instances: Collection[int]) -> None:
        wanted = pa.array(sorted(instances), pa.uint32())
        parts = [
            pa.Table.from_batches([batch.select(_COLUMNS)]).filter(
                pc.is_in(batch.column("instance"), value_set=wanted)
            )
            for batch in seen.recording.batches("processes")
        ]
        self._table = pa.concat_tables(parts) if parts else None
        if self._table is not None:
            self._start = self._table.column("start").cast(pa.int64())
            self._end = pc.fill_null(self._table.column("end").cast(pa.int64()), _FOREVER)
            self._phase = self._table.column("phase").cast(pa.string())

    def who(self, sight: Sight, times: Mapping[int, tuple[int, int]]) -> list[dict[str, Any]]:
        """Return the processes that it may have been, the one that lived longest first.

        Of many only that one is whole: the others are there to be counted.
        """
        if self._table is None:
            return []
        if sight.exec_id is not None:
            return self._rows(pc.equal(self._table.column("exec_id"), sight.exec_id))
        begin, end = times.get(sight.window, (0, _FOREVER))
        mask = pc.and_(
            pc.equal(self._table.column("instance"), sight.instance),
            pc.and_(pc.less_equal(self._start, end), pc.greater_equal(self._end, begin)),
        )
        if sight.phase in _APART:
            mask = pc.and_(mask, pc.equal(self._phase, sight.phase))
        else:
            mask = pc.and_(mask, pc.invert(pc.is_in(self._phase, value_set=pa.array(_APART))))
        if sight.exe is not None:
            mask = pc.and_(mask, pc.equal(self._table.column("exe"), sight.exe))
        rows = self._rows(mask)
        return sorted(rows, key=lambda row: (row["start"], row["exec_id"]))

    def chain(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return *row* and its parents, as long as they are of the same container."""
        assert self._table is not None
        found = [row]
        while len(found) < _DEEPEST and (parent := found[-1]["parent_exec_id"]):
            rows = self._rows(pc.equal(self._table.column("exec_id"), parent))
            if not rows or rows[0]["instance"] != row["instance"] or rows[0] in found:
                break
            found.append(rows[0])
        return found

    def _rows(self, mask: Any) -> list[dict[str, Any]]:
        assert self._table is not None
        rows: list[dict[str, Any]] = self._table.filter(mask).to_pylist()
        return rows


def _windows(seen: Observations) -> dict[int, tuple[int, int]]:
    table = seen.recording.table("windows")
    columns: Sequence[list[int]] = [
        table.column("window").to_pylist(),
        *(table.column(name).cast(pa.int64()).to_pylist() for name in ("start", "end")),
    ]
    return {window: (start, end) for window, start, end in zip(*columns, strict=True)}


def _arguments(seen: Observations, exec_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    wanted = pa.array(sorted(exec_ids), pa.string())
    return {
        row["exec_id"]: tuple(escape(word) for word in row["argv"] or ())
        for batch in seen.recording.batches("processes")
        for row in _of(batch, "exec_id", wanted, ["exec_id", "argv"])
    }


def _paths(seen: Observations, exes: Collection[int]) -> dict[int, str]:
    wanted = pa.array(sorted(exes), pa.uint32())
    return {
        row["exe"]: escape(row["path"])
        for batch in seen.recording.batches("executables")
        for row in _of(batch, "exe", wanted, ["exe", "path"])
    }


def _of(
    batch: pa.RecordBatch, key: str, wanted: pa.Array, columns: list[str]
) -> Iterator[dict[str, Any]]:
    yield from (
        batch.select(columns).filter(pc.is_in(batch.column(key), value_set=wanted)).to_pylist()
    )
