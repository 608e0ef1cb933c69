"""How long a workload was watched, and all that stood in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from ethogram.contracts.baseline_values import REASONS, Reason
from ethogram.contracts.escape import escape
from ethogram.contracts.quality import FEWEST_RUNS, STEADY_SECONDS, state_of
from ethogram.contracts.syscall_names import name_of
from learner.dimensions import canonical, parse_key

__all__ = ["STEADY", "completeness", "objects", "truths"]

STEADY = ("steady", "unknown")
_WINDOWS, _PHASE = canonical(["windows"]), canonical(["phase"])
_SECCOMP_FILTER = 2


def objects(rows: pd.DataFrame, dimension: str) -> list[dict[str, Any]]:
    """Return the keys of *dimension*, JSON objects, in the order in which they were last seen."""
    rows = rows[rows.dimension == dimension].sort_values(["last", "key"])
    found = [json.loads(key) for key in rows.key]
    if not all(isinstance(fields, dict) for fields in found):
        raise TypeError(dimension)
    return found


def truths(found: list[dict[str, Any]], name: str) -> set[bool | None]:
    """Return what *found* say of *name*; `TypeError` where that is no truth."""
    values = [fields.get(name) for fields in found]
    if not all(value is None or isinstance(value, bool) for value in values):
        raise TypeError(name)
    return set(values)


def completeness(rows: pd.DataFrame, shared: pd.DataFrame, *, is_lossy: bool) -> dict[str, Any]:
    """Return what an observation says of that, by field: *rows* as `observe` takes them."""
    watched = rows[rows.dimension == "observation"]
    refused = _refused(rows)
    seconds = _steady_seconds(watched, shared)
    runs = _runs(rows, watched)
    found = {
        *_reasons(rows, shared, is_lossy=is_lossy, is_refused=bool(refused)),
        *_thinness(seconds, runs),
    }
    reasons = tuple(reason for reason in REASONS if reason in found)
    return {
        "state": state_of(reasons),
        "reasons": reasons,
        "refused": refused or None,
        "runs": runs,
        "steady_seconds": seconds,
        "wall_seconds": _wall_seconds(watched[watched.key == _WINDOWS]),
    }


def _reasons(
    rows: pd.DataFrame, shared: pd.DataFrame, *, is_lossy: bool, is_refused: bool
) -> Iterator[Reason]:
    instances, inputs = objects(rows, "instance"), objects(shared, "input")
    is_all = all(row["loader"] == "core" and row["tier"] == "full" for row in inputs)
    if any(instance["seccomp_mode"] == _SECCOMP_FILTER for instance in instances):
        yield "filter"
        if not is_all:
            yield "refused"  # or not: nobody looked
    if is_refused:
        yield "refused"
    if is_lossy:
        yield "lost"
    watched = rows[rows.dimension == "observation"]
    states = {str(parse_key(key, 2)[1]) for key in watched.key if key not in (_WINDOWS, _PHASE)}
    if "blind" in states:
        yield "blind"
    if states - {"blind"}:
        yield "incomplete"
    if not inputs or truths(inputs, "clean_end") != {True}:
        yield "killed"
    if not any(instance["observed"] == "live" for instance in instances):
        yield "no-start"
    if any(row["loader"] != "core" for row in inputs):
        yield "loader"
    if any(row["tier"] != "full" for row in inputs):
        yield "tier"


def _thinness(steady_seconds: float, runs: int) -> Iterator[Reason]:
    if runs < FEWEST_RUNS and steady_seconds < STEADY_SECONDS:
        yield "short" if steady_seconds else "no-steady"


def _refused(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the calls that a seccomp filter refused the workload itself, by name."""
    denied = rows[(rows.dimension == "denied") & (rows.phase != "runtime")]
    names = set()
    for arch, key in set(zip(denied.arch, denied.key, strict=True)):
        number, action, _ = parse_key(key, 3)
        if action != "log":
            names.add(name_of(str(arch), int(number)) or str(int(number)))
    return tuple(sorted(escape(name) for name in names))


def _steady_seconds(watched: pd.DataFrame, shared: pd.DataFrame) -> float:
    """Return for how long the instances were steady, all together, in whole windows."""
    inputs = shared[shared.dimension == "input"]
    lengths = {
        recording: int(json.loads(key)["window_ms"])
        for recording, key in zip(inputs.recording_id, inputs.key, strict=True)
    }
    steady = watched[(watched.key == _PHASE) & watched.phase.isin(STEADY)]
    windows = steady.groupby("recording_id").windows.sum()
    return sum(int(count) * lengths.get(name, 0) for name, count in windows.items()) / 1000


def _runs(rows: pd.DataFrame, watched: pd.DataFrame) -> int:
    """Return how many instances ran from a start that was seen to an end of their own.

    What was told to end has a phase `shutdown`: a service does not end by itself.
    """
    keys = ["recording_id", "instance_key"]
    told = watched[(watched.key == _PHASE) & (watched.phase == "shutdown")][keys]
    stopped = set(told.itertuples(index=False, name=None))
    instances = rows[rows.dimension == "instance"]
    return len(
        {
            instance
            for recording, instance, key in zip(
                instances.recording_id, instances.instance_key, instances.key, strict=True
            )
            if json.loads(key).get("finished") and (recording, instance) not in stopped
        }
    )


def _wall_seconds(totals: pd.DataFrame) -> float:
    """Return for how long anything of it was watched: overlapping instances count once."""
    total, until = 0, 0
    for first, last in sorted(zip(totals["first"], totals["last"], strict=True)):
        total += max(0, int(last) - max(until, int(first)))
        until = max(until, int(last))
    return round(total / 1e9, 3)
