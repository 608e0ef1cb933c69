"""Commands and signals: what is begun is finished or undone, also when Ctrl-C comes in between."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["run", "shielded"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def shielded() -> Iterator[None]:
    """Hold back the signals that end a program until the block is done, then deliver them.

    Between making a thing and noting that it must be removed nothing may come in between.
    Only the main thread receives signals in Python: in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda received, _: pending.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for received in pending[:1]:
            os.kill(os.getpid(), received)


def run(
    *words: str | Path, check: bool = True, timeout_s: float = 30
) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end, out of the reach of the terminal's Ctrl-C; keep its output.

    Raises CalledProcessError for a failure, unless *check* is false.
    """
    return subprocess.run(
        list(map(str, words)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=check,
        start_new_session=True,
    )
