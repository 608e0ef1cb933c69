"""An attack in a workload that opens files as fast as it can, all of which its baseline has."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cgroups import cgroup
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table
from ethogram.contracts.baseline import dump_baseline, load_baseline
from tests.e2e.command_line import ethogram, findings_in, running
from tests.workloads import build_known, known

__all__ = ["measure"]

_OPEN = ["open", "/etc/hostname", "r"]
_JOIN = 'echo $$ > "$0"/cgroup.procs; exec "$@"'


def measure(directory: Path, *, opens: int) -> Part:
    """Return how fast *opens* files are opened without a watch and with one, which is to tell."""
    say(f"open-storm: {opens:,} opens")
    with cgroup("opens") as place:
        baseline = _learnt(directory, f"/{place.name}")
        alone = opens / _waited(_flood(place, opens))
        words = ("watch", "--baseline", baseline, "--format", "jsonl", "--cgroup", f"/{place.name}")
        with running(*words, ready=directory / "storm.ready") as process:
            floods = _flood(place, opens)
            told_s = _told_after(process, place)
            went_on = any(one.poll() is None for one in floods.processes)
            beside = opens / _waited(floods)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=120)
    rows = (
        ("processes that open files", f"{len(floods.processes)}"),
        ("opens a second, without a watch", f"{alone:,.0f}"),
        ("opens a second, beside a watch", f"{beside:,.0f}"),
        ("a program from memory was told after", f"{told_s * 1e3:.0f} ms"),
        ("and the opens went on meanwhile", "yes" if went_on else "no: let there be more of them"),
        ("events lost", "none" if "nothing lost" in said else "some: see its summary"),
    )
    part = Part("open-storm", "A storm of opens", "the time of the attack has that of its start")
    part.tables.append(Table((Column(f"{opens:,} opens"), Column("")), rows))
    return part


class _Floods:
    """Processes that open files, since when."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self.processes, self.began = processes, time.monotonic()


def _flood(place: Path, opens: int) -> _Floods:
    number = os.cpu_count() or 1
    command = known(["repeat", opens // number, [_OPEN]])
    return _Floods([_started(place, command) for _ in range(number)])


def _started(place: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", _JOIN, str(place), *command], stdout=subprocess.DEVNULL)


def _waited(floods: _Floods) -> float:
    for one in floods.processes:
        if one.wait():
            raise RuntimeError(f"what opened files ended with {one.returncode}")
    return time.monotonic() - floods.began


def _told_after(process: subprocess.Popen[str], place: Path) -> float:
    began = time.monotonic()
    attack = _started(place, known(["memfd-exec", build_known(), "exit"]))
    assert process.stdout is not None
    for line in process.stdout:
        if any(one.process and "memfd:" in one.process.exe for one in findings_in([line])):
            told_s = time.monotonic() - began
            attack.wait()
            return told_s
    raise RuntimeError("the watch ended and never told of the attack")


def _learnt(directory: Path, name: str) -> Path:
    recorded, learnt = directory / "storm", directory / "storm.baselines"
    for words in (
        ("record", "-o", recorded, "--window", "100ms", "--", *known(["repeat", 300, [_OPEN]])),
        ("learn", "--allow", "thin,lossy", "--no-model", recorded, "-o", learnt),
    ):
        done = ethogram(*words)
        if done.returncode:
            raise RuntimeError(f"nothing was learnt: {done.stderr[-500:]}")
    (file,) = learnt.glob("*.baseline.yaml")
    one = load_baseline(file)
    match = one.match.model_copy(update={"kind": "Cgroup", "name": name})
    file.write_text(dump_baseline(one.model_copy(update={"match": match})))
    return learnt
