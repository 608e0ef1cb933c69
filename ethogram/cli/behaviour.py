"""What workloads did, from a summary, in words for a screen and in values for JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ethogram.contracts.escape import escape, printable
from ethogram.contracts.tables import ENUMS
from ethogram.errors import RecordingError

if TYPE_CHECKING:
    import pyarrow as pa

    from ethogram.contracts.baseline import Dimension

__all__ = ["Behaviour", "Seen", "behaviours", "losses_of", "title_of", "words_of"]

# Those that can be read one by one, in the order of a screen; n-grams are for models, and the
# other dimensions of a summary say how much was watched.
READABLE = (
    "syscalls", "execs", "files", "peers", "listens", "dns", "capabilities", "operations",
    "quarantine", "errors", "denied", "arguments",
)  # fmt: skip
# Nearly every program opens these; a screen names what is the workload's own first.
_LIBRARIES = ("/usr/lib/", "/lib/", "/lib64/", "/usr/share/locale/", "/etc/ld.so.")
_BEHAVIOUR = frozenset({*READABLE, "ngrams"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a workload did, over all recordings, instances and phases of a summary."""

    words: str
    calls: int
    windows: int
    phases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one workload did; *seen* has by dimension the most frequent first, libraries last."""

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
    plain = _plain(summary)
    found = [_behaviour(row) for row in _totals(plain, ["workload_key"]) if row["workload_key"]]
    by_key = {behaviour.workload_key: behaviour for behaviour in found}
    for row in _totals(plain, ["workload_key", "dimension", "arch", "key"]):
        if row["dimension"] not in _BEHAVIOUR or row["workload_key"] not in by_key:
            continue
        seen = Seen(
            words=words_of(row["dimension"], row["arch"], row["key"]),
            calls=row["calls_sum"],
            windows=row["windows_sum"],
            phases=_in_order(row["phase_distinct"]),
        )
        by_key[row["workload_key"]].seen.setdefault(row["dimension"], []).append(seen)
    for behaviour in found:
        for listed in behaviour.seen.values():
            listed.sort(key=lambda s: (s.words.startswith(_LIBRARIES), -s.calls, s.words))
    return sorted(found, key=lambda behaviour: behaviour.workload_key)


def losses_of(summary: pa.Table) -> dict[tuple[str, str], int]:
    """Return the losses in *summary* by kind and place, the largest first."""
    losses: Counter[tuple[str, str]] = Counter()
    for row in _totals(_plain(summary), ["dimension", "key"]):
        if row["dimension"] == "loss":
            kind, place = _loss(row["key"])
            losses[kind, place] += row["calls_sum"]
    return dict(losses.most_common())


def _loss(key: bytes) -> tuple[str, str]:
    try:
        kind, place = json.loads(key)
    except (ValueError, TypeError, RecursionError):
        return escape(key), "?"
    return str(kind), str(place)


def _plain(summary: pa.Table) -> pa.Table:
    """Return *summary* with its enums as strings, which group and compare like any other."""
    import pyarrow as pa

    columns = {name: summary[name] for name in summary.column_names}
    return pa.table(
        {
            name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
            for name, column in columns.items()
        }
    )


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
        phases=_in_order(set(row["phase_distinct"]) - {"unknown"}),
    )


def _in_order(phases: Collection[str]) -> tuple[str, ...]:
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
        words = _words(dimension, arch, key)
    except (ValueError, RecursionError, RecordingError):
        words = None
    return escape(key) if words is None else printable(words)


def _words(dimension: str, arch: str | None, key: bytes) -> str | None:
    from ethogram.contracts.baseline import VALUE_MODELS
    from ethogram.contracts.wording import in_words
    from learner.dimensions import decode_value, split_quarantine_key

    if dimension in VALUE_MODELS:
        return in_words(decode_value(cast("Dimension", dimension), arch, key))
    if dimension in ("quarantine", "mark"):
        dimension, inner, indicators = split_quarantine_key(key)
        return f"{words_of(dimension, arch, inner)} ({', '.join(indicators)})"
    match dimension, json.loads(key):
        case "errors", [int(nr), int(errno)]:
            return f"{_call(arch, nr)}: {_error_name(errno)}"
        case "denied", [int(nr), str(action), errno]:
            reason = f" {_error_name(errno)}" if isinstance(errno, int) else ""
            return f"{_call(arch, nr)}: {action}{reason}"
        case "arguments", [int(nr), int(index), value]:
            told = "not told" if value is None else f"{int(value):#x}"
            return f"{_call(arch, nr)}: argument {index} {told}"
    return None


def _call(arch: str | None, nr: int) -> str:
    from ethogram.contracts.syscall_names import name_of

    name = (name_of(arch, nr) if arch in ENUMS["arch"] else None) or str(nr)
    # One architecture is the rule; another one on the same host is worth saying.
    return name if arch in {None, "x86_64", "aarch64"} else f"{name} ({escape(str(arch))})"


def _error_name(number: int) -> str:
    import errno

    return errno.errorcode.get(number, str(number))
