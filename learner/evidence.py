"""Rows of a summary, gathered into one item for each value that a baseline may allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

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
from learner.generalise import widened

__all__ = ["Item", "gather"]

_EXECUTABLES = 20
_EXAMPLES = 8
_KEY = ["dimension", "arch", "key"]


@dataclass(frozen=True)
class Item:
    """One value with the evidence for it.

    *phases* counts its windows by phase; *indicators* fired while it was seen.
    """

    dimension: Dimension
    value: AnyValue
    evidence: Evidence
    widened_from: WidenedFrom | None
    phases: dict[Phase, int]
    indicators: tuple[str, ...] = field(default=())


def gather(rows: pd.DataFrame) -> Iterator[Item]:
    """Yield the items of *rows*: columns of a summary, and `indicators`, ids between spaces.

    Values that widen to one are one item. In a window that several executables share, and where
    several values widened to one, the item counts the most of them: never too many.
    """
    if rows.empty:
        return
    rows = rows.copy()
    rows["arch"] = rows["arch"].fillna("")
    rows["number"] = rows.groupby(_KEY, sort=False).ngroup()
    seen = rows.drop_duplicates("number").sort_values("number")
    values: list[tuple[Dimension, AnyValue]] = []
    originals: dict[int, set[str]] = defaultdict(set)
    item_of: list[int] = []
    known: dict[tuple[Dimension, AnyValue], int] = {}
    keys = zip(seen.dimension, seen.arch, seen.key, strict=True)
    decoded = [(dimension, decode_value(dimension, arch or None, key))
               for dimension, arch, key in keys]  # fmt: skip
    for (dimension, exact), value in zip(decoded, widened(decoded), strict=True):
        index = known.setdefault((dimension, value), len(known))
        if index == len(values):
            values.append((dimension, value))
        if value != exact:
            originals[index].add(_words(exact))
        item_of.append(index)
    rows["item"] = pd.Series(item_of, index=range(len(item_of))).reindex(rows.number).to_numpy()
    for (index, (dimension, value)), measured in zip(
        enumerate(values), _measured(rows), strict=True
    ):
        yield Item(
            dimension=dimension,
            value=value,
            evidence=_evidence(measured),
            widened_from=_widened_from(originals.get(index)),
            phases=measured.phases,
            indicators=tuple(sorted(measured.indicators)),
        )


def _words(value: AnyValue) -> str:
    match value:
        case FileValue() | ExecValue():
            return value.path
    return " ".join(str(part) for part in value.model_dump(exclude_none=True).values())


def _widened_from(originals: set[str] | None) -> WidenedFrom | None:
    if not originals:
        return None
    return WidenedFrom(count=len(originals), examples=tuple(sorted(originals)[:_EXAMPLES]))


def _measured(rows: pd.DataFrame) -> Iterator[Any]:
    """Yield the measures of each item, in the order of their numbers."""
    by_item = rows.groupby("item", sort=True)
    frame = by_item.agg(
        calls=("calls", "sum"),
        instances=("instance_key", "nunique"),
        recordings=("recording_id", "nunique"),
        first=("first", "min"),
        last=("last", "max"),
        executables=("exe_path", lambda paths: set(paths.dropna())),
        indicators=("indicators", lambda names: set(" ".join(names).split())),
    )
    lives = rows.groupby(["item", "recording_id", "instance_key", "phase"], sort=False)
    windows = lives["windows"].max().groupby(["item", "phase"], sort=False).sum().reset_index()
    phases: dict[int, dict[Phase, int]] = defaultdict(dict)
    for item, phase, count in zip(windows["item"], windows.phase, windows.windows, strict=True):
        phases[item][phase] = int(count)
    frame["phases"] = pd.Series(phases)
    yield from frame.itertuples(index=False)


def _evidence(measured: Any) -> Evidence:
    executables = sorted(escape(path) for path in measured.executables)
    return Evidence(
        calls=int(measured.calls),
        windows=sum(measured.phases.values()),
        instances=int(measured.instances),
        recordings=int(measured.recordings),
        phases=tuple(phase for phase in PHASES if phase in measured.phases),
        first_seen=_time(int(measured.first)),
        last_seen=_time(int(measured.last)),
        executables=tuple(executables[:_EXECUTABLES]),
    )


def _time(nanoseconds: int) -> str:
    """Return a time as RFC 3339 in UTC, with as many digits as it needs."""
    text = pd.Timestamp(nanoseconds, unit="ns").isoformat(timespec="nanoseconds")
    return text.rstrip("0").rstrip(".") + "Z" if "." in text else f"{text}Z"
