"""The benchmarks run, on this kernel: what they find is nobody's to judge here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import many
from profiler.identity.hierarchy import unified_mount

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
LOOPS = ["calls", "files", "processes", "connections"]
STATES = [
    "nothing", "empty enter", "empty hooks", "full", "beside", "no results", "light", "strace -c",
]  # fmt: skip


def measured(*names: str) -> dict[str, dict[str, Any]]:
    """Run the parts *names* in their quickest form; return each by its name."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--quick", "--only", ",".join(names),
         "--format", "json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        said, errors = process.communicate(timeout=150)
    assert process.returncode == 0, errors
    assert left_of(process.pid) == []
    return {part["name"]: part for part in json.loads(said)["parts"]}


def left_of(pid: int) -> list[Path]:
    """Return the cgroups that benchmarks in process *pid* left."""
    return list(unified_mount().glob(f"ethogram-bench-{pid}-*"))


def rows(part: dict[str, Any], table: int = 0) -> dict[str, list[Any]]:
    return {row[0]: row[1:] for row in part["tables"][table]["rows"]}


def test_loops_are_measured_in_every_state() -> None:
    parts = measured(*LOOPS)
    assert list(parts) == LOOPS
    for part in parts.values():
        found = rows(part)
        assert [state for state in STATES if state not in found] == []
        assert all(values[0] > 0 for values in found.values())
    # Tools that are only compared with may be missing, but not without a word.
    said = " ".join(parts["calls"]["notes"])
    assert [n for n in ("bpftrace", "perf trace") if n not in rows(parts["calls"])
            and n not in said] == []  # fmt: skip
    assert len(parts["calls"]["targets"]) == 2
    assert "nothing lost" in parts["connections"]["notes"]


def test_a_start_is_measured_by_its_stages() -> None:
    part = measured("start")["start"]
    found = rows(part)
    assert list(found) == ["python", "host", "open", "load", "attach", "seed", "rest", "total"]
    assert sum(values[0] for name, values in found.items() if name != "total") <= found["total"][2]
    assert len(part["targets"]) == 2


def test_services_that_are_installed_are_measured_in_every_state() -> None:
    part = measured("services")["services"]
    said = " ".join(part["notes"])
    for name in ("nginx", "redis", "PostgreSQL", "make"):
        states = [key.split(": ")[1] for key in rows(part) if key.startswith(f"{name},")]
        assert states == ["nothing", "empty hooks", "full", "light"] or name in said
    names = {key.split(",")[0] for key in rows(part)}
    assert "make" in names
    assert set(rows(part, 1)) == names
    assert len(rows(part, 2)) == 1
    assert len(part["targets"]) == 2 * len(names) + 1


def test_memory_is_measured_and_calculated() -> None:
    part = measured("memory")["memory"]
    process, compared, larger, maps = (rows(part, table) for table in range(4))
    assert all(value > 1 << 20 for (value,) in process.values())
    assert all(0.9 < values[2] < 1.1 for values in compared.values())
    assert len(part["tables"][2]["rows"]) == 12
    assert set(larger) == {"2", "16", "64", "128"}
    assert "files" in maps


def test_workloads_at_once_are_each_recorded(tmp_path: Path) -> None:
    found = {row[0]: row[1] for row in many.measure(tmp_path, number=7, windows=1).rows}
    assert found["of which calls were recorded"] == "7"
    assert found["events lost"] == "0"
    assert len(found) == 7
    assert left_of(os.getpid()) == []


def test_an_interrupt_leaves_nothing_behind() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--only", "services"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "round 1 of" in line:
                break
        servers = [
            int(pid)
            for cgroup in left_of(process.pid)
            for pid in (cgroup / "cgroup.procs").read_text().split()
        ]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert left_of(process.pid) == []
    assert [pid for pid in servers if Path(f"/proc/{pid}").exists()] == []


def test_cgroups_that_come_and_go_lose_a_watch_nothing() -> None:
    part = measured("churn")["churn"]
    assert rows(part)["events lost"] == ["none"]
    assert part["targets"][0]["verdict"] == "reached"
