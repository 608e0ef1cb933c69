"""What the window shows and the baseline does not allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from detector.library import Known
from ethogram.contracts.baseline import DIMENSIONS, AnyValue, Dimension
from ethogram.contracts.tables import ENUMS
from learner.behaviour import BEHAVIOURS
from learner.context import Context
from learner.dimensions import decode_value
from learner.extract import extract
from learner.taint import Taint

__all__ = ["Deviation", "Deviations"]

_DIMENSIONS = {ENUMS["dimension"].index(name): name for name in DIMENSIONS}
_TABLES = ("processes", "syscalls", "files", "network", "dns", "privileges")
_RUNTIME = ENUMS["phase"].index("runtime")
_KEPT_ANSWERS = 200_000
_WHO = ("workload_key", "instance_key", "phase")
_WHAT = ("dimension", "arch", "key", "exe_path", "calls")


@dataclass(frozen=True, slots=True)
class Deviation:
    """A value that no rule of the workload's baseline allows; times in nanoseconds UTC."""

    instance_key: str
    phase: str
    dimension: Dimension
    value: AnyValue
    exe: bytes | None
    first_ns: int
    last_ns: int
    count: int


class Deviations:
    """Asks baselines, and remembers the answers: a workload does the same things all day.

    What the container runtime does before the workload runs is not the workload's, and not judged;
    nor is a dimension that no recording looked at.
    """

    def __init__(self) -> None:
        self._refused: dict[tuple[int, int, int | None, bytes], AnyValue | None] = {}
        # A baseline that another one replaced must not lend its number to a third.
        self._asked_of: dict[int, Known] = {}

    def of(self, context: Context, baselines: Mapping[str, Known]) -> Iterator[Deviation]:
        """Yield what the source of *context* shows; *baselines* are by workload key."""
        self._forget_others(baselines)
        no_taint = Taint((), context)
        for behaviour in BEHAVIOURS:
            if behaviour.table in _TABLES:
                yield from self._of_rows(extract(context, no_taint, behaviour), baselines)

    def _forget_others(self, baselines: Mapping[str, Known]) -> None:
        """Forget the answers of baselines that were replaced: others may get their numbers."""
        if self._asked_of.keys() - {id(known) for known in baselines.values()}:
            self._asked_of.clear()
            self._refused.clear()

    def _of_rows(self, rows: pa.Table, baselines: Mapping[str, Known]) -> Iterator[Deviation]:
        columns = [rows.column(name).to_pylist() for name in (*_WHO, *_WHAT)]
        times = [rows.column(name).cast(pa.int64()).to_pylist() for name in ("first", "last")]
        for workload, instance, phase, code, arch, key, exe, calls, first, last in zip(
            *columns, *times, strict=True
        ):
            known = baselines.get(workload)
            dimension = _DIMENSIONS.get(code)
            if known is None or dimension is None or phase == _RUNTIME:
                continue
            if dimension in (known.baseline.observation.not_observed or ()):
                continue
            value = self._asked(known, dimension, code, arch, key)
            if value is not None:
                yield Deviation(
                    instance_key=instance,
                    phase=ENUMS["phase"][phase],
                    dimension=dimension,
                    value=value,
                    exe=exe,
                    first_ns=first,
                    last_ns=last,
                    count=max(1, calls),
                )

    def _asked(
        self, known: Known, dimension: Dimension, code: int, arch: int | None, key: bytes
    ) -> AnyValue | None:
        """Return what *key* stands for, and None where *known* allows it."""
        question = (id(self._asked_of.setdefault(id(known), known)), code, arch, key)
        if question not in self._refused:
            if len(self._refused) >= _KEPT_ANSWERS:
                self._refused.clear()
            value = decode_value(dimension, None if arch is None else ENUMS["arch"][arch], key)
            allowed = known.allowlist.allows(dimension, value)
            self._refused[question] = None if allowed else value
        return self._refused[question]
