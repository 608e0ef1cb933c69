"""Asks the indicators about rows of a recording: which must not be learnt, and whose they were.

Rows of files, connections and names are many, and few of them differ in what an indicator looks
at: those tables are judged by `JUDGED` columns alone, each combination once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.protocol import Indicator
from ethogram.indicators.rows import completed, refused_operations
from learner.context import Context
from learner.counting import whole

__all__ = [
    "FOREIGN_ANSWER",
    "JUDGED",
    "Judgement",
    "Suspects",
    "completed_rows",
    "judge",
    "judged_refusals",
]

FOREIGN_ANSWER = "foreign-answer"
JUDGED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "files": (
            "phase", "instance", "exe", "path", "asked", "dev", "access", "errno", "in_image",
        ),
        "network": (
            "phase", "instance", "exe", "direction", "family", "type", "protocol", "local_addr",
            "peer_addr", "local_port", "peer_port", "unix_path", "name", "name_trust",
        ),
        "dns": ("phase", "instance", "exe", "qname", "trusted"),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgement:
    """By row, as bits in the order of the indicators: what condemns it, what taints its process.

    *noted* is what it is learnt in spite of, since other workloads do it for a living; the bit
    after those of the indicators is `FOREIGN_ANSWER`.
    """

    condemned: np.ndarray
    tainting: np.ndarray
    noted: np.ndarray


@dataclass(slots=True)
class Suspects:
    """Who did what taints: processes by name, or executables of an instance in a window."""

    exec_ids: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.exec_ids or self.cells)

    def take(self, other: Suspects) -> None:
        """Add those of *other*."""
        for name, bits in other.exec_ids.items():
            self.exec_ids[name] = self.exec_ids.get(name, 0) | bits
        for cell, bits in other.cells.items():
            self.cells[cell] = self.cells.get(cell, 0) | bits

    def add_rows(self, rows: pa.Table, tainting: np.ndarray) -> None:
        """Add who did those of *rows* that have a bit in *tainting*."""
        chosen = np.flatnonzero(tainting)
        if not len(chosen):
            return
        bits = tainting[chosen].tolist()
        found = Suspects()
        if "exec_id" in rows.column_names:
            names = rows.column("exec_id").take(pa.array(chosen)).to_pylist()
            for name, own in zip(names, bits, strict=True):
                if name is not None:
                    found.exec_ids[name] = found.exec_ids.get(name, 0) | own
        else:
            places = rows.select(["instance", "exe", "window"]).take(pa.array(chosen))
            columns = (column.to_pylist() for column in places.columns)
            for cell, own in zip(zip(*columns, strict=True), bits, strict=True):
                found.cells[cell] = found.cells.get(cell, 0) | own
        self.take(found)


def judge(rules: Iterable[Indicator], name: str, rows: pa.Table, context: Context) -> Judgement:
    """Return what *rules* say of *rows* of table *name*."""
    condemned = np.zeros(rows.num_rows, np.uint64)
    tainting = np.zeros(rows.num_rows, np.uint64)
    rules = tuple(rules)
    foreign = np.uint64(1 << len(rules))
    noted = np.where(_are_foreign(name, rows), foreign, np.uint64(0))
    judging = [(index, rule) for index, rule in enumerate(rules) if rule.metadata.table == name]
    if judging and rows.num_rows:
        seen = rows.select(JUDGED[name]) if name in JUDGED else rows
        seen = completed_rows(seen, context)
        for index, rule in judging:
            bit = np.uint64(1 << index)
            matches = np.where(_array(rule.matches(seen)), bit, np.uint64(0))
            if rule.metadata.gate == "always":
                condemned |= matches
            else:
                noted |= matches
            tainting |= np.where(_array(rule.taints(seen)), bit, np.uint64(0))
    return Judgement(condemned, tainting, noted)


def _are_foreign(name: str, rows: pa.Table) -> np.ndarray:
    """Return which rows rest on an answer of a resolver that the workload is not configured for."""
    if name == "dns":
        return ~_array(whole(rows.column("trusted")))
    if name == "network":
        return _array(pc.fill_null(pc.equal(whole(rows.column("name_trust")), "untrusted"), False))
    return np.zeros(rows.num_rows, bool)


def judged_refusals(rules: Iterable[Indicator], rows: pa.Table, context: Context) -> Suspects:
    """Return whose process *rows* of table `denied` taint: each would have been an operation."""
    operations = refused_operations(rows)
    found = Suspects()
    found.add_rows(operations, judge(rules, "privileges", operations, context).tainting)
    return found


def completed_rows(rows: pa.Table, context: Context) -> pa.Table:
    """Return *rows* of one table as indicators see them."""
    processes = None
    if "exec_id" in rows.column_names:
        exec_ids, exes = context.processes
        processes = pa.table({"exec_id": exec_ids, "exe": exes})
    return completed(rows, context.executables, context.recording.table("instances"), processes)


def _array(mask: pa.BooleanArray) -> np.ndarray:
    values: np.ndarray = mask.to_numpy(zero_copy_only=False)
    return values
