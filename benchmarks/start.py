"""How long a recorder takes from the start of its process until it records, and with what."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.agent import recording
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target

__all__ = ["STAGES", "measure"]

STAGES = {
    "python": "interpreter, and modules until the command runs",
    "host": "what the host is, and which cgroups are meant",
    "open": "the object opened, the kernel's BTF read",
    "load": "maps made, programs verified",
    "attach": "programs attached",
    "seed": "what runs already",
    "rest": "everything else until it records",
}
_ATTACHING = ("open", "load", "attach")


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
    columns = (
        Column("stage"),
        *(Column(name, "seconds") for name in ("least", "median", "most")),
        Column("what"),
    )
    rows = []
    for name, what in {**STAGES, "total": "ready"}.items():
        values = [stages[name] for stages in seen]
        rows.append((name, min(values), statistics.median(values), max(values), what))
    part.tables.append(Table(columns, tuple(rows)))
    totals = statistics.median(stages["total"] for stages in seen)
    attaching = statistics.median(sum(stages[name] for name in _ATTACHING) for stages in seen)
    part.targets += [
        Target("from process start to ready, median", totals, 1.0, "seconds"),
        Target("of which attaching (open, load, attach), median", attaching, 0.3, "seconds"),
    ]
    return part


def _started(output: Path) -> dict[str, float]:
    """Start a recorder once; return the seconds of each stage."""
    with recording(output, ["--all"]) as agent:
        pass
    stages = {name: sum(agent.spent.get(name, ())) for name in STAGES if name != "rest"}
    stages["rest"] = agent.ready_s - sum(stages.values())
    return stages | {"total": agent.ready_s}
