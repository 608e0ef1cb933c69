"""How long a watch takes from a call that its baseline lacks to the line on standard output.

Of one program and kind a watch tells the first ten one by one, so the acts are those of several
workloads, one after another.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.agent import recording
from benchmarks.cgroups import cgroups
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target

__all__ = ["measure"]

_LIMIT_S = 0.020
_PAUSE_S = 0.15
_EACH = 27  # acts of one workload: nine of a kind
_READY_S, _LAST_S, _END_S = 60.0, 1.0, 60.0
# Each act is done once it is written down when; the name that a finding has to have comes first.
_ACTOR = """
import os, socket, sys, time
directory, pause_s = sys.argv[1], float(sys.argv[2])
numbers = [int(word) for word in sys.argv[3:]]
said = open(os.path.join(directory, "acts"), "a")
def act(kind, name, do):
    began = time.clock_gettime_ns(time.CLOCK_REALTIME)
    do()
    said.write(f"{kind}\\t{name}\\t{began}\\n")
    said.flush()
    time.sleep(pause_s)
def execute(path):
    if os.fork() == 0:
        os.execv(path, [path])
def peer(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("198.51.100.7", port))
time.sleep(0.5)
for number in numbers:
    path = os.path.join(directory, f"act-{number}")
    match number % 3:
        case 0:
            act("file", path, lambda: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)))
        case 1:
            act("exec", path, lambda: execute(path))
            os.wait()
        case 2:
            act("peer", f":{20000 + number}", lambda: peer(20000 + number))
"""
_DIMENSIONS = {"files": "file", "execs": "exec", "peers": "peer"}


def measure(directory: Path, *, acts: int) -> Part:
    """Return the part: *acts* new files, executables and peers of workloads that are watched."""
    workloads = -(-acts // _EACH)
    part = Part(
        "watch-latency",
        "How fast a watch tells",
        f"{acts} acts of {workloads} workloads, {_PAUSE_S:.2f} s apart: a new file, executable or "
        "peer each; from before the call to its line of JSON",
    )
    actor, base = directory / "actor.py", directory / "latency"
    actor.write_text(_ACTOR)
    base.mkdir()
    for number in range(1, acts, 3):
        shutil.copy("/bin/true", directory / f"act-{number}")
    with cgroups(workloads) as made:
        say("watch-latency: learning what the workloads do")
        with recording(base / "rec", ["--cgroup", made[0].parent], "--window", "100ms", keep=True):
            for place in made:
                _act(place, [actor, directory, 0])
        _run("learn", "--allow", "thin,lossy", "--no-model", base / "rec", "-o", base / "baselines")
        say(f"watch-latency: {acts} acts")
        lines = _watched(base, made, [actor, directory, _PAUSE_S], acts)
    latencies = _latencies((directory / "acts").read_text(), lines)
    every = sorted(one for some in latencies.values() for one in some)
    rows = tuple(_row(kind, sorted(some)) for kind, some in latencies.items())
    columns = (Column("act"), Column("told", "count"),
               *(Column(name, "seconds") for name in ("median", "p90", "p99", "most")))  # fmt: skip
    part.tables.append(Table(columns, (*rows, _row("all", every))))
    late = _at(every, 0.99) if every else None
    part.targets.append(Target("from call to line, p99", late, _LIMIT_S, "seconds"))
    if len(every) < acts:
        part.notes.append(f"{acts - len(every)} of {acts} acts were told within other findings")
    return part


def _run(*words: object) -> None:
    done = subprocess.run(_ethogram(words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`ethogram {words[0]}` failed: {done.stderr[-500:]}")


def _ethogram(words: Sequence[object]) -> list[str]:
    code = "import sys; from ethogram.cli import main; sys.exit(main())"
    return [sys.executable, "-P", "-c", code, *map(str, words)]


def _act(place: Path, words: Sequence[object]) -> None:
    """Let an actor act in the cgroup *place*, until it is done."""
    subprocess.run(
        [sys.executable, *map(str, words)],
        preexec_fn=lambda: (place / "cgroup.procs").write_text("0") and None,
        check=True,
    )


def _watched(
    base: Path, made: Sequence[Path], actor: Sequence[object], acts: int
) -> list[tuple[int, str]]:
    """Return each line that a watch of all that *actor* does printed, and when it came."""
    ready = base / "ready"
    words = ["watch", "--baseline", base / "baselines", "--format", "jsonl", "--ready-file", ready,
             "--cgroup", made[0].parent]  # fmt: skip
    lines: list[tuple[int, str]] = []

    def read(output: Iterable[str]) -> None:
        lines.extend((time.clock_gettime_ns(time.CLOCK_REALTIME), line) for line in output)

    with subprocess.Popen(
        _ethogram(words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as watch:
        assert watch.stdout is not None
        reader = threading.Thread(target=read, args=[watch.stdout])
        reader.start()
        try:
            deadline = time.monotonic() + _READY_S
            while not ready.exists():
                if watch.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the watch did not begin")
                time.sleep(0.01)
            for number, place in enumerate(made):
                _act(place, [*actor, *range(number * _EACH, min(acts, (number + 1) * _EACH))])
            time.sleep(_LAST_S)
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait(_END_S)
            reader.join()
    return lines


def _latencies(acts: str, lines: Sequence[tuple[int, str]]) -> dict[str, list[float]]:
    """Return the seconds from each act to the first line that has its name."""
    told: dict[tuple[str, str], int] = {}
    for came_ns, line in lines:
        evidence = json.loads(line).get("evidence") or {}
        kind = _DIMENSIONS.get(evidence.get("dimension"))
        words = evidence.get("observed", "").replace(",", " ").split()
        for word in words:
            told.setdefault((kind or "", word), came_ns)
            told.setdefault((kind or "", f":{word.rpartition(':')[2]}"), came_ns)
    found: dict[str, list[float]] = {kind: [] for kind in _DIMENSIONS.values()}
    for line in acts.splitlines():
        kind, name, began_ns = line.split("\t")
        if (kind, name) in told:
            found[kind].append((told[kind, name] - int(began_ns)) / 1e9)
    return found


def _row(kind: str, times: Sequence[float]) -> tuple[str, int, float | None, ...]:
    if not times:
        return kind, 0, None, None, None, None
    return kind, len(times), *(_at(times, share) for share in (0.5, 0.9, 0.99)), times[-1]


def _at(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))]
