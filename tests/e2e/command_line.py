"""Runs the installed command line as its users do: as a process of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ethogram.contracts.finding import Finding

__all__ = ["ETHOGRAM", "ethogram", "findings_in", "rest_of", "running"]

# `-P`: the current directory is not on the path, as with the console script.
ETHOGRAM = (sys.executable, "-P", "-c",
            f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
            "from ethogram.cli import main; main()")  # fmt: skip
READY_SECONDS = 30


def ethogram(
    *words: str | Path, timeout_s: float = 120, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run `ethogram WORDS...` to its end."""
    return subprocess.run(
        [*ETHOGRAM, *map(str, words)],
        capture_output=True, text=True, check=False, timeout=timeout_s, **options,
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


def findings_in(lines: Iterable[str]) -> Iterator[Finding]:
    """Yield the findings among *lines* that a watch printed; incidents are left out."""
    for line in lines:
        if line.startswith('{"schema": "ethogram.finding/'):
            yield Finding.model_validate_json(line)


def rest_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what *process* still says until it ends: on standard output, and on the other.

    `communicate` would lose what was read ahead of a line, and begin in the middle of another.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    with ThreadPoolExecutor(2) as pool:  # or who waits for room in the one is never read to its end
        both = [pool.submit(stream.read) for stream in (process.stdout, process.stderr)]
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        out, said = (one.result() for one in both)
        return out, said


@contextmanager
def running(*words: str | Path, ready: Path, stderr: int = subprocess.PIPE) -> Iterator[
    subprocess.Popen[str]
]:  # fmt: skip
    """Run `ethogram WORDS...` while the block runs, which begins once *ready* is there.

    The first word is the command, `record`. A process that is left over is killed.
    """
    process = subprocess.Popen(
        [*ETHOGRAM, str(words[0]), "--ready-file", str(ready), *map(str, words[1:])],
        stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, text=True,
    )  # type: ignore[arg-type]  # fmt: skip
    try:
        _wait(process, ready)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()  # a command that is left over writes to nobody, and ends
        process.wait()


def _wait(process: subprocess.Popen[str], ready: Path) -> None:
    descriptor = os.pidfd_open(process.pid)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        for _ in range(READY_SECONDS * 50):
            if ready.exists():
                return
            if ended.poll(20):
                raise AssertionError(f"it ended before it was ready: {process.communicate()}")
    finally:
        os.close(descriptor)
    raise AssertionError(f"it was not ready after {READY_SECONDS} s")
