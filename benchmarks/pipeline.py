"""What the stages after recording cost: rows a second, and how often as much as reading them.

The rows are those of the sample that ships with the repository, many times in a row: later windows,
other processes, the same behaviour.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sklearn

from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target
from ethogram.contracts.baseline import ModelReference
from ethogram.contracts.manifest import DataFile, write_manifest
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from ethogram.indicators.registry import indicators
from ethogram.indicators.rows import completed
from learner.anomaly import fit_model, load_model
from learner.learn import learn
from learner.summary import merge, summarize
from learner.windows import SteadyWindows, steady_windows

__all__ = ["lengthened", "measure"]

_WORKLOADS = 200
Made = TypeVar("Made")


def measure(sample: Path, directory: Path, *, times: int, rounds: int) -> Part:
    """Return a row for each stage over *sample*, *times* in a row; least of *rounds* rounds."""
    say(f"pipeline: {times} times the sample")
    recording = lengthened(Recording.open(sample), directory / "long.rec", times)
    size = sum(recording.table(name).num_rows for name in TABLES)
    reading, _ = _timed(lambda: _read(recording), rounds)
    rows: list[tuple[str, int, float, float]] = []

    def tell(name: str, count: int, seconds: float) -> None:
        rows.append((name, count, count / seconds, seconds / reading))

    tell("read a recording", size, reading)
    tables = _completed(recording)
    judged = sum(table.num_rows for table in tables.values())
    seconds, _ = _timed(lambda: _judge(tables), rounds)
    tell(f"judge by {len(indicators())} indicators", judged, seconds)
    seconds, summary = _timed(lambda: summarize(recording), rounds)
    tell("summarize", size, seconds)
    seconds, _ = _timed(lambda: merge([summary, summary]), rounds)
    tell("merge two summaries", 2 * summary.num_rows, seconds)
    seconds, baselines = _timed(lambda: learn(summary), rounds)
    tell(f"learn {len(baselines)} baselines", summary.num_rows, seconds)
    seconds, found = _timed(lambda: steady_windows([recording]), rounds)
    tell("steady windows", size, seconds)
    windows = max(found.values(), key=len)
    seconds, _ = _timed(lambda: fit_model(windows), rounds)
    tell("fit a model, by window", len(windows), seconds)
    part = Part("pipeline", "What learning costs", f"processor time, least of {rounds} rounds")
    columns = (
        Column("stage"),
        Column("rows", "count"),
        Column("rows a second", "rate"),
        Column("of reading", "ratio"),
    )
    part.tables.append(Table(columns, tuple(rows)))
    score_s = _scoring(windows, rounds)
    part.targets.append(
        Target(f"score a window of {_WORKLOADS} workloads", score_s, 0.2, "seconds")
    )
    return part


def _scoring(windows: SteadyWindows, rounds: int) -> float:
    """Return how long a window of each workload takes to score, by a model of its own."""
    _, data = fit_model(windows)
    digest = hashlib.sha256(data).hexdigest()
    reference = ModelReference(file="model.skops", sha256=digest, sklearn=sklearn.__version__)
    models = [load_model(data, reference) for _ in range(_WORKLOADS)]
    one = [windows.take(np.array([row % len(windows)])) for row in range(_WORKLOADS)]

    def score() -> None:
        for model, window in zip(models, one, strict=True):
            model.score(window)

    return _timed(score, max(rounds, 2))[0]


def _timed(work: Callable[[], Made], rounds: int) -> tuple[float, Made]:
    """Return the least processor time that *work* took, and what it made."""
    least = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        made = work()
        least = min(least, time.process_time() - began)
    return least, made


def _read(recording: Recording) -> int:
    return sum(batch.num_rows for name in TABLES for batch in recording.batches(name))


def _completed(recording: Recording) -> dict[str, pa.Table]:
    """Return each table that an indicator looks at, as it looks at it."""
    executables, instances, processes = (
        recording.table(name) for name in ("executables", "instances", "processes")
    )
    names = sorted({each.metadata.table for each in indicators().values()})
    return {
        name: completed(recording.table(name), executables, instances, processes) for name in names
    }


def _judge(tables: dict[str, pa.Table]) -> int:
    matches = [each.matches(tables[each.metadata.table]) for each in indicators().values()]
    return sum(found.true_count for found in matches)


def lengthened(recording: Recording, path: Path, times: int) -> Recording:
    """Write at *path* what *recording* holds, *times* in a row, and return that recording."""
    path.mkdir()
    manifest = recording.manifest
    files = []
    for name in TABLES:
        table = recording.table(name)
        copies = times if "window" in table.column_names else 1
        whole = pa.concat_tables(_later(table, copy, manifest) for copy in range(copies))
        file = path / f"{name}-00000.parquet"
        pq.write_table(whole, file, compression="zstd")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        files.append(DataFile(path=file.name, table=name, rows=whole.num_rows, sha256=digest))
    windows = manifest.windows * times
    write_manifest(path, manifest.model_copy(update={"files": tuple(files), "windows": windows}))
    return Recording.open(path)


def _later(table: pa.Table, copy: int, manifest: Any) -> pa.Table:
    """Return *table* as it would be *copy* whole recordings later, with processes of its own."""
    shift_ns = copy * manifest.windows * manifest.window_ms * 1_000_000
    columns = {}
    for field in table.schema:
        column = table.column(field.name)
        if field.name == "window":
            column = pc.add(column, pa.scalar(copy * manifest.windows, pa.uint32()))
        elif pa.types.is_timestamp(field.type):
            column = pc.add(column.cast(pa.int64()), shift_ns).cast(field.type)
        elif field.name.endswith("exec_id"):
            column = pc.binary_join_element_wise(column, str(copy), ".")
        columns[field.name] = column
    return pa.table(columns, schema=table.schema)
