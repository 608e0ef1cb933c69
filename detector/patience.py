"""Which deviations are told now, which a moment later, and which are part of what was told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from detector.held import Held, Small
from detector.indications import Indication
from detector.live import Live
from detector.processes import ProcessTree
from detector.rows import Rows
from detector.sighting import Sighting
from detector.strayed import SMALL, Strayed, grade_of, grouped_phases
from detector.twice import Twice, is_part_of_more, may_be_part
from detector.watched import Watched
from ethogram.contracts.baseline import ExecValue
from ethogram.contracts.escape import unescape

__all__ = ["Patience"]


class Patience:
    """Has what is small, and of a start or a session, wait for what belongs to it."""

    def __init__(self, watched: Watched, tree: ProcessTree) -> None:
        self._watched = watched
        self._tree = tree
        self._held = Held()
        self._twice = Twice()

    def take(
        self,
        live: Live,
        strayed: list[Strayed],
        indications: Iterable[Indication],
        related: Iterable[Sighting],
        now_ns: int,
    ) -> list[Strayed]:
        """Return what of *strayed*, and of what waited, is to be told with the others now."""
        note = self._twice.note
        for one in indications:
            note(one.instance, one.metadata.id, one.value, one.severity, now_ns)
        for each in related:
            note(each.instance, each.rule, each.value, each.severity, now_ns)
        rows: Rows | None = Rows(live) if strayed else None
        now: list[Strayed] = []
        small: list[Small] = []
        for found in self._once(strayed, now_ns):
            is_part = is_part_of_more(found.deviation.value)
            if (is_part or self._is_grouped(found)) and self._is_small(found):
                waits = replace(found.deviation, rows=rows)
                small.append(Small(found.instance, waits, self._tree_of(found), is_part))
            else:
                now.append(found)
        waited = [Strayed(*one) for one in self._held.take(small, now_ns)]
        return now + [_of_now(found, rows) for found in self._once(waited, now_ns)]

    def release(self, now_ns: int) -> list[Strayed]:
        """Return what waits: nothing comes any more."""
        return self._once([Strayed(*one) for one in self._held.release()], now_ns)

    def due_ns(self) -> int | None:
        """Return when something that waits is to be told, None where nothing waits."""
        return self._held.due_ns()

    def since_ns(self) -> int | None:
        """Return when the first of what waits was done."""
        return self._held.since_ns()

    def _once(self, strayed: list[Strayed], now_ns: int) -> list[Strayed]:
        """Leave out calls and sockets that are part of what was told, or is told now."""
        candidates = [found for found in strayed if may_be_part(found.deviation.value)]
        if not candidates:
            return strayed
        left_out = set()
        severities = [grade_of(found, self._watched).severity for found in candidates]
        for found, severity in zip(candidates, severities, strict=True):
            self._twice.note(found.instance, "", found.deviation.value, severity, now_ns)
        for found, severity in zip(candidates, severities, strict=True):
            if self._twice.is_told(found.instance, found.deviation.value, severity, now_ns):
                left_out.add(id(found))
        return [found for found in strayed if id(found) not in left_out]

    def _is_grouped(self, found: Strayed) -> bool:
        """Return whether it is of a start or a session; units and commands have no such order."""
        workload = self._watched.of_instance(found.instance)
        return workload.is_container and found.deviation.phase in grouped_phases(workload)

    def _is_small(self, found: Strayed) -> bool:
        """Return whether it is neither grave nor one of the many things of a new image."""
        workload = self._watched.of_instance(found.instance)
        if self._watched.newness_of(workload, found.deviation.dimension) == "rollout":
            return False
        return grade_of(found, self._watched).severity in SMALL

    def _tree_of(self, found: Strayed) -> str | None:
        """Return the first process of the tree that *found* is of, None where nobody knows."""
        one = found.deviation
        exe = unescape(one.value.path) if isinstance(one.value, ExecValue) else one.exe
        process = self._tree.doer(found.instance, exe, one.first_ns, one.last_ns)
        return process.session or process.exec_id if process else None


def _of_now(found: Strayed, rows: Rows | None) -> Strayed:
    """Return *found* as it is told where it did not wait: its rows are those of the window."""
    if found.deviation.rows is not rows:
        return found
    return Strayed(found.instance, replace(found.deviation, rows=None))
