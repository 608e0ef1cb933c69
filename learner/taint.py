"""What was seen while an indicator fired: which rows of a recording must not be learnt.

An indicator names rows. Where it fires whatever was learnt, they are condemned; where it asks the
baseline first, they are learnt, or there would be nothing to ask. A row of either kind that makes
its process suspect condemns what that process and all that it started did, as finely as each table
can tell them from others:

- rows with an `exec_id` (processes, privileges, refused calls): exactly those of the tree;
- files: by executable, in the windows in which a process of the tree ran it;
- network and DNS: the same, and also for the ancestors of the tree, from one window before it
  began, because the process that made the connection is often the one that started the shell;
- calls, their arguments, errors and n-grams: the windows of the instance in which the tree lived,
  apart for what entered from outside and for the workload itself.

What these rows show is learnt all the same where another row shows it that is not condemned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.tables import ENUMS
from ethogram.indicators.protocol import Indicator
from learner.cells import Cells
from learner.context import Context
from learner.doers import BY_EXEC_ID
from learner.judging import FOREIGN_ANSWER, judge

__all__ = ["Condemned", "Taint"]

_EXEC = ENUMS["phase"].index("exec")


class Condemned(NamedTuple):
    """The processes of suspects and theirs, and where they may have done something, with bits."""

    exec_ids: Mapping[str, int] = {}
    files: Cells = Cells()
    peers: Cells = Cells()
    lives: Cells = Cells()


@dataclass(frozen=True)
class Taint:
    """Answers for each row of a table which indicators condemn it, as bits."""

    indicators: tuple[Indicator, ...]
    context: Context
    exec_ids: Mapping[str, int] = field(default_factory=dict)
    files: Cells = field(default_factory=Cells)
    peers: Cells = field(default_factory=Cells)
    lives: Cells = field(default_factory=Cells)

    @property
    def condemned(self) -> Condemned:
        """What it knows, without what it looks things up in."""
        return Condemned(self.exec_ids, self.files, self.peers, self.lives)

    def names(self, bits: int) -> list[str]:
        """Return the ids of the indicators in *bits*, sorted; of an answer that is foreign last."""
        known = [*(indicator.metadata.id for indicator in self.indicators), FOREIGN_ANSWER]
        return [name for index, name in enumerate(known) if bits >> index & 1]

    def bits(self, name: str, batch: pa.RecordBatch) -> np.ndarray:
        """Return for each row of *batch*, of table *name*, the indicators that condemn it."""
        rows = pa.Table.from_batches([batch])
        condemned = judge(self.indicators, name, rows, self.context).condemned
        return condemned | self.of_tree(name, batch) if self.exec_ids else condemned

    def of_tree(self, name: str, batch: pa.RecordBatch) -> np.ndarray:
        """Return for each row the indicators by whose suspects it was done, or may have been."""
        instance = batch.column("instance").to_numpy()
        window = batch.column("window").to_numpy()
        is_exec = batch.column("phase").indices.to_numpy(zero_copy_only=False) == _EXEC
        lives = self.lives.bits(instance, is_exec, window)
        if name in BY_EXEC_ID:
            column = batch.column("exec_id")
            known = pc.is_valid(column).to_numpy(zero_copy_only=False)
            return np.where(known, self._of_exec_ids(column), lives)
        if name in ("files", "network", "dns"):
            exe = batch.column("exe").to_numpy()
            cells = self.files if name == "files" else self.peers
            # What no executable is known for may have been the tree's.
            return np.where(exe == 0, lives, cells.bits(instance, exe, window))
        return lives

    def _of_exec_ids(self, column: pa.Array) -> np.ndarray:
        index = pc.index_in(column, value_set=pa.array(self.exec_ids, pa.string()))
        found = pa.array(list(self.exec_ids.values()), pa.uint64()).take(index)
        bits: np.ndarray = pc.fill_null(found, 0).to_numpy(zero_copy_only=False)
        return bits
