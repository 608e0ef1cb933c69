"""Runs a command in a cgroup and says what it took."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Timing", "UnavailableError", "build_timed", "timed"]

_SOURCE = Path(__file__).with_name("timed.c")
_CACHE = Path(__file__).parents[1] / "build" / "benchmarks"


class UnavailableError(Exception):
    """A tool cannot run here; the message is its own."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: that passed; that the command took of the processors; that its *prefix* did too."""

    elapsed: float
    processor: float
    with_prefix: float


@cache
def build_timed() -> Path:
    """Return the compiled program that runs and measures a command."""
    target = _CACHE / f"timed-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", scratch, _SOURCE]
        subprocess.run(command, check=True)
        scratch.replace(target)
    return target


def timed(command: Sequence[str], cgroup: Path | None, *, prefix: Sequence[str] = ()) -> Timing:
    """Run *command* in *cgroup*, below *prefix*; `UnavailableError` where that cannot be."""
    with tempfile.TemporaryDirectory(prefix="ethogram-timed-") as directory:
        output = Path(directory) / "timing"
        words = [*prefix, build_timed(), output, cgroup or "-", *command]
        with (Path(directory) / "said").open("w+b") as said:
            process = subprocess.Popen(
                [os.fspath(word) for word in words], stdin=subprocess.DEVNULL,
                stdout=said, stderr=said,
            )  # fmt: skip
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                process.wait()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            text = said.read().decode("utf-8", "replace").strip()
        if not output.exists():
            message = text.splitlines()[-1] if text else f"it ended with {process.returncode}"
            if prefix:
                raise UnavailableError(message)
            raise RuntimeError(message)
        elapsed, processor, ended = map(int, output.read_text().split())
    if ended:
        raise RuntimeError(f"`{command[0]}` ended with status {ended}: {text[-200:]}")
    return Timing(elapsed / 1e9, processor / 1e9, usage.ru_utime + usage.ru_stime)
