"""What workloads did, from a summary, in words for a screen and in values for JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ethogram.contracts.escape import escape, printable
from ethogram.contracts.tables import ENUMS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Behaviour", "Seen", "behaviours", "title_of", "words_of"]

# Those that can be read one by one. N-grams are for models.
READABLE = tuple(name for name in ENUMS["dimension"] if name != "ngrams")


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a workload did, over all recordings, instances and phases of a summary."""

    words: str
    calls: int
    windows: int
    phases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one workload did; *seen* has the most frequent first, by dimension."""

    workload_key: str
    recordings: int
    instances: int
    phases: tuple[str, ...]
    seen: dict[str, list[Seen]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "workload_key": self.workload_key,
            "recordings": self.recordings,
            "instances": self.instances,
            "phases": list(self.phases),
            "seen": {
                dimension: [
                    {"value": s.words, "calls": s.calls, "windows": s.windows,
                     "phases": list(s.phases)}
                    for s in seen
                ]
                for dimension, seen in self.seen.items()
            },
        }  # fmt: skip


def behaviours(summary: pa.Table) -> list[Behaviour]:
    """Return what each workload of *summary* did, by workload."""
    import pyarrow as pa

    plain = pa.table(
        {
            name: summary[name].cast(pa.string())
            if pa.types.is_dictionary(summary[name].type)
            else summary[name]
            for name in summary.column_names
        }
    )
    found = [_behaviour(row) for row in _totals(plain, ["workload_key"])]
    by_key = {behaviour.workload_key: behaviour for behaviour in found}
    for row in _totals(plain, ["workload_key", "dimension", "arch", "key"]):
        seen = Seen(
            words=words_of(row["dimension"], row["arch"], row["key"]),
            calls=row["calls_sum"],
            windows=row["windows_sum"],
            phases=_in_order(row["phase_distinct"]),
        )
        by_key[row["workload_key"]].seen.setdefault(row["dimension"], []).append(seen)
    for behaviour in found:
        for listed in behaviour.seen.values():
            listed.sort(key=lambda s: (-s.calls, s.words))
    return sorted(found, key=lambda behaviour: behaviour.workload_key)


def _totals(table: pa.Table, keys: list[str]) -> Iterator[dict[str, Any]]:
    totals = table.group_by(keys).aggregate(
        [("calls", "sum"), ("windows", "sum"), ("phase", "distinct"),
         ("recording_id", "count_distinct"), ("instance_key", "count_distinct")]
    )  # fmt: skip
    for batch in totals.to_batches():
        yield from batch.to_pylist()


def _behaviour(row: dict[str, Any]) -> Behaviour:
    return Behaviour(
        workload_key=row["workload_key"],
        recordings=row["recording_id_count_distinct"],
        instances=row["instance_key_count_distinct"],
        phases=_in_order(row["phase_distinct"]),
    )


def _in_order(phases: Sequence[str]) -> tuple[str, ...]:
    return tuple(phase for phase in ENUMS["phase"] if phase in set(phases))


def title_of(workload_key: str) -> str:
    """Return the name of a workload as people say it: `shop/Deployment/checkout (nginx)`."""
    from ethogram.contracts.keys import parse_workload_key

    try:
        key = parse_workload_key(workload_key)
    except ValueError:
        return escape(workload_key)
    parts = [part for part in (key.cluster, key.namespace, key.kind, key.name) if part is not None]
    title = escape("/".join(parts))
    if key.container is None:
        return title
    kind = "" if key.container_kind in {"main", "none"} else f", {key.container_kind}"
    return f"{title} ({escape(key.container)}{kind})"


def words_of(dimension: str, arch: str | None, key: bytes) -> str:
    """Return what *key* of *dimension* stands for in words; a key of another form as it is."""
    try:
        match dimension:
            case "syscalls":
                return _call(arch, int(key))
            case "execs" | "dns" | "capabilities":
                return escape(key)
        values = json.loads(key)
        match dimension, values:
            case "files", [str(path), str(access)]:
                words = f"{path} {access}"
            case "peers", [str(direction), str(protocol), str(address), port, name]:
                at = _endpoint(address, port)
                to = {"out": "to", "in": "from"}.get(direction, direction)
                words = f"{to} {at}, {protocol}" + (f", {name}" if name else "")
            case "listens", [str(protocol), str(address), port]:
                words = f"{_endpoint(address, port)}, {protocol}"
            case "operations", [str(operation), *target]:
                words = " ".join([operation, *(str(part) for part in target if part is not None)])
            case "errors", [int(nr), int(errno)]:
                words = f"{_call(arch, nr)}: {_error_name(errno)}"
            case "denied", [int(nr), str(action), errno]:
                reason = f" {_error_name(errno)}" if isinstance(errno, int) else ""
                words = f"{_call(arch, nr)}: {action}{reason}"
            case _:
                return escape(key)
    except (ValueError, RecursionError):
        return escape(key)
    return printable(words)


def _call(arch: str | None, nr: int) -> str:
    from ethogram.contracts.syscall_names import name_of

    name = (name_of(arch, nr) if arch in ENUMS["arch"] else None) or str(nr)
    # One architecture is the rule; another one on the same host is worth saying.
    return name if arch in {None, "x86_64", "aarch64"} else f"{name} ({escape(str(arch))})"


def _endpoint(address: str, port: object) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _error_name(number: int) -> str:
    import errno

    return errno.errorcode.get(number, str(number))
