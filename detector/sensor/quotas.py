"""What of a window's losses says that somebody floods the sensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from detector.sensor.troubles import Trouble

__all__ = ["floods"]

_QUOTA = frozenset({"quota", "map_full"})
_WORDS = {
    "syscalls": "system calls", "errors": "errors of calls", "denied": "denied calls",
    "ngrams": "sequences of calls", "files": "files", "network": "connections",
    "privileges": "privileges", "processes": "processes", "slots": "containers",
    "dns": "DNS messages", "tasks": "tasks", "arguments": "arguments of calls",
}  # fmt: skip


def floods(losses: pa.Table, first_ns: int, last_ns: int) -> Iterator[Trouble]:
    """Yield what the rows of table `losses` of one window tell of."""
    if not losses.num_rows:
        return
    counts: Counter[tuple[str, str, int | None]] = Counter()
    for row in losses.select(["instance", "kind", "place", "count"]).to_pylist():
        instance, kind = row["instance"], row["kind"]
        if kind in _QUOTA and instance is not None:
            counts["sensor-quota", row["place"], instance] += row["count"]
        elif kind == "ring_full" or kind in _QUOTA or kind == "slots_full":
            counts["sensor-full", row["place"], instance] += row["count"]
    for (rule, place, instance), count in sorted(counts.items(), key=str):
        what = _WORDS.get(place, place)
        yield Trouble(
            rule, f"{what}: {count:,} events lost in a window", first_ns, last_ns,
            identity=place, count=count, instance=instance,
        )  # fmt: skip
