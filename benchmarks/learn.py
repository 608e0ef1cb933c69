"""Measure how fast, and in how much memory, a month of many workloads becomes baselines.

`python benchmarks/learn.py` makes recordings of a hundredth, a tenth and the whole of `--rows` rows
from a seed, and runs `ethogram learn --no-model` on each, as a user would. It prints a table, or
JSON. What it took is told, never judged by an exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

if __package__ is None:  # started as a file
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts
from benchmarks.made import Shape, make
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target, as_json, as_text

__all__ = ["Run", "learn", "main", "measure"]

_SAMPLED_S = 0.2
_WHOLE = 100_000_000
_LIMIT_S, _LIMIT_BYTES = 120.0, 2 << 30


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of `learn` took: *cpu_s* and *peak_bytes* are those of all its processes."""

    rows: int
    jobs: int
    seconds: float
    cpu_s: float
    peak_bytes: int
    baselines: int
    rules: int


def learn(recording: Path, out: Path, *, rows: int, jobs: int) -> Run:
    """Run `ethogram learn` on *recording* with *jobs* processes; return what it took."""
    command = [
        sys.executable, "-c", "import sys; from ethogram.cli import main; sys.exit(main())",
        "learn", str(recording), "-o", str(out), "--no-model", "--allow", "thin",
        "--jobs", str(jobs),
    ]  # fmt: skip
    shutil.rmtree(out, ignore_errors=True)
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        peak = 0
        cpu_s: dict[int, float] = {}
        while process.poll() is None:
            tree = list(_tree(process.pid))
            peak = max(peak, sum(map(_resident, tree)))
            cpu_s |= {pid: used for pid in tree if (used := _used(pid))}
            time.sleep(_SAMPLED_S)
        seconds = time.monotonic() - began
        said.seek(0)
        if process.returncode:
            raise SystemExit(f"`learn` failed: {said.read().decode(errors='replace')}")
    files = list(out.glob("*.baseline.yaml"))
    rules = sum(file.read_bytes().count(b"\n    - id: ") for file in files)
    return Run(
        rows=rows,
        jobs=jobs,
        seconds=seconds,
        cpu_s=sum(cpu_s.values()),
        peak_bytes=peak,
        baselines=len(files),
        rules=rules,
    )


def _tree(pid: int) -> Iterator[int]:
    """Yield *pid* and all that descend from it."""
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listed.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _tree(int(child))


def _used(pid: int) -> float:
    """Return the processor time of a process so far, in seconds; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    """Return the memory of a process without what it shares twice (PSS); 0 where it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
    return int(found[0]) * 1024 if found else 0


def measure(directory: Path, *, rows: int, jobs: int, seed: int) -> Part:
    """Return the part: *rows* and fractions of them with *jobs* processes, the whole with one."""
    part = Part(
        "learn",
        "How fast a month of recordings becomes baselines",
        "`ethogram learn --no-model`, one run each; memory is the peak of all processes (PSS)",
    )
    runs = []
    for share in (100, 10, 1):
        made, count = directory / f"made-{share}.rec", rows // share
        say(f"learn: making {count:,} rows")
        total = make(made, Shape(count, seed=seed))
        for processes in [jobs, 1] if share == 1 and jobs > 1 else [jobs]:
            say(f"learn: {total:,} rows with {processes} processes")
            runs.append(learn(made, directory / "baselines", rows=total, jobs=processes))
        shutil.rmtree(made)
    part.tables.append(_table(runs))
    whole = [run for run in runs if run.rows == runs[-1].rows]
    part.targets += [
        Target(f"time for {whole[0].rows:,} rows", whole[0].seconds, _LIMIT_S, "seconds"),
        Target(f"memory for {whole[0].rows:,} rows", whole[0].peak_bytes, _LIMIT_BYTES, "bytes"),
    ]
    if len(whole) > 1:
        ratio = whole[1].seconds / whole[0].seconds
        part.notes.append(f"{jobs} processes are {ratio:.2f} times as fast as one")
    part.notes.append(
        "made by a seed: 200 workloads with 3 instances over 30 days; 60 % system calls, 20 % "
        "files, of which 2 % are new each day, by Zipf's law, 10 % network, 10 % the rest"
    )
    return part


def _table(runs: list[Run]) -> Table:
    columns = (
        Column("rows"),
        Column("processes", "count"),
        Column("time", "seconds"),
        Column("processor time", "seconds"),
        Column("rows a second", "rate"),
        Column("memory", "bytes"),
        Column("baselines", "count"),
        Column("rules", "count"),
    )
    rows = tuple(
        (
            f"{run.rows:,}",
            run.jobs,
            run.seconds,
            run.cpu_s,
            run.rows / run.seconds,
            run.peak_bytes,
            run.baselines,
            run.rules,
        )
        for run in runs
    )
    return Table(columns, rows)


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python benchmarks/learn.py", description=__doc__)
    parser.add_argument("--rows", type=int, default=_WHOLE, help="default: 100 million")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--directory", type=Path, help="for what is made; some 2 GB")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ethogram-learn-", dir=options.directory) as directory:
        part = measure(Path(directory), rows=options.rows, jobs=options.jobs, seed=options.seed)
    if options.format == "json":
        machine = {**facts(), "command": shlex.join(["python", *sys.argv])}
        print(json.dumps(as_json([part], machine), indent=2))
    else:
        print(as_text(part))


if __name__ == "__main__":
    main()
