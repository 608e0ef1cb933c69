"""What was seen while an indicator fired: which rows of a recording must not be learnt.

An indicator names rows. Where it fires whatever was learnt, they are condemned; where it asks the
baseline first, they are learnt, or there would be nothing to ask. A row of either kind that makes
its process suspect condemns what that process and all that it started did, as finely as each table
can tell them from others:

- rows with an `exec_id` (processes, privileges, refused calls): exactly those of the tree;
- files: by executable, in the windows in which a process of the tree ran it;
- network and DNS: the same, and also for the ancestors of the tree, from one window before it
  began, because the process that made the connection is often the one that started the shell;
- calls, errors and n-grams: the windows of the instance in which the tree lived, apart for what
  entered from outside and for the workload itself.

What these rows show is learnt all the same where another row shows it that is not condemned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.tables import ENUMS
from ethogram.indicators.protocol import Indicator
from ethogram.indicators.rows import completed
from learner.cells import Cells
from learner.context import Context

__all__ = ["Taint", "completed_rows"]

_EXEC = ENUMS["phase"].index("exec")
_BY_EXEC_ID = frozenset({"processes", "privileges", "denied"})


@dataclass(frozen=True)
class Taint:
    """Answers for each row of a table which indicators condemn it, as bits."""

    indicators: tuple[Indicator, ...]
    context: Context
    exec_ids: Mapping[str, int] = field(default_factory=dict)
    files: Cells = field(default_factory=Cells)
    peers: Cells = field(default_factory=Cells)
    lives: Cells = field(default_factory=Cells)

    def names(self, bits: int) -> list[str]:
        """Return the ids of the indicators in *bits*, sorted."""
        return [
            indicator.metadata.id
            for index, indicator in enumerate(self.indicators)
            if bits >> index & 1
        ]

    def bits(self, name: str, batch: pa.RecordBatch) -> np.ndarray:
        """Return for each row of *batch*, of table *name*, the indicators that condemn it."""
        bits = _row_bits(self.indicators, name, batch, self.context)
        if not self.exec_ids:
            return bits
        instance = batch.column("instance").to_numpy()
        window = batch.column("window").to_numpy()
        is_exec = batch.column("phase").indices.to_numpy(zero_copy_only=False) == _EXEC
        lives = self.lives.bits(instance, is_exec, window)
        if name in _BY_EXEC_ID:
            column = batch.column("exec_id")
            known = pc.is_valid(column).to_numpy(zero_copy_only=False)
            bits |= np.where(known, self._of_exec_ids(column), lives)
        elif name in ("files", "network", "dns"):
            exe = batch.column("exe").to_numpy()
            cells = self.files if name == "files" else self.peers
            # What no executable is known for may have been the tree's.
            bits |= np.where(exe == 0, lives, cells.bits(instance, exe, window))
        else:
            bits |= lives
        return bits

    def _of_exec_ids(self, column: pa.Array) -> np.ndarray:
        index = pc.index_in(column, value_set=pa.array(self.exec_ids, pa.string()))
        found = pa.array(list(self.exec_ids.values()), pa.uint64()).take(index)
        bits: np.ndarray = pc.fill_null(found, 0).to_numpy(zero_copy_only=False)
        return bits


def _row_bits(
    rules: tuple[Indicator, ...], name: str, batch: pa.RecordBatch, context: Context
) -> np.ndarray:
    """Return for each row the indicators that condemn it whatever else was learnt."""
    bits = np.zeros(batch.num_rows, np.uint64)
    judging = [
        (index, rule)
        for index, rule in enumerate(rules)
        if rule.metadata.table == name and rule.metadata.gate == "always"
    ]
    if judging:
        rows = completed_rows(pa.Table.from_batches([batch]), context)
        for index, rule in judging:
            matches = rule.matches(rows).to_numpy(zero_copy_only=False)
            bits |= matches.astype(np.uint64) << np.uint64(index)
    return bits


def completed_rows(rows: pa.Table, context: Context) -> pa.Table:
    """Return *rows* of one table as indicators see them."""
    exec_ids, exes = context.processes
    processes = pa.table({"exec_id": exec_ids, "exe": exes})
    return completed(rows, context.executables, context.recording.table("instances"), processes)
