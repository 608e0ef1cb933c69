"""What the window shows that is bad whatever was learnt: rows that match an indicator."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detector.failing_rules import FailingRules
from detector.library import Known
from detector.live import Live
from detector.streams import input_in_words
from detector.words import in_words
from ethogram.contracts.baseline import (
    AnyValue,
    CapabilityValue,
    Dimension,
    DnsValue,
    ExecValue,
    FileValue,
    OperationValue,
)
from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.escape import escape, escape_pattern
from ethogram.contracts.finding import Severity
from ethogram.contracts.matching import pattern_to_regex
from ethogram.indicators import privileged_container
from ethogram.indicators.predicates import truth
from ethogram.indicators.protocol import Indicator, IndicatorMetadata
from ethogram.indicators.registry import indicators
from ethogram.indicators.rows import completed, refused_operations
from learner.behaviour import BEHAVIOURS, group_columns
from learner.context import Context
from learner.dimensions import access_letters, decode_value
from learner.name_forms import kernel_chosen

__all__ = ["Indication", "Indications", "judged"]

_KEPT_ANSWERS = 100_000
_EVIDENCE_LIMIT = 20  # a rule names no more executables: beyond them whoever did it is as good
_DIMENSION_OF: Mapping[str, Dimension] = {
    "processes": "execs", "files": "files", "network": "peers", "dns": "dns",
    "privileges": "operations",
}  # fmt: skip
_NETWORK = next(behaviour for behaviour in BEHAVIOURS if behaviour.table == "network")


@dataclass(frozen=True, slots=True)
class Indication:
    """A row that matched; times in nanoseconds UTC.

    *identity* is what it has in common with others like it, where *observed* says more.
    """

    metadata: IndicatorMetadata
    severity: Severity
    instance: int
    phase: str
    dimension: Dimension
    value: AnyValue
    observed: str
    exe: bytes | None
    exec_id: str | None
    first_ns: int
    last_ns: int
    count: int
    identity: str | None = None


class Indications:
    """Asks every indicator about every window.

    One that a baseline may silence is asked about workloads that have a baseline: of others
    nobody knows what they are there for.
    """

    def __init__(self) -> None:
        self.failing = FailingRules()
        self._by_table: dict[str, list[Indicator]] = {}
        self._learnt: dict[tuple[int, str, bytes | None], bool] = {}
        # A baseline that another one replaced must not lend its number to a third.
        self._asked_of: dict[int, Known] = {}
        for indicator in indicators().values():
            self._by_table.setdefault(indicator.metadata.table, []).append(indicator)

    def of(
        self,
        live: Live,
        context: Context,
        watched: Mapping[int, Known | None],
        others: Mapping[str, pa.Table] = MappingProxyType({}),
        processes: pa.Table | None = None,
    ) -> Iterator[Indication]:
        """Yield what matches in the window of *live*, which *context* looks things up for.

        *watched* are the instances to judge, *others* the rows of tables of which not all are, and
        *processes* what `judged` returns of those.
        """
        self.failing.begin()
        if self._asked_of.keys() - {id(known) for known in watched.values()}:
            self._asked_of.clear()
            self._learnt.clear()
        for table, rules in self._by_table.items():
            rows = processes if table == "processes" else None
            rows = judged(live, table, watched, others) if rows is None else rows
            if not rows.num_rows:
                continue
            for rule in rules:
                found = partial(self._found, rule, context, watched)
                yield from self.failing.asked(rule, rows, found)

    def _found(
        self, rule: Indicator, context: Context, watched: Mapping[int, Known | None], rows: pa.Table
    ) -> list[Indication]:
        matches = rule.matches(rows)
        if not matches.true_count:
            return []
        matching, told = rows.filter(matches), []
        values = _values(context, rule.metadata.table, matching)
        for row, (dimension, value) in zip(_rows(matching), values, strict=True):
            window_ns = _span(context, row["window"])
            found = _indication(rule.metadata, row, dimension, value, window_ns)
            if self._is_to_tell(watched[row["instance"]], found):
                told.append(found)
        return told

    def unjudged(self) -> Iterator[tuple[int, str]]:
        """Yield of whom an indicator failed in the last window, and a dimension of what it did."""
        yield from ((one, _DIMENSION_OF[table]) for one, table in self.failing.unasked)

    def _is_to_tell(self, known: Known | None, found: Indication) -> bool:
        if found.metadata.gate == "baseline":
            return known is not None and not self._is_learnt(known, found)
        return known is None or not _was_privileged(known, found.metadata)

    def _is_learnt(self, known: Known, found: Indication) -> bool:
        number = id(self._asked_of.setdefault(id(known), known))
        question = (number, f"{found.dimension} {found.observed}", found.exe)
        if question not in self._learnt:
            if len(self._learnt) >= _KEPT_ANSWERS:
                self._learnt.clear()
            self._learnt[question] = _is_learnt(known, found)
        return self._learnt[question]


def judged(
    live: Live,
    table: str,
    watched: Collection[int],
    others: Mapping[str, pa.Table] = MappingProxyType({}),
) -> pa.Table:
    """Return the window's rows of *table* as indicators see them, those of *watched* instances."""
    return _of_instances(_rows_to_judge(live, table, others), watched)


def _rows_to_judge(live: Live, table: str, others: Mapping[str, pa.Table]) -> pa.Table:
    """Return the window's rows of *table* as indicators see them.

    What a seccomp filter refused was tried all the same, and counts among the operations.
    """
    rows = live.window(table) if table not in others else others[table]
    if table == "privileges" and (denied := live.window("denied")).num_rows:
        rows = pa.concat_tables([rows, refused_operations(denied)])
    if not rows.num_rows:
        return rows
    executables, instances = live.table("executables"), live.table("instances")
    return completed(rows, executables, instances, live.table("processes"))


def _of_instances(rows: pa.Table, watched: Collection[int]) -> pa.Table:
    """Return those of *rows* that *watched* instances did, without what their runtime did."""
    if not rows.num_rows:
        return rows
    own = pc.is_in(rows.column("instance"), value_set=pa.array(sorted(watched), pa.uint32()))
    is_runtime = pc.equal(rows.column("phase").cast(pa.string()), "runtime")
    chosen = truth(pc.and_(own, pc.invert(is_runtime)))
    return rows if chosen.true_count == rows.num_rows else rows.filter(chosen)


def _span(context: Context, window: int) -> tuple[int, int]:
    """Return when *window* was: not the open one, where a name came late."""
    numbers = np.array([window])
    return int(context.windows.start_of(numbers)[0]), int(context.windows.end_of(numbers)[0])


def _rows(rows: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield *rows* as mappings, with times as nanoseconds."""
    for name in rows.column_names:
        if pa.types.is_timestamp(rows.schema.field(name).type):
            index = rows.schema.get_field_index(name)
            rows = rows.set_column(index, name, rows.column(name).cast(pa.int64()))
    yield from rows.to_pylist()


def _values(context: Context, table: str, rows: pa.Table) -> Iterator[tuple[Dimension, AnyValue]]:
    """Yield what a baseline would call the behaviour of each of *rows*."""
    if table == "network":
        return _peers(context, rows)
    return (_value(table, row) for row in _rows(rows))


def _peers(context: Context, rows: pa.Table) -> Iterator[tuple[Dimension, AnyValue]]:
    """Yield peers and listeners as the learner names them: whose an address is, it knows."""
    for batch in rows.to_batches():
        columns = _NETWORK.prepare(context, batch)
        names = list(group_columns(columns))
        lists = [columns[name].to_pylist() for name in names]
        for values in zip(*lists, strict=True):
            dimension, key = _NETWORK.name(context, dict(zip(names, values, strict=True)))
            known: Dimension = "listens" if dimension == "listens" else "peers"
            yield known, decode_value(known, None, key)


def _value(table: str, row: dict[str, Any]) -> tuple[Dimension, AnyValue]:
    match table:
        case "processes":
            path = escape(row["exe_path"] or b"") or "?"
            return "execs", ExecValue(path=path, upper=True if row["exe_upper"] else None)
        case "files":
            letters = access_letters(row["access"])
            return "files", FileValue(path=escape_pattern(row["path"]) or "?", access=letters)
        case "dns":
            return "dns", DnsValue(name=escape(row["qname"]))
    if row["capability"] is not None:
        return "capabilities", CapabilityValue(name=capability_name(row["capability"]))
    target = None if row["target"] is None else escape(row["target"])
    return "operations", OperationValue(operation=row["operation"], target=target)


def _indication(
    metadata: IndicatorMetadata,
    row: dict[str, Any],
    dimension: Dimension,
    value: AnyValue,
    window_ns: tuple[int, int],
) -> Indication:
    observed = in_words(value)
    if row.get("errno"):
        observed += f", refused with errno {row['errno']}"
    peer = input_in_words(row.get("stdio_peers"))
    return Indication(
        metadata=metadata,
        severity=metadata.severity,
        instance=row["instance"],
        phase=row["phase"],
        dimension=dimension,
        value=value,
        observed=f"{observed}, standard input is a socket to {peer}" if peer else observed,
        exe=row.get("exe_path"),
        exec_id=row.get("exec_id"),
        first_ns=row.get("first") or row.get("start") or window_ns[0],
        last_ns=row.get("last") or row.get("start") or window_ns[1],
        count=max(1, row.get("calls") or row.get("connections") or 1),
        identity=_alike(value, observed, has_peer=peer is not None),
    )


def _alike(value: AnyValue, observed: str, *, has_peer: bool) -> str | None:
    """Return what stays the same of *observed* where the kernel chose part of it.

    A port is another each time; who looks at all processes, as ps(1) does, is told of once.
    """
    if isinstance(value, FileValue) and (path := kernel_chosen(value.path)) != value.path:
        return observed.replace(value.path, path)
    return observed if has_peer else None


def _was_privileged(known: Known, metadata: IndicatorMetadata) -> bool:
    """Return whether the container is one of those that *known* was learnt from: privileged."""
    if metadata.id != privileged_container.INDICATOR.metadata.id:
        return False
    return set(known.baseline.observation.bounding or ()) >= privileged_container.TELLING


def _is_learnt(known: Known, found: Indication) -> bool:
    """Return whether the baseline has the same behaviour; of files and calls, by whom."""
    if not known.allowlist.allows(found.dimension, found.value):
        return False
    if isinstance(found.value, OperationValue):
        return _did_so(known, found.value, found.exe)
    if not isinstance(found.value, FileValue) or found.exe is None:
        return True
    exe, path = escape(found.exe), found.value.path
    for rule in known.baseline.rules.files:
        if rule.value.path == path or (
            "*" in rule.value.path and pattern_to_regex(rule.value.path).fullmatch(path)
        ):
            programs = rule.evidence.executables
            if exe in programs or len(programs) >= _EVIDENCE_LIMIT or not programs:
                return True
    return False


def _did_so(known: Known, value: OperationValue, exe: bytes | None) -> bool:
    """Return whether *exe* is among those that did *value* when it was learnt."""
    for rule in known.baseline.rules.operations:
        programs = rule.evidence.executables
        if rule.value == value and (
            exe is None
            or not programs
            or len(programs) >= _EVIDENCE_LIMIT
            or escape(exe) in programs
        ):
            return True
    return False
