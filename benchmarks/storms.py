"""Storms: much at once, recorded with the default window and the default rings.

Each storm's generator counts what it did. What the recording says is put beside that: the numbers
must be the same, nothing lost, or exactly as much lost as went beyond a quota.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from benchmarks import many
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target
from demo.containers import Container
from demo.oci import Pod, Spec, bind
from demo.rootfs import busybox_root
from ethogram.contracts.recording import Recording
from profiler.identity.hierarchy import unified_mount
from tests.e2e.cgroups import remove
from tests.e2e.command_line import running
from tests.workloads import Word, build_known, known

__all__ = [
    "QUOTA_FILES",
    "Storm",
    "Told",
    "connections",
    "containers",
    "execs",
    "files",
    "flood",
    "measure",
]

QUOTA_FILES = 60_000  # of a workload, a phase and a window: bpf/maps.h
_A_FILE = 1_000  # actions that one file of the generator has room for
_GETPPID, _POLL = 110, 7
_MEMORY = Path("/dev/shm")  # files are made fastest there


@dataclass(slots=True)
class Told:
    """What a storm did by its own count, and what the recording says of it."""

    name: str
    wanted: int
    recorded: int = 0
    lost: int = 0
    seconds: float = 0.0
    pss_kib: int = 0
    window_ms: float = 0.0
    states: dict[str, set[str]] = field(default_factory=dict)
    losses: list[tuple[str | None, str, str, int]] = field(default_factory=list)


class Storm:
    """A recording with default settings of cgroups of its own, and what the recorder took."""

    def __init__(self, directory: Path, number: int, *, prefix: str = "storm") -> None:
        self.output = directory / f"{prefix}-{secrets.token_hex(3)}"
        self.names = [f"ethogram-{prefix}-{secrets.token_hex(4)}" for _ in range(number)]
        self.cgroups = [unified_mount() / name for name in self.names]
        self.pss_kib = 0
        self.said = ""
        self.seconds = 0.0
        self._process: subprocess.Popen[str] | None = None

    @contextmanager
    def recording(self, *options: str | Path) -> Iterator[Storm]:
        """Record the cgroups while the block runs; then end it in order."""
        with ExitStack() as made:
            for cgroup in self.cgroups:
                cgroup.mkdir()
                made.callback(remove, cgroup)
            targets = [word for name in self.names for word in ("--cgroup", f"/{name}")]
            ready = self.output.with_suffix(".ready")
            words: list[str | Path] = ["record", "-o", self.output, *targets, *options]
            with running(*words, ready=ready) as process:
                self._process = process
                began = time.monotonic()
                yield self
                self.seconds = time.monotonic() - began
                self.look()
                process.send_signal(signal.SIGINT)
                _, self.said = process.communicate(timeout=120)
            if process.returncode:
                raise SystemExit(f"the recorder ended with {process.returncode}:\n{self.said}")

    @property
    def recorder(self) -> int:
        assert self._process is not None
        return self._process.pid

    def look(self) -> None:
        """Note what memory the recorder holds now."""
        self.pss_kib = max(self.pss_kib, pss_kib_of(self.recorder))

    def start(
        self, number: int, *actions: Sequence[Word | Sequence[Any]]
    ) -> subprocess.Popen[bytes]:
        """Start the known workload in cgroup *number*."""
        return self.start_command(number, known(*actions))

    def start_command(self, number: int, command: Sequence[str]) -> subprocess.Popen[bytes]:
        join = self.cgroups[number] / "cgroup.procs"
        return subprocess.Popen(
            command,
            preexec_fn=lambda: join.write_text("0") and None,  # noqa: PLW1509  there is one thread
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def finish(self, *started: subprocess.Popen[bytes]) -> None:
        """Wait until all that was started has ended, looking at the recorder meanwhile."""
        for process in started:
            while process.poll() is None:
                self.pause(process.pid)
            if process.returncode:
                raise SystemExit(f"{process.args!r} ended with {process.returncode}")

    def pause(self, pid: int, seconds: float = 0.2) -> None:
        """Look at the recorder and wait, at most until *pid* ends."""
        self.look()
        descriptor = os.pidfd_open(pid)
        try:
            select.select([descriptor], [], [], seconds)
        finally:
            os.close(descriptor)

    def windows(self) -> int:
        """Return how many windows were written."""
        found = re.search(r'"windows": (\d+)', (self.output / "manifest.json").read_text())
        return int(found[1]) if found else 0

    def next_window(self) -> None:
        """Return once the open window was written."""
        before = self.windows()
        while self.windows() == before:
            self.pause(self.recorder, 0.02)

    def told(self, name: str, wanted: int, recorded: Callable[[Recording], int]) -> Told:
        """Return what came of it."""
        found = Recording.open(self.output)
        workloads = {
            row["workload"]: row["name"].strip("/") for row in found.table("workloads").to_pylist()
        }
        losses = [
            (workloads.get(row["workload"]), row["kind"], row["place"], row["count"])
            for row in found.table("losses").to_pylist()
        ]
        states: dict[str, set[str]] = {}
        for row_ in found.table("coverage").to_pylist():
            states.setdefault(workloads[row_["workload"]], set()).add(row_["state"])
        return Told(
            name, wanted, recorded(found), sum(loss[3] for loss in losses), self.seconds,
            self.pss_kib, states=states, losses=losses,
        )  # fmt: skip


def pss_kib_of(pid: int) -> int:
    """Return the proportional set size of a process in KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


# --- the storms ----------------------------------------------------------------------------------


def _distinct(found: Recording, below: bytes) -> int:
    """Return how many rows of distinct files below a directory there are, over all windows."""
    rows = found.table("files").select(["window", "workload", "path"])
    mine = rows.filter(pc.starts_with(rows["path"], below))
    return int(mine.group_by(["window", "workload", "path"]).aggregate([]).num_rows)


def files(directory: Path, number: int, windows: int) -> Told:
    """Two processes, each a workload, make *number* distinct files each in each of *windows*."""
    storm = Storm(directory, 2)
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name, storm.recording():
        for round_ in range(windows):
            places = [Path(name, f"{round_}-{one}") for one in range(2)]
            for place in places:
                place.mkdir()
            storm.next_window()
            started = [
                storm.start(one, ["burst-open", place, number]) for one, place in enumerate(places)
            ]
            storm.finish(*started)
    return storm.told(
        f"2 processes, {number:,} files each a window",
        2 * number * windows,
        lambda found: _distinct(found, name.encode()),
    )


def flood(directory: Path, beyond: int) -> Told:
    """One workload opens *beyond* files more than its quota in a window, its neighbour 23."""
    storm = Storm(directory, 2, prefix="flood")
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name, storm.recording():
        places = [Path(name, f"{one}") for one in range(2)]
        for place in places:
            place.mkdir()
        storm.next_window()
        flooding = storm.start(0, ["burst-open", places[0], QUOTA_FILES + beyond])
        storm.finish(flooding, storm.start(1, ["burst-open", places[1], 23]))
    return storm.told(
        f"{beyond:,} files beyond the quota",
        QUOTA_FILES + 23,
        lambda found: _distinct(found, name.encode()),
    )


def execs(directory: Path, number: int, processes: int = 2) -> Told:
    """*processes* processes fork and execute together *number* times, one after the other."""
    storm = Storm(directory, processes)
    program = build_known()
    each = number // processes
    with storm.recording():
        began = time.monotonic()
        started = [
            storm.start(one, ["storm-exec", each, program, "exit"]) for one in range(processes)
        ]
        storm.finish(*started)
        seconds = time.monotonic() - began
    told = storm.told("execs", (each + 1) * processes, _execs)
    told.name = f"execs, {(each * processes) / seconds:,.0f}/s"
    return told


def _execs(found: Recording) -> int:
    """Return how many programs were executed and seen to end."""
    rows = found.table("processes").select(["flags", "end", "exit_code", "errno", "phase"])
    mine = [
        row
        for row in rows.to_pylist()
        if not row["flags"] & 1 and row["errno"] is None and row["exit_code"] == 0
    ]
    return len(mine)


def connections(directory: Path, number: int) -> Told:
    """A client connects *number* times to as many addresses of a server: both ends recorded."""
    storm = Storm(directory, 2)
    with storm.recording(), tempfile.TemporaryDirectory() as name:
        ready = Path(name, "ready")
        server = storm.start_command(
            0, known(["listen", 34567, "0.0.0.0"], ["ready", ready], ["accept", number])
        )
        while not ready.exists():
            storm.pause(server.pid, 0.02)
        for first in range(0, number, _A_FILE):
            actions = Path(name, f"{first}")
            actions.write_text(
                "".join(
                    f"connect 127.{1 + (one >> 16)}.{one >> 8 & 255}.{one & 255} 34567\n"
                    for one in range(first, min(first + _A_FILE, number))
                )
            )
            storm.finish(storm.start_command(1, [str(build_known()), "-f", str(actions)]))
        storm.finish(server)
    return storm.told(f"{number:,} connections, both ends", 2 * number, _connections)


def _connections(found: Recording) -> int:
    counted: Counter[str] = Counter()
    for row_ in found.table("network").to_pylist():
        counted[row_["direction"]] += row_["connections"]
    return counted["in"] + counted["out"]


def containers(directory: Path, number: int, *, runtime: str = "runc") -> Told:
    """*number* containers, two at a time, each a pod of its own that makes calls and ends."""
    storm = Storm(directory, 0, prefix="pods")
    namespace = f"storm-{secrets.token_hex(3)}"
    image = busybox_root(directory / f"{namespace}-image")
    # Half a tenth of a second: who it was is asked for while it lives.
    program, *words = known(["call", _GETPPID, 23], ["call", _POLL, 1, 0, 0, 50])

    def live(one: int) -> None:
        uid = f"11111111-1111-4111-8111-{one:012}"
        pod = Pod(namespace, f"pod-{one}", uid, "main", "busybox:1")
        spec = Spec(["/known", *words], mounts=[bind(Path(program), "/known")], pod=pod)
        with Container(image, spec, runtime=runtime) as container:
            ended = container.run()
        if ended.returncode:
            raise SystemExit(f"{runtime} ended with {ended.returncode}: {ended.stderr!r}")

    with storm.recording("--namespace", namespace), ThreadPoolExecutor(2) as pool:
        for _ in pool.map(live, range(number)):
            storm.look()
    return storm.told(f"{number:,} containers of {runtime}", 23 * number, _calls_of_pods)


def _calls_of_pods(found: Recording) -> int:
    """Return the calls of the known workload, where all that made them have another name."""
    rows = [row for row in found.table("syscalls").to_pylist() if row["name"] == "getppid"]
    mine = [row for row in rows if row["phase"] == "startup"]
    assert len({row["workload"] for row in mine}) == len(mine)
    return sum(row["calls"] for row in mine)


def measure(directory: Path, *, share: int) -> Part:
    """Return the part: every storm at a *share*-th of its size."""
    beyond = 10_000 // share
    # What is done; how much of it goes beyond a quota, and is to be lost.
    storms: list[tuple[Callable[[], Told], int]] = [
        (lambda: files(directory, 50_000 // share, 1 if share > 1 else 3), 0),
        (lambda: flood(directory, beyond), beyond),
        (lambda: execs(directory, 90_000 // share), 0),
        (lambda: connections(directory, 10_000 // share), 0),
        (lambda: containers(directory, 200 // share), 0),
        (lambda: containers(directory, 200 // share, runtime="crun"), 0),
    ]
    columns = (
        Column("storm"),
        *(Column(name, "count") for name in ("to record", "recorded", "lost", "to lose")),
        Column("recorder (PSS)", "bytes"),
        Column("workloads"),
    )
    rows: list[tuple[str | float, ...]] = []
    for storm, over in storms:
        told = storm()
        say(f"storms: {told.name}: done")
        states = Counter("/".join(sorted(each)) for each in told.states.values())
        rows.append(
            (told.name, told.wanted, told.recorded, told.lost, over, told.pss_kib * 1024,
             ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
        )  # fmt: skip
    part = Part("storms", "Storms", "default window and rings; each recording has its own cgroups")
    part.tables.append(Table(columns, tuple(rows)))
    missed = sum(abs(row[1] - row[2]) for row in rows)  # type: ignore[operator]
    astray = sum(abs(row[3] - row[4]) for row in rows)  # type: ignore[operator]
    part.targets += [
        Target("not recorded of what was to be", missed, 0, "count"),
        Target("lost but within a quota, or not counted as lost beyond one", astray, 0, "count"),
    ]
    part.tables.append(
        many.measure(directory, number=1_000 // share, windows=1 if share > 1 else 4)
    )
    return part
