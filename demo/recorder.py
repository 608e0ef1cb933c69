"""`ethogram record` around a block: attached before it begins, stopped and shown after it."""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from demo.commands import shielded
from demo.narrator import FalseClaimError, Narrator

__all__ = ["recording"]

POLL_MS = 20
READY_SECONDS = 30
STOP_SECONDS = 60


@contextmanager
def recording(narrator: Narrator, namespace: str, name: str) -> Iterator[None]:
    """Record *namespace* into the narrator's directory as *name* while the block runs.

    The block begins once the programs are attached, and the recorder is gone when this ends,
    whatever happened. Raises FalseClaimError when it does not become ready, or ends in failure.
    """
    ready = narrator.directory / f"{name}.ready"
    words = ["ethogram", "record", "--namespace", namespace, "--inventory", "inventory.json"]
    words += ["--window", "1s", "--ready-file", ready.name, "-o", name]
    log = narrator.directory / f"{name}.log"
    with log.open("wb") as output, ExitStack() as stack:
        stack.callback(lambda: narrator.output(log.read_bytes()))
        with shielded():
            process = subprocess.Popen(
                narrator.prompt(words),
                cwd=narrator.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            stack.callback(_end, process)
        _wait_until_ready(process, ready.exists)
        yield
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
    narrator.claim("the recording is complete", is_true=process.returncode == 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no recorder behind: it may finish what it has, but not for ever."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> None:
    pidfd = os.pidfd_open(process.pid)
    try:
        watch = select.poll()
        watch.register(pidfd, select.POLLIN)
        for _ in range(READY_SECONDS * 1000 // POLL_MS):
            if is_ready():
                return
            if watch.poll(POLL_MS):
                raise FalseClaimError("`ethogram record` ended before it was ready")
    finally:
        os.close(pidfd)
    raise FalseClaimError(f"`ethogram record` was not ready after {READY_SECONDS} s")
