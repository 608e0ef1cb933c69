"""A recorder that runs beside what is measured, and what it takes itself."""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ethogram.contracts.recording import Recording
from tests.e2e.command_line import running

__all__ = ["Agent", "map_bytes", "pss_bytes", "recording"]

_END_S = 120


@dataclass(slots=True)
class Agent:
    """A running recorder; *lost*, *size_bytes* and *seconds* are known once it has ended."""

    pid: int
    output: Path
    ready_s: float
    lost: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    programs: tuple[str, ...] = ()
    window_s: list[float] = field(default_factory=list)

    def busy_s(self) -> float:
        """Return the processor time of its threads so far."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in threads) / 1e9


@contextmanager
def recording(
    output: Path, targets: Sequence[str | Path], *options: str, keep: bool = False
) -> Iterator[Agent]:
    """Record *targets*, words such as `--cgroup PATH`, while the block runs.

    The recording is removed in the end unless it is to *keep*.
    """
    began = time.monotonic()
    words = ("record", "-o", output, *targets, *options)
    try:
        with running(*words, ready=output.with_suffix(".ready")) as process:
            ready = time.monotonic()
            agent = Agent(process.pid, output, ready - began)
            yield agent
            agent.seconds = time.monotonic() - ready
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=_END_S)
        if process.returncode:
            raise RuntimeError(f"the recorder ended with {process.returncode}: {said[-300:]}")
        manifest = Recording.open(output).manifest
        agent.lost = manifest.losses
        agent.programs = tuple(
            program.hook for program in manifest.programs if program.state == "attached"
        )
        agent.size_bytes = sum(path.stat().st_size for path in output.glob("*.parquet"))
    finally:
        output.with_suffix(".ready").unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(output, ignore_errors=True)


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
            lines = dict(
                line.split(":", 1) for line in path.read_text().splitlines() if ":" in line
            )
        except FileNotFoundError:
            continue
        if "map_id" in lines:
            sizes[lines["map_id"].strip()] = int(lines["memlock"])
    return sum(sizes.values())
