"""Finds what indicators condemn in a recording: suspect processes, and what they and theirs did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.tables import ENUMS
from ethogram.indicators.protocol import Indicator
from learner.cells import Cells
from learner.context import Context
from learner.judging import Suspects, judge, judged_refusals
from learner.taint import Taint

__all__ = ["taint_by", "taint_of"]

_EXEC = ENUMS["phase"].index("exec")


def taint_of(context: Context, indicators: Iterable[Indicator]) -> Taint:
    """Return what *indicators* condemn in the recording of *context*."""
    rules = tuple(indicators)
    suspects = Suspects()
    for table in sorted({rule.metadata.table for rule in rules} | {"denied"}):
        for batch in context.recording.batches(table):
            suspects.take(_suspects_in(context, rules, table, batch))
    return taint_by(context, rules, suspects)


def taint_by(context: Context, rules: tuple[Indicator, ...], suspects: Suspects) -> Taint:
    """Return what *rules* condemn where *suspects* are whom they suspect."""
    if not suspects:
        return Taint(rules, context)
    processes = _processes(context)
    tree = _spread(_roots(suspects, processes), _children(processes))
    if not tree:
        return Taint(rules, context)
    lives, files = Cells(), Cells()
    for process, bits in _rows_of(processes, tree):
        for window in range(process.first_window, process.last_window + 1):
            lives.add(process.instance, process.phase == _EXEC, window, bits)
            files.add(process.instance, process.exe, window, bits)
    peers = files.copy()
    for process, bits in _rows_of(processes, tree):
        for exe in _ancestor_exes(processes, process.exec_id, tree):
            for window in range(max(0, process.first_window - 1), process.last_window + 1):
                peers.add(process.instance, exe, window, bits)
    return Taint(rules, context, tree, files, peers, lives)


def _suspects_in(
    context: Context, rules: tuple[Indicator, ...], table: str, batch: pa.RecordBatch
) -> Suspects:
    rows = pa.Table.from_batches([batch])
    if table == "denied":
        return judged_refusals(rules, rows, context)
    found = Suspects()
    found.add_rows(rows, judge(rules, table, rows, context).tainting)
    return found


def _processes(context: Context) -> pd.DataFrame:
    """Return the processes by `exec_id`, with the windows in which each lived."""
    table = context.recording.table("processes")
    columns = ["exec_id", "parent_exec_id", "fork_parent_exec_id", "tgid", "exe", "instance"]
    frame: pd.DataFrame = table.select(columns).to_pandas()
    phases = table.column("phase").combine_chunks()
    codes = phases.indices if not isinstance(phases, pa.ChunkedArray) else pa.array([], pa.int8())
    frame["phase"] = codes.to_numpy(zero_copy_only=False)
    start = table.column("start").cast(pa.int64()).to_numpy()
    forever = np.iinfo(np.int64).max
    end = pc.fill_null(table.column("end").cast(pa.int64()), forever).to_numpy()
    frame["start"], frame["end"] = start, end
    frame["first_window"] = context.windows.at(start)
    last = context.windows.at(np.minimum(end, forever - 1))
    newest = int(context.windows.numbers[-1]) if len(context.windows.numbers) else 0
    written = table.column("window").to_numpy().astype(np.int64)
    last = np.where(end == forever, np.maximum(newest, written), last)
    frame["last_window"] = np.maximum(frame["first_window"], last)
    return frame.set_index("exec_id", drop=False)


def _roots(suspects: Suspects, processes: pd.DataFrame) -> dict[str, int]:
    """Return the processes that *suspects* are, with their bits."""
    roots: dict[str, int] = defaultdict(int, suspects.exec_ids)
    for (instance, exe, window), bits in suspects.cells.items():
        living = processes[
            (processes.instance == instance)
            & (processes.exe == exe)
            & (processes.first_window <= window)
            & (processes.last_window >= window)
        ]
        for name in living.exec_id:
            roots[name] |= bits
    return dict(roots)


def _children(processes: pd.DataFrame) -> dict[str, list[str]]:
    """Return what each process started, and what it became by executing again."""
    children: dict[str, list[str]] = defaultdict(list)
    for column in ("parent_exec_id", "fork_parent_exec_id"):
        known = processes[processes[column].notna()]
        for parent, child in zip(known[column], known.exec_id, strict=True):
            children[parent].append(child)
    ordered = processes.sort_values(["instance", "tgid", "start"], kind="stable")
    following = ordered.shift(-1)
    # A later process with a recycled number began after the earlier one had ended.
    is_same = (
        (ordered.instance == following.instance)
        & (ordered.tgid == following.tgid)
        & (ordered.end >= following.start)
    )
    for before, after in zip(ordered.exec_id[is_same], following.exec_id[is_same], strict=True):
        children[before].append(after)
    return children


def _spread(roots: dict[str, int], children: Mapping[str, list[str]]) -> dict[str, int]:
    """Return *roots* and all that descends from them, each with the bits of its ancestors."""
    tree: dict[str, int] = defaultdict(int)
    pending = list(roots.items())
    while pending:
        name, bits = pending.pop()
        if tree[name] | bits == tree[name]:
            continue
        tree[name] |= bits
        pending.extend((child, tree[name]) for child in children.get(name, ()))
    return dict(tree)


def _rows_of(processes: pd.DataFrame, tree: Mapping[str, int]) -> Iterator[tuple[Any, int]]:
    known = processes[processes.exec_id.isin(tree.keys())]
    for row in known.itertuples(index=False):
        yield row, tree[str(row.exec_id)]


def _ancestor_exes(processes: pd.DataFrame, exec_id: str, tree: Mapping[str, int]) -> Iterator[int]:
    """Yield the executables of the ancestors of *exec_id* that are not of the tree."""
    seen = {exec_id}
    pending = [exec_id]
    while pending:
        name = pending.pop()
        if name not in processes.index:
            continue
        row: Any = processes.loc[name]
        if name not in tree:
            yield int(row.exe)
        for parent in (row.parent_exec_id, row.fork_parent_exec_id):
            if isinstance(parent, str) and parent not in seen:
                seen.add(parent)
                pending.append(parent)
