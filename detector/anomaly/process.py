"""The scorer: a process beside the watch, which has no privilege and may end at any time.

It reads messages from the socket that is its standard input, and answers each. Models come as
descriptors of open files: it opens none itself.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.anomaly.frames import Frame, Frames, packed
from profiler import privileges

if TYPE_CHECKING:
    from detector.anomaly.scoring import Scoring

__all__ = ["OUT_OF_MEMORY", "main"]

OUT_OF_MEMORY = 70  # the exit code
_NICENESS = 10
_PR_SET_PDEATHSIG = 1
_MOST_FILES = 256
_DESCRIPTORS = 16  # that come with one part of a message
_MOST_MODEL_BYTES = 64 << 20
_AT_ONCE = 1 << 16


def main() -> None:
    """Answer until the watch hangs up; the only argument is how many bytes it may map."""
    _confine(int(sys.argv[1]))
    with socket.socket(fileno=0) as connection:
        try:
            _serve(connection)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except OSError:
            pass  # the watch has ended


def _confine(memory_bytes: int) -> None:
    """Give up what is not needed: privileges, the turn of others, memory, files."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # those are for the watch, which then hangs up
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_NOFILE, _MOST_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    privileges.drop(frozenset())


def _serve(connection: socket.socket) -> None:
    from detector.anomaly.scoring import Scoring  # noqa: PLC0415  scikit-learn, once confined

    def say(header: dict[str, Any]) -> None:
        connection.sendall(packed(header))

    scoring, frames, files = Scoring(say), Frames(), deque[int]()
    say({"kind": "ready"})
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, _AT_ONCE, _DESCRIPTORS)
        files.extend(descriptors)
        if not data:
            return
        for frame in frames.feed(data):
            _take(scoring, frame, files)


def _take(scoring: Scoring, frame: Frame, files: deque[int]) -> None:
    from detector.anomaly.pieces import Piece  # noqa: PLC0415  with numpy, once confined
    from ethogram.contracts.baseline import ModelReference  # noqa: PLC0415

    header = frame.header
    match header["kind"]:
        case "model":
            reference = ModelReference.model_validate(header["reference"])
            with open(files.popleft(), "rb") as file:  # noqa: PTH123  a descriptor
                data = file.read(_MOST_MODEL_BYTES + 1)
            scoring.load(header["number"], reference, data)
        case "forget":
            scoring.forget(header["number"])
        case "piece":
            scoring.score(header["number"], Piece.of_frame(frame))
