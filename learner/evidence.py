"""Rows of a summary, gathered into one item for each value that a baseline may allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ethogram.contracts.baseline import (
    PHASES,
    AnyValue,
    Dimension,
    Evidence,
    ExecValue,
    FileValue,
    Phase,
    WidenedFrom,
)
from ethogram.contracts.escape import escape
from learner.dimensions import decode_value
from learner.generalise import Origin, widened

__all__ = ["Item", "gather"]

_EXECUTABLES = 20
_EXAMPLES = 8
_KEY = ["dimension", "arch", "key"]
_RUN = ["recording_id", "instance_key"]


@dataclass(frozen=True)
class Item:
    """One value with the evidence for it.

    *phases* counts its windows by phase, *spans* says when it was first and last seen in each, in
    nanoseconds. It was seen in *runs* lives of an instance in a recording, one of which is *a_run*.
    *indicators* fired while it was seen. *marks* say why it wants a second look.
    """

    dimension: Dimension
    value: AnyValue
    evidence: Evidence
    widened_from: WidenedFrom | None
    phases: dict[Phase, int]
    spans: dict[Phase, tuple[int, int]]
    runs: int
    a_run: tuple[str, str]
    indicators: tuple[str, ...] = field(default=())
    marks: tuple[str, ...] = ()

    @property
    def alone(self) -> str | None:
        """The instance that showed it, where no other did."""
        return self.a_run[1] if self.evidence.instances == 1 else None

    @property
    def span(self) -> int:
        """Nanoseconds between when it was first and last seen."""
        times = self.spans.values()
        return max((last for _, last in times), default=0) - min(
            (first for first, _ in times), default=0
        )


def gather(rows: pd.DataFrame) -> Iterator[Item]:
    """Yield the items of *rows*: columns of a summary, and `indicators`, ids between spaces.

    Values that widen to one are one item. In a window that several executables share, and where
    several values widened to one, the item counts the most of them: never too many.
    """
    if rows.empty:
        return
    rows = rows.assign(arch=rows["arch"].fillna(""))
    numbers = rows.groupby(_KEY, sort=False).ngroup().to_numpy()
    first_rows = np.unique(numbers, return_index=True)[1]
    keys = zip(*(rows[name].to_numpy()[first_rows] for name in _KEY), strict=True)
    values: list[tuple[Dimension, AnyValue]] = []
    originals: dict[int, set[str]] = defaultdict(set)
    item_of: list[int] = []
    known: dict[tuple[Dimension, AnyValue], int] = {}
    decoded = [(dimension, decode_value(dimension, arch or None, key))
               for dimension, arch, key in keys]  # fmt: skip
    origins = _origins(rows, numbers, len(decoded))
    for (dimension, exact), value in zip(decoded, widened(decoded, origins), strict=True):
        index = known.setdefault((dimension, value), len(known))
        if index == len(values):
            values.append((dimension, value))
        if value is not exact and value != exact:
            originals[index].add(_words(exact))
        item_of.append(index)
    rows["item"] = np.array(item_of)[numbers]
    for (index, (dimension, value)), measured in zip(
        enumerate(values), _measured(rows), strict=True
    ):
        yield Item(
            dimension=dimension,
            value=value,
            evidence=_evidence(measured),
            widened_from=_widened_from(originals.get(index)),
            phases=measured.phases,
            spans=measured.spans,
            runs=measured.runs,
            a_run=measured.a_run,
            indicators=measured.indicators,
        )


def _origins(rows: pd.DataFrame, numbers: np.ndarray, count: int) -> list[Origin | None]:
    """Return for each of *count* values where its file comes from, as far as its rows know."""
    origins: list[Origin | None] = [None] * count
    if "in_image" not in rows:
        return origins
    told = rows.in_image.to_numpy(dtype=object)
    for number in np.unique(numbers[told == False]):  # noqa: E712  null is neither
        origins[number] = "own"
    for number in np.unique(numbers[told == True]):  # noqa: E712
        origins[number] = "image"
    return origins


def _words(value: AnyValue) -> str:
    match value:
        case FileValue() | ExecValue():
            return value.path
    return " ".join(str(part) for part in value.model_dump(exclude_none=True).values())


def _widened_from(originals: set[str] | None) -> WidenedFrom | None:
    if not originals:
        return None
    return WidenedFrom(count=len(originals), examples=tuple(sorted(originals)[:_EXAMPLES]))


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the rows of one item say together."""

    calls: int
    instances: int
    recordings: int
    first_seen: str
    last_seen: str
    executables: tuple[str, ...]
    indicators: tuple[str, ...]
    phases: dict[Phase, int]
    spans: dict[Phase, tuple[int, int]]
    runs: int
    a_run: tuple[str, str]
    example: str | None


def _measured(rows: pd.DataFrame) -> Iterator[_Measured]:
    """Yield the measures of each item, in the order of their numbers.

    All items at once, column by column: a function called for each would take a thousand times
    as long as what it does.
    """
    by_item = rows.groupby("item", sort=True)
    frame = by_item.agg(
        calls=("calls", "sum"),
        instances=("instance_key", "nunique"),
        recordings=("recording_id", "nunique"),
        first=("first", "min"),
        last=("last", "max"),
    )
    lives = (
        rows.groupby(["item", *_RUN, "phase"], sort=False)
        .agg(windows=("windows", "max"), first=("first", "min"), last=("last", "max"))
        .reset_index()
    )
    phases, spans = _by_phase(lives, len(frame))
    runs = lives.drop_duplicates(["item", *_RUN])
    one_of_them = runs.drop_duplicates("item").sort_values("item")
    columns = (
        frame.calls.tolist(),
        frame.instances.tolist(),
        frame.recordings.tolist(),
        _times(frame["first"]),
        _times(frame["last"]),
        _sets_of(rows, "exe_path", lambda path: (escape(path),)),
        _sets_of(rows, "indicators", str.split),
        phases,
        spans,
        runs.groupby("item", sort=True).size().tolist(),
        list(one_of_them[_RUN].itertuples(index=False, name=None)),
        _examples(rows, len(frame)),
    )
    yield from map(_Measured, *columns)


def _by_phase(
    lives: pd.DataFrame, items: int
) -> tuple[list[dict[Phase, int]], list[dict[Phase, tuple[int, int]]]]:
    """Return for each item its windows by phase, and when it was first and last seen in each."""
    parts = lives.groupby(["item", "phase"], sort=False).agg(
        windows=("windows", "sum"), first=("first", "min"), last=("last", "max")
    )
    phases: list[dict[Phase, int]] = [{} for _ in range(items)]
    spans: list[dict[Phase, tuple[int, int]]] = [{} for _ in range(items)]
    for (item, phase), windows, first, last in parts.itertuples():
        phases[item][phase] = int(windows)
        spans[item][phase] = (int(first), int(last))
    return phases, spans


def _examples(rows: pd.DataFrame, items: int) -> list[str | None]:
    """Return for each item the first process by name that its rows have."""
    examples: list[str | None] = [None] * items
    first = rows[["item", "exec_id"]].dropna().groupby("item").exec_id.min()
    for item, name in first.items():
        examples[int(str(item))] = escape(name)
    return examples


def _sets_of(
    rows: pd.DataFrame, column: str, parts: Callable[[Any], Iterable[str]]
) -> list[tuple[str, ...]]:
    """Return for each item the sorted *parts* of what its rows have in *column*."""
    found: list[set[str]] = [set() for _ in range(int(rows["item"].max()) + 1)]
    distinct = rows[["item", column]].dropna().drop_duplicates()
    for item, value in zip(distinct["item"], distinct[column], strict=True):
        found[item].update(parts(value))
    return [tuple(sorted(members)) for members in found]


def _evidence(measured: _Measured) -> Evidence:
    return Evidence(
        calls=measured.calls,
        windows=sum(measured.phases.values()),
        instances=measured.instances,
        recordings=measured.recordings,
        phases=tuple(phase for phase in PHASES if phase in measured.phases),
        first_seen=measured.first_seen,
        last_seen=measured.last_seen,
        executables=measured.executables[:_EXECUTABLES],
        example_exec_id=measured.example,
    )


def _times(nanoseconds: pd.Series) -> list[str]:
    """Return times as RFC 3339 in UTC, each with as many digits as it needs."""
    texts = np.datetime_as_string(nanoseconds.to_numpy().astype("datetime64[ns]"))
    return [f"{text.rstrip('0').rstrip('.')}Z" for text in texts.tolist()]
