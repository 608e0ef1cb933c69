"""Traces of system calls as a file gives them: read, checked, and made for a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ethogram.errors import UsageError

__all__ = ["SPLITS", "Traces", "made", "read"]

SPLITS = ("train", "validation", "attack")
_COLUMNS = ("trace", "split", "group", "calls")
_LARGEST = 65533  # the numbers above stand for no call yet, and for one that does not fit


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces with their names; *group* is empty where the file says none. Calls in their order."""

    names: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    calls: tuple[np.ndarray, ...]

    def where(self, split: str, group: str | None = None) -> list[int]:
        """Return the numbers of the traces of *split*, and of *group* where one is named."""
        return [
            number
            for number, each in enumerate(self.splits)
            if each == split and group in {None, self.groups[number]}
        ]

    def calls_of(self, numbers: list[int]) -> list[np.ndarray]:
        return [self.calls[number] for number in numbers]


def read(path: Path) -> Traces:
    """Return the traces of the Parquet file *path*; `UsageError` where it does not hold them."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"`{path}` cannot be read as Parquet: {error}") from error
    missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise UsageError(
            f"`{path}` has no column `{missing[0]}`", hint=f"its columns are {', '.join(_COLUMNS)}"
        )
    parts: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    try:
        for batch in file.iter_batches(columns=list(_COLUMNS), batch_size=1024):
            for name in _COLUMNS[:3]:
                parts[name] += [value or "" for value in _texts(batch.column(name))]
            parts["calls"] += _lists(batch.column("calls"))
    except (ValueError, pa.ArrowException) as error:
        raise UsageError(f"`{path}`: {error}") from error
    return _checked(path, Traces(*(tuple(parts[name]) for name in _COLUMNS)))


def _texts(column: pa.Array) -> list[str | None]:
    return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]


def _lists(column: pa.Array) -> Iterator[np.ndarray]:
    """Yield the calls of each row; a row that is null has none."""
    if pa.types.is_null(column.type):
        raise ValueError("`calls` holds nothing")
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise ValueError(f"`calls` is {column.type}, not a list of numbers")
    for row in column:
        values = row.values
        if values is None:
            yield np.empty(0, np.uint16)
            continue
        if values.null_count:
            raise ValueError("a list in `calls` holds null")
        numbers = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= _LARGEST:
            raise ValueError(f"a call is not between 0 and {_LARGEST}")
        yield numbers.astype(np.uint16)


def _checked(path: Path, traces: Traces) -> Traces:
    unknown = sorted(set(traces.splits) - set(SPLITS))
    if unknown:
        raise UsageError(
            f"`{path}` has the split `{unknown[0]}`", hint=f"splits are {', '.join(SPLITS)}"
        )
    for split in SPLITS:
        if split not in traces.splits:
            raise UsageError(f"`{path}` has no trace of the split `{split}`")
    if not any(len(traces.calls[number]) for number in traces.where("train")):
        raise UsageError(f"no trace of the split `train` in `{path}` makes a call")
    return traces


# --- made ------------------------------------------------------------------------------------


def made(path: Path, *, seed: int = 5, groups: int = 2) -> None:
    """Write traces of *groups* made services at *path*: seeded, and small.

    A service repeats some dozens of fixed routines, the frequent ones most of the time. Attacks
    do so as well, with a stretch of its own: `shuffled` routines of the service in another order
    of calls, `foreign` ones of another service, `flood` one routine over and over.
    """
    random = np.random.default_rng(seed)
    rows: list[tuple[str, str, str, list[int]]] = []
    services = [_routines(random) for _ in range(groups + 1)]
    for number in range(groups):
        own, other = services[number], services[-1]
        group = f"service-{number}"
        for split, count in (("train", 80), ("validation", 120)):
            for each in range(count):
                rows.append((f"{group}-{split}-{each}", split, group, _run(random, own)))
        for kind in ("shuffled", "foreign", "flood"):
            for each in range(12):
                calls = _attack(random, kind, own, other)
                rows.append((f"{group}-{kind}-{each}", "attack", group, calls))
    names, splits, labels, calls = zip(*rows, strict=True)
    table = pa.table(
        {
            "trace": pa.array(names, pa.string()),
            "split": pa.array(splits, pa.string()),
            "group": pa.array(labels, pa.string()),
            "calls": pa.array(calls, pa.list_(pa.int16())),
        }
    )
    pq.write_table(table, path, compression="zstd")


def _routines(random: np.random.Generator) -> list[list[int]]:
    alphabet = random.choice(300, 45, replace=False)
    return [random.choice(alphabet, random.integers(3, 16)).tolist() for _ in range(60)]


def _run(random: np.random.Generator, routines: list[list[int]], length: int = 0) -> list[int]:
    length = length or int(random.integers(100, 700))
    weights = 1.0 / np.arange(1, len(routines) + 1)
    calls: list[int] = []
    while len(calls) < length:
        routine = routines[random.choice(len(routines), p=weights / weights.sum())]
        calls += routine * int(random.geometric(0.6))
        if random.random() < 0.02:
            calls.append(int(random.choice(routine)))
    return calls[:length]


def _attack(
    random: np.random.Generator, kind: str, own: list[list[int]], other: list[list[int]]
) -> list[int]:
    calls = _run(random, own)
    match kind:
        case "shuffled":
            stretch = _run(random, own, 60)
            random.shuffle(stretch)
        case "foreign":
            stretch = _run(random, other, 60)
        case _:
            stretch = own[int(random.integers(20, 40))] * 60
    where = int(random.integers(0, len(calls)))
    return calls[:where] + stretch + calls[where:]
