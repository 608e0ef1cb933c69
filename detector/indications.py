"""What the window shows that is bad whatever was learnt: rows that match an indicator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from detector.library import Known
from detector.live import Live
from detector.words import in_words
from ethogram.contracts.baseline import (
    AnyValue,
    CapabilityValue,
    Dimension,
    DnsValue,
    ExecValue,
    FileValue,
    OperationValue,
    PeerValue,
)
from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.escape import escape, escape_pattern
from ethogram.contracts.matching import pattern_to_regex
from ethogram.indicators.protocol import Indicator, IndicatorMetadata
from ethogram.indicators.registry import indicators
from ethogram.indicators.rows import completed, refused_operations
from learner.dimensions import access_letters, address_text, protocol_word

__all__ = ["Indication", "Indications"]

_LETTER_BITS = 63
_KEPT_ANSWERS = 100_000
_EVIDENCE_LIMIT = 20  # a rule names no more executables: beyond them whoever did it is as good
_DIMENSIONS: Mapping[str, Dimension] = {
    "processes": "execs",
    "files": "files",
    "network": "peers",
    "dns": "dns",
}


@dataclass(frozen=True, slots=True)
class Indication:
    """A row that matched; times in nanoseconds UTC."""

    metadata: IndicatorMetadata
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


class Indications:
    """Asks every indicator about every window.

    One that a baseline may silence is asked about workloads that have a baseline: of others
    nobody knows what they are there for.
    """

    def __init__(self) -> None:
        self._by_table: dict[str, list[Indicator]] = {}
        self._learnt: dict[tuple[int, str, bytes | None], bool] = {}
        for indicator in indicators().values():
            self._by_table.setdefault(indicator.metadata.table, []).append(indicator)

    def of(
        self, live: Live, watched: Mapping[int, Known | None], window_ns: tuple[int, int]
    ) -> Iterator[Indication]:
        """Yield what matches in the window of *live*; *watched* are instances to judge."""
        for table, rules in self._by_table.items():
            rows = _rows_to_judge(live, table)
            if not rows.num_rows:
                continue
            for rule in rules:
                matching = rows.filter(rule.matches(rows))
                for row in _rows(matching):
                    known = watched.get(row["instance"])
                    if row["instance"] not in watched or row["phase"] == "runtime":
                        continue
                    found = _indication(rule.metadata, table, row, window_ns)
                    if rule.metadata.gate == "always" or (
                        known is not None and not self._is_learnt(known, found)
                    ):
                        yield found

    def _is_learnt(self, known: Known, found: Indication) -> bool:
        question = (id(known), f"{found.dimension} {found.observed}", found.exe)
        if question not in self._learnt:
            if len(self._learnt) >= _KEPT_ANSWERS:
                self._learnt.clear()
            self._learnt[question] = _is_learnt(known, found)
        return self._learnt[question]


def _rows_to_judge(live: Live, table: str) -> pa.Table:
    """Return the window's rows of *table* as indicators see them.

    What a seccomp filter refused was tried all the same, and counts among the operations.
    """
    rows = live.window(table)
    if table == "privileges":
        rows = pa.concat_tables([rows, refused_operations(live.window("denied"))])
    if not rows.num_rows:
        return rows
    executables, instances = live.table("executables"), live.table("instances")
    return completed(rows, executables, instances, live.table("processes"))


def _rows(rows: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield *rows* as mappings, with times as nanoseconds."""
    for name in rows.column_names:
        if pa.types.is_timestamp(rows.schema.field(name).type):
            index = rows.schema.get_field_index(name)
            rows = rows.set_column(index, name, rows.column(name).cast(pa.int64()))
    yield from rows.to_pylist()


def _indication(
    metadata: IndicatorMetadata, table: str, row: dict[str, Any], window_ns: tuple[int, int]
) -> Indication:
    value = _value(table, row)
    observed = in_words(value)
    if row.get("errno"):
        observed += f", refused with errno {row['errno']}"
    return Indication(
        metadata=metadata,
        instance=row["instance"],
        phase=row["phase"],
        dimension=_dimension(table, value),
        value=value,
        observed=observed,
        exe=row.get("exe_path"),
        exec_id=row.get("exec_id"),
        first_ns=row.get("first") or row.get("start") or window_ns[0],
        last_ns=row.get("last") or row.get("start") or window_ns[1],
        count=max(1, row.get("calls") or row.get("connections") or 1),
    )


def _dimension(table: str, value: AnyValue) -> Dimension:
    if table == "privileges":
        return "capabilities" if isinstance(value, CapabilityValue) else "operations"
    return _DIMENSIONS[table]


def _value(table: str, row: dict[str, Any]) -> AnyValue:
    """Return what a baseline would call the behaviour of *row*."""
    match table:
        case "processes":
            path = escape(row.get("exe_path") or b"") or "?"
            return ExecValue(path=path, upper=True if row.get("exe_upper") else None)
        case "files":
            letters = access_letters(row["access"] & _LETTER_BITS)
            return FileValue(path=escape_pattern(row["path"]) or "?", access=letters)
        case "network":
            return _peer(row)
        case "dns":
            return DnsValue(name=escape(row["qname"]))
    if row["capability"] is not None:
        return CapabilityValue(name=capability_name(row["capability"]))
    target = row["target"]
    return OperationValue(
        operation=row["operation"], target=None if target is None else escape(target)
    )


def _peer(row: dict[str, Any]) -> PeerValue:
    is_in = row["direction"] == "in"
    return PeerValue(
        direction="in" if is_in else "out",
        protocol=protocol_word(row["family"], row["type"], row["protocol"]),
        address=address_text(row["peer_addr"], row["unix_path"]),
        port=row["local_port"] if is_in else row["peer_port"],
    )


def _is_learnt(known: Known, found: Indication) -> bool:
    """Return whether the baseline has the same behaviour, of a file also by the same program."""
    if not known.allowlist.allows(found.dimension, found.value):
        return False
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
