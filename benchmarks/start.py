"""How long a recorder takes from the start of its process until it records, and with what."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target

__all__ = ["measure"]

_STAGES = {
    "python": "interpreter, and modules until the command runs",
    "host": "what the host is, and which cgroups are meant",
    "open": "the object opened, the kernel's BTF read",
    "load": "loaded: maps made, programs verified",
    "attach": "attached",
    "seed": "what runs already",
    "rest": "everything else until it records",
}
_ATTACHING = ("open", "load", "attach")
_END_S, _READY_S = 60, 30
_STAGED = Path(__file__).with_name("staged.py")


def measure(directory: Path, *, rounds: int) -> Part:
    """Return the part: stages of *rounds* starts, one after the other."""
    part = Part(
        "start",
        "How long a start takes",
        f"from the start of the process of `record --all` to its ready file; {rounds} starts",
    )
    seen = []
    for number in range(rounds):
        if number % 5 == 0:
            say(f"start: {number + 1} of {rounds}")
        seen.append(_started(directory / f"start-{number}"))
    names = [*_STAGES, "total"]
    columns = (
        Column("stage"),
        Column("least", "seconds"),
        Column("median", "seconds"),
        Column("most", "seconds"),
        Column("what"),
    )
    rows = []
    for name in names:
        values = [stages[name] for stages in seen]
        rows.append(
            (name, min(values), statistics.median(values), max(values), _STAGES.get(name, "ready"))
        )
    part.tables.append(Table(columns, tuple(rows)))
    attaching = [sum(stages[name] for name in _ATTACHING) for stages in seen]
    totals = [stages["total"] for stages in seen]
    part.targets += [
        Target("from process start to ready, median", statistics.median(totals), 1.0, "seconds"),
        Target(
            "of which attaching (open, load, attach), median",
            statistics.median(attaching),
            0.3,
            "seconds",
        ),
    ]
    return part


def _started(output: Path) -> dict[str, float]:
    """Start a recorder once; return the seconds of each stage."""
    ready = output.with_suffix(".ready")
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", _STAGED, f"{began!r}",
         "record", "-o", output, "--all", "--ready-file", ready],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while not ready.exists():
            if process.poll() is not None or time.monotonic() - began > _READY_S:
                raise RuntimeError(f"the recorder did not begin: {process.communicate()}")
            time.sleep(0.0005)
        total = time.monotonic() - began
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=_END_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    stages: dict[str, float] = json.loads(said.splitlines()[-1])
    stages["total"] = total
    stages["rest"] = total - sum(stages[name] for name in _STAGES if name != "rest")
    return stages
