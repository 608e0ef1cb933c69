"""What the window shows and the baseline does not allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pyarrow as pa

from detector.library import Known
from detector.rows import Rows
from detector.shown import Shown, one_batch, shown
from ethogram.contracts.baseline import DIMENSIONS, AnyValue, Dimension, FileValue
from ethogram.contracts.tables import TABLES
from learner.behaviour import BEHAVIOURS, Behaviour
from learner.context import Context
from learner.dimensions import decode_value

__all__ = ["Deviation", "Deviations"]

_DIMENSIONS: Mapping[str, Dimension] = {name: name for name in DIMENSIONS}
_TABLES = ("processes", "syscalls", "files", "network", "dns", "privileges")
_KEPT_ANSWERS = 200_000
# Every runtime puts them into every container, and reading or writing them is nobody's business.
_DEVICES = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")
)
_USED = frozenset("rwact")


@dataclass(frozen=True, slots=True)
class Deviation:
    """A value that no rule of the workload's baseline allows; times in nanoseconds UTC.

    *exec_id* is who did it, where that is known better than by *exe*. *rows* are those that showed
    it, where it is told later.
    """

    instance_key: str
    phase: str
    dimension: Dimension
    value: AnyValue
    exe: bytes | None
    first_ns: int
    last_ns: int
    count: int
    rows: Rows | None = field(default=None, compare=False)
    exec_id: str | None = field(default=None, compare=False)


class Deviations:
    """Asks baselines, and remembers the answers: a workload does the same things all day.

    What the container runtime does before the workload runs is not the workload's, and not judged;
    nor is a dimension that no recording looked at.
    """

    def __init__(self) -> None:
        self._refused: dict[tuple[int, str, str | None, bytes], AnyValue | None] = {}
        # A baseline that another one replaced must not lend its number to a third.
        self._asked_of: dict[int, Known] = {}

    def of(
        self,
        context: Context,
        baselines: Mapping[str, Known],
        others: Mapping[str, pa.Table] = MappingProxyType({}),
    ) -> Iterator[Deviation]:
        """Yield what the source of *context* shows; *baselines* are by workload key.

        *others* are the rows to judge of tables of which not all rows are.
        """
        self._forget_others(baselines)
        for behaviour in BEHAVIOURS:
            if behaviour.table not in _TABLES:
                continue
            rows = others.get(behaviour.table)
            batches = context.recording.batches(behaviour.table)
            rows = pa.Table.from_batches(batches, _schema(behaviour)) if rows is None else rows
            if rows.num_rows:
                found = shown(context, behaviour, one_batch(rows))
                yield from self._of_shown(context, found, baselines)

    def _forget_others(self, baselines: Mapping[str, Known]) -> None:
        """Forget the answers of baselines that were replaced: others may get their numbers."""
        if self._asked_of.keys() - {id(known) for known in baselines.values()}:
            self._asked_of.clear()
            self._refused.clear()

    def _of_shown(
        self, context: Context, acts: Iterable[Shown], baselines: Mapping[str, Known]
    ) -> Iterator[Deviation]:
        for act in acts:
            known = baselines.get(context.workload_keys[act.workload])
            dimension = _DIMENSIONS.get(act.dimension)
            if known is None or dimension is None or act.phase == "runtime":
                continue
            if dimension in (known.baseline.observation.not_observed or ()):
                continue
            value = self._asked(known, dimension, act.arch, act.key)
            if value is not None:
                yield Deviation(
                    instance_key=context.instance_keys[act.instance],
                    phase=act.phase,
                    dimension=dimension,
                    value=value,
                    exe=act.exe,
                    first_ns=act.first_ns,
                    last_ns=act.last_ns,
                    count=max(1, act.count),
                )

    def _asked(
        self, known: Known, dimension: Dimension, arch: str | None, key: bytes
    ) -> AnyValue | None:
        """Return what *key* stands for, and None where *known* allows it."""
        question = (id(self._asked_of.setdefault(id(known), known)), dimension, arch, key)
        if question not in self._refused:
            if len(self._refused) >= _KEPT_ANSWERS:
                self._refused.clear()
            value = decode_value(dimension, arch, key)
            allowed = known.allowlist.allows(dimension, value) or _is_everybodys(value)
            self._refused[question] = None if allowed else value
        return self._refused[question]


def _is_everybodys(value: AnyValue) -> bool:
    """Return whether *value* is the use of a device that every container has."""
    return isinstance(value, FileValue) and value.path in _DEVICES and set(value.access) <= _USED


def _schema(behaviour: Behaviour) -> pa.Schema:
    return TABLES[behaviour.table].arrow_schema()
