"""`ethogram record` and `ethogram watch` around a block: attached before it, stopped after it."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from demo.commands import shielded
from demo.narrator import FalseClaimError, Narrator

__all__ = ["Watch", "recording", "watching"]

POLL_MS = 20
READY_SECONDS = 30
STOP_SECONDS = 60


@contextmanager
def recording(narrator: Narrator, namespace: str, name: str) -> Iterator[None]:
    """Record *namespace* into the narrator's directory as *name* while the block runs.

    Raises FalseClaimError when the recorder does not become ready, or ends in failure.
    """
    words = ["ethogram", "record", "--namespace", namespace, "--inventory", "inventory.json"]
    words += ["--window", "1s", "--ready-file", f"{name}.ready", "-o", name]
    log = narrator.directory / f"{name}.log"
    with log.open("wb") as output, ExitStack() as stack:
        # What it said is shown when it is gone, however that came.
        stack.callback(lambda: narrator.output(log.read_bytes()))
        process = stack.enter_context(_attached(narrator, words, output=output, log=output))
        yield
        _stop(process)
    narrator.claim("the recording is complete", is_true=process.returncode == 0)


class Watch:
    """An `ethogram watch` in *directory*, whose files are called *name*."""

    def __init__(self, directory: Path, name: str) -> None:
        self.findings_file = directory / f"{name}.jsonl"
        self.status_file = directory / f"{name}.status.json"
        self.exit_code: int | None = None

    def findings(self) -> list[dict[str, Any]]:
        """Return what it found so far, as documents; what makes incidents of them is left out."""
        whole, _, _ = self.findings_file.read_bytes().rpartition(b"\n")
        documents = [json.loads(line) for line in whole.splitlines()]
        return [one for one in documents if one["schema"] == "ethogram.finding/1"]

    def wait_until_judged(self) -> None:
        """Return when it has judged everything that happened until now: two windows later."""
        wanted = self._windows() + 2
        for _ in range(READY_SECONDS * 1000 // POLL_MS):
            if self._windows() >= wanted:
                return
            time.sleep(POLL_MS / 1000)
        raise FalseClaimError(f"`ethogram watch` judged no window for {READY_SECONDS} s")

    def _windows(self) -> int:
        if not self.status_file.exists():
            return 0
        # It has no windows before the first has ended.
        return int(json.loads(self.status_file.read_bytes()).get("windows", 0))


@contextmanager
def watching(narrator: Narrator, *words: str, name: str) -> Iterator[Watch]:
    """Run `ethogram watch` with *words* while the block runs; its files are called *name*.

    Raises FalseClaimError when it does not become ready.
    """
    watch = Watch(narrator.directory, name)
    command = ["ethogram", "watch", *words, "--format", "jsonl", "--ready-file", f"{name}.ready"]
    command += ["--window", "1s", "--status", watch.status_file.name]
    log = narrator.directory / f"{name}.log"
    with (
        watch.findings_file.open("wb") as output,
        log.open("wb") as errors,
        ExitStack() as stack,
    ):
        stack.callback(lambda: narrator.output(log.read_bytes()))
        process = stack.enter_context(_attached(narrator, command, output=output, log=errors))
        yield watch
        _stop(process)
    watch.exit_code = process.returncode


@contextmanager
def _attached(
    narrator: Narrator, words: list[str], *, output: BinaryIO, log: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """Start *words*, which say when they are attached; the process is gone when this ends."""
    ready = narrator.directory / words[words.index("--ready-file") + 1]
    with ExitStack() as stack:
        with shielded():
            process = subprocess.Popen(
                narrator.prompt(words),
                cwd=narrator.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=True,
            )
            stack.callback(_end, process)
        _wait_until_ready(process, ready.exists, f"{words[0]} {words[1]}")
        yield process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(STOP_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no recorder behind: it may finish what it has, but not for ever."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(
    process: subprocess.Popen[bytes], is_ready: Callable[[], bool], name: str
) -> None:
    pidfd = os.pidfd_open(process.pid)
    try:
        watch = select.poll()
        watch.register(pidfd, select.POLLIN)
        for _ in range(READY_SECONDS * 1000 // POLL_MS):
            if is_ready():
                return
            if watch.poll(POLL_MS):
                raise FalseClaimError(f"`{name}` ended before it was ready")
    finally:
        os.close(pidfd)
    raise FalseClaimError(f"`{name}` was not ready after {READY_SECONDS} s")
