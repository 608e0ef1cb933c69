"""What a watch takes of a processor and of memory, beside workloads that behave.

Idle workloads wait; busy ones open some hundred files and make some thousand calls a second,
connect and execute a few times, all of which their baselines have. The baselines are learnt here,
from the same workloads.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agent import Agent, pss_bytes, recording
from benchmarks.cgroups import cgroups
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target, Value, duration
from tests.workloads import actions, build_known

__all__ = ["measure"]

IDLE, BUSY = 50, 10
_STAGED = Path(__file__).with_name("staged.py")
# Of `staged.py`, in the order in which they contain one another.
WATCH_STAGES = (
    "rings between windows",
    "window",
    "  drain",
    "  names",
    "  rows",
    "    appending",
    "    judging",
    "      states",
    "      deviations",
)
_GETPPID, _POLL = 110, 7
_PAUSE_MS = 10
_FILES = ("/etc/passwd", "/etc/group", "/etc/hostname", "/etc/hosts", "/etc/services")
_PORT = 9  # discard: refused, which is what the workload always gets
_LEARN_S, _SETTLE_S = 6.0, 15.0
_READY_S, _END_S = 60.0, 60.0
_MIB = 1 << 20
# Memory of the process by what is mapped; the first that fits.
_KINDS = (
    ("Python and its heap", re.compile(r"\[heap\]|/python[\d.]*$")),
    ("anonymous", re.compile(r"^$|\[anon|\[stack")),
    ("Arrow", re.compile(r"arrow|parquet")),
    ("NumPy", re.compile(r"numpy|openblas")),
    ("BPF maps and rings", re.compile(r"bpf")),
    ("other libraries", re.compile(r"\.so")),
)


@dataclass(frozen=True, slots=True)
class _Cost:
    seconds: float
    share: float
    pss: int
    memory: dict[str, int]
    spent: dict[str, list[float]]
    findings: int


def measure(directory: Path, *, seconds: int, options: Sequence[str] = ()) -> Part:
    """Return the part: a watch of *seconds* of idle workloads, and one with busy ones as well."""
    part = Part(
        "watch-cost",
        "What a watch takes",
        f"`ethogram watch`, {IDLE} idle workloads and {BUSY} busy ones in cgroups of their own, "
        f"{seconds} s each after {_SETTLE_S:.0f} s",
    )
    with cgroups(IDLE + BUSY) as made, _running(made[:IDLE], _idle()):
        baselines = _learnt(directory, made)
        say(f"watch-cost: {IDLE} idle workloads")
        idle = _cost(directory, made[0].parent, baselines, seconds, options)
        say(f"watch-cost: {IDLE} idle workloads and {BUSY} busy ones")
        with _running(made[IDLE:], _busy()):
            busy = _cost(directory, made[0].parent, baselines, seconds, options)
    part.tables += [_shares(idle, busy), _stages(idle, busy), _memory(idle, busy)]
    part.targets += [
        Target("watch, of one processor, with busy workloads", busy.share, 0.01, "share"),
        Target("watch, memory (PSS)", float(busy.pss), 120.0 * _MIB, "bytes"),
    ]
    if found := idle.findings + busy.findings:
        part.notes.append(f"{found} findings: the workloads did what their baselines lack")
    return part


def _idle() -> list[str]:
    return [str(build_known()), *actions(["wait-byte"])]


def _busy() -> list[str]:
    """Return what a busy workload does, for as long as it is let."""
    often = [
        *(["openat", path, "r"] for path in _FILES),
        ["call", _GETPPID, 23],
        ["call", _POLL, 1, 0, 0, _PAUSE_MS],
    ]
    once = [
        ["repeat", 20, often],
        ["connect", "127.0.0.1", _PORT],
        ["spawn", build_known(), "exit"],
    ]
    return [str(build_known()), *actions(["repeat", 10_000_000, once])]


@contextmanager
def _running(places: Sequence[Path], command: Sequence[str]) -> Iterator[None]:
    """Run *command* in each of the cgroups *places* while the block runs."""
    held, kept = os.pipe()  # of which they wait, and nothing comes
    processes = []
    try:
        for place in places:
            join = place / "cgroup.procs"
            processes.append(
                subprocess.Popen(
                    command,
                    stdin=held,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=lambda join=join: join.write_text("0") and None,  # type: ignore[misc]  # noqa: PLW1509
                )
            )
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
        os.close(held)
        os.close(kept)


def _learnt(directory: Path, made: Sequence[Path]) -> Path:
    """Return baselines of all workloads, which are started while they are recorded."""
    say("watch-cost: recording and learning what the workloads do")
    recorded, baselines = directory / "watched", directory / "baselines"
    with (
        recording(recorded, ["--cgroup", made[0].parent], "--window", "1s", keep=True),
        _running(made[:IDLE], _idle()),
        _running(made[IDLE:], _busy()),
    ):
        time.sleep(_LEARN_S)
    words = ["learn", "--allow", "thin,lossy", "--no-model", recorded, "-o", baselines]
    done = subprocess.run(_ethogram(words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the recording teaches nothing: {done.stderr[-500:]}")
    return baselines


def _ethogram(words: Sequence[object]) -> list[str]:
    code = "import sys; from ethogram.cli import main; sys.exit(main())"
    return [sys.executable, "-P", "-c", code, *map(str, words)]


def _cost(
    directory: Path, target: Path, baselines: Path, seconds: int, options: Sequence[str]
) -> _Cost:
    """Return what a watch of *target* takes in *seconds*, after it has seen some windows."""
    ready, said, found = (directory / f"watch.{name}" for name in ("ready", "said", "found"))
    ready.unlink(missing_ok=True)
    began = time.monotonic()
    words = ["watch", "--baseline", baselines, "--format", "jsonl", "--ready-file", ready,
             "--listen", "127.0.0.1:0", "--cgroup", target, *options]  # fmt: skip
    with said.open("wb") as errors, found.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", _STAGED, repr(began), *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
        )  # fmt: skip
    try:
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > began + _READY_S:
                raise RuntimeError(f"the watch did not begin: {said.read_text()[-500:]}")
            time.sleep(0.01)
        time.sleep(_SETTLE_S)
        agent = Agent(process.pid, directory, 0.0)
        since, before = time.monotonic(), agent.busy_s()
        time.sleep(seconds)
        took, busy_s = time.monotonic() - since, agent.busy_s() - before
        pss, memory = pss_bytes(process.pid), _by_kind(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(_END_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    spent = json.loads(said.read_text().splitlines()[-1])
    findings = len(found.read_text().splitlines())
    return _Cost(took, busy_s / took, pss, memory, spent, findings)


def _by_kind(pid: int) -> dict[str, int]:
    """Return the proportional set size of process *pid* by what its mappings are."""
    sizes: dict[str, int] = defaultdict(int)
    kind = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if found := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)$", line):
            name = found[1]
            kind = next((kind for kind, like in _KINDS if like.search(name)), "other files")
        elif line.startswith("Pss:"):
            sizes[kind] += int(line.split()[1]) * 1024
    return dict(sizes)


# --- tables ----------------------------------------------------------------------------------


def _shares(idle: _Cost, busy: _Cost) -> Table:
    columns = (Column(""), Column("idle"), Column("idle and busy"))
    rows = (
        ("of one processor", f"{idle.share:.2%}", f"{busy.share:.2%}"),
        ("memory (PSS)", _mib(idle.pss), _mib(busy.pss)),
    )
    return Table(columns, rows)


def _stages(idle: _Cost, busy: _Cost) -> Table:
    """Return what each stage took of a second, and how long it takes; stages contain others."""
    names = [name for name in WATCH_STAGES if name in busy.spent]
    columns = [Column("stage (a part of another behind its dashes)")]
    for name in ("idle", "idle and busy"):
        columns += [Column(f"{name}: ms a second"), Column("times"), Column("median")]
    rows: list[tuple[Value, ...]] = []
    for name in names:
        row: list[Value] = [name.replace("  ", "- ")]
        for cost in (idle, busy):
            times = sorted(cost.spent.get(name, ()))
            lived = cost.seconds + _SETTLE_S
            median = times[len(times) // 2] if times else 0.0
            row += [f"{1e3 * sum(times) / lived:.2f}", str(len(times)), duration(median)]
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows))


def _memory(idle: _Cost, busy: _Cost) -> Table:
    columns = (Column("memory by what is mapped"), Column("idle"), Column("idle and busy"))
    kinds = sorted(busy.memory, key=lambda kind: -busy.memory[kind])
    rows = tuple((kind, _mib(idle.memory.get(kind, 0)), _mib(busy.memory[kind])) for kind in kinds)
    return Table(columns, rows)


def _mib(size: int) -> str:
    return f"{size / _MIB:.1f} MiB"
