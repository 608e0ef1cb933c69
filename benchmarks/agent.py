"""A recorder that runs beside what is measured, and what it takes itself."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ethogram.contracts.recording import Recording

__all__ = ["Agent", "map_bytes", "pss_bytes", "recording"]

_STAGED = Path(__file__).with_name("staged.py")
_READY_S, _END_S = 60.0, 120.0


@dataclass(slots=True)
class Agent:
    """A running recorder. The last five are known once it has ended.

    *spent*: the seconds of each stage of its start, and of each window that it wrote.
    """

    pid: int
    output: Path
    ready_s: float
    seconds: float = 0.0
    lost: int = 0
    size_bytes: int = 0
    spent: dict[str, list[float]] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()

    def busy_s(self) -> float:
        """Return the processor time of its threads so far."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in threads) / 1e9

    def take(self, spent: dict[str, list[float]]) -> None:
        """Note how it went, by its own account and by the recording's."""
        manifest = Recording.open(self.output).manifest
        self.spent, self.lost = spent, manifest.losses
        self.size_bytes = sum(path.stat().st_size for path in self.output.glob("*.parquet"))
        self.hooks = tuple(each.hook for each in manifest.programs if each.state == "attached")


@contextmanager
def recording(
    output: Path, targets: Sequence[str | Path], *options: str, keep: bool = False
) -> Iterator[Agent]:
    """Record *targets*, words such as `--cgroup PATH`, while the block runs.

    The recording is removed in the end unless it is to *keep*.
    """
    ready, said = (output.with_suffix(suffix) for suffix in (".ready", ".said"))
    words = ["record", "-o", output, "--ready-file", ready, *targets, *options]
    try:
        with said.open("wb") as errors:
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-P", _STAGED, repr(began), *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        try:
            _wait(process, ready, said)
            agent = Agent(process.pid, output, time.monotonic() - began)
            yield agent
            agent.seconds = time.monotonic() - began - agent.ready_s
            process.send_signal(signal.SIGINT)
            process.wait(_END_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            raise RuntimeError(f"the recorder ended with {process.returncode}: {_end_of(said)}")
        agent.take(json.loads(said.read_text().splitlines()[-1]))
    finally:
        ready.unlink(missing_ok=True)
        said.unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(output, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], ready: Path, said: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the recorder did not begin: {_end_of(said)}")
        time.sleep(0.0005)


def _end_of(said: Path) -> str:
    return said.read_text("utf-8", "replace")[-300:]


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of process *pid*."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def map_bytes(pid: int) -> int:
    """Return what the BPF maps that process *pid* has open take of the kernel's memory."""
    sizes: dict[str, int] = {}
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = path.read_text()
        except FileNotFoundError:  # closed meanwhile
            continue
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "map_id" in lines:
            sizes[lines["map_id"].strip()] = int(lines["memlock"])
    return sum(sizes.values())
