"""The sensor's end of the scorer: gives it models and pieces, starts it again when it ends.

Everything that takes its time happens in a thread. What the sensor calls returns at once.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from detector.anomaly.frames import Frames, packed
from detector.anomaly.model_files import open_model
from detector.anomaly.process import OUT_OF_MEMORY
from detector.anomaly.replies import REPLY, Loaded, Ready, Refused, Reply, Scored
from ethogram.contracts.baseline import ModelReference
from ethogram.contracts.baseline_places import BaselineFile
from ethogram.errors import EthogramError

__all__ = ["DEFAULT_MEMORY", "Patience", "Scorer", "ScorerState", "Wanted"]

DEFAULT_MEMORY = 1 << 30
ScorerState = Literal["idle", "starting", "scoring", "restarting"]
_MOST_BYTES = 8 << 20  # of pieces that wait
_MOST_REPLIES = 10_000
_MOST_REPLY_BYTES = 1 << 20
_TICK_S = 1.0
# One thread each, few arenas: every one of them maps memory, of which there is a limit.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


# Of the watch's own it gets what Python needs, and no credentials.
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL")


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | _ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model, by the baseline that names it."""

    baseline: BaselineFile
    reference: ModelReference


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, the scorer may take before it is killed, and is left alone after.

    *start_s* until it is ready, *model_s* for a model, which may have to be fitted again, *piece_s*
    for a piece. After it ended it is started again after *first_s*, then twice as long each time up
    to *longest_s*; one that scored something begins anew. A model that cannot be read is tried
    again after *again_s*.
    """

    start_s: float = 120.0
    model_s: float = 300.0
    piece_s: float = 30.0
    first_s: float = 1.0
    longest_s: float = 300.0
    again_s: float = 30.0


class Scorer:
    """Runs the scorer while there are models for it, from `start` on. `close` in every case."""

    def __init__(self, *, memory_bytes: int = DEFAULT_MEMORY, patience: Patience | None = None):
        self._memory_bytes = memory_bytes
        self._patience = patience or Patience()
        self._lock = threading.Condition()
        self._wanted: dict[int, Wanted] = {}
        self._pieces: deque[bytes] = deque()
        self._piece_bytes = 0
        self._replies: deque[Reply] = deque()
        self._is_over = False
        self._unanswered = 0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)
        self.state: ScorerState = "idle"
        self.pid: int | None = None
        self.restarts = 0
        self.dropped = 0
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin, once privileges are dropped: a thread that was there before keeps its own."""
        self._thread.start()

    # --- what the sensor says ----------------------------------------------------------------

    def want(self, models: Mapping[int, Wanted]) -> None:
        """Have these models asked, and no others; one number is one model for ever."""
        if models == self._wanted:
            return
        with self._lock:
            self._wanted = dict(models)
        self._ring()

    def offer(self, piece: bytes) -> None:
        """Take *piece*, a message; dropped, and counted, where too many wait."""
        with self._lock:
            if self._piece_bytes + len(piece) > _MOST_BYTES:
                self.dropped += 1
                return
            self._pieces.append(piece)
            self._piece_bytes += len(piece)
        self._ring()

    def take(self) -> list[Reply]:
        """Return what it said since this was asked last."""
        with self._lock:
            taken = list(self._replies)
            self._replies.clear()
        return taken

    def settle(self, patience_s: float) -> None:
        """Wait until everything is answered, at most so long."""
        with self._lock:
            self._lock.wait_for(
                lambda: (
                    self.state not in {"starting", "scoring"}
                    or not (self._pieces or self._unanswered)
                ),
                timeout=patience_s,
            )

    def close(self) -> None:
        """End it."""
        self._is_over = True
        self._ring()
        if self._thread.ident is not None:
            self._thread.join(timeout=5.0)
        if not self._thread.is_alive():
            os.close(self._wake)

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_write(self._wake, 1)

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._is_over:
            if not self._wanted:
                self._pause(_TICK_S)
                continue
            has_scored, trouble = self._served()
            self._forget_pieces()
            if trouble is None:
                self.state, failures = "idle", 0
                continue
            failures = 1 if has_scored else failures + 1
            self.trouble, self.state = trouble, "restarting"
            self.restarts += 1
            until = time.monotonic() + min(
                self._patience.longest_s, self._patience.first_s * 2 ** min(failures - 1, 16)
            )
            while not self._is_over and (left := until - time.monotonic()) > 0:
                self._pause(left)
                self._forget_pieces()  # what it sees next follows nothing

    def _served(self) -> tuple[bool, str | None]:
        """Run one process to its end; return whether it scored, and why it ended, as `serve`."""
        try:
            run = _Run(self)
        except OSError as error:
            return False, f"it cannot be started: {(error.strerror or str(error)).lower()}"
        try:
            trouble = run.serve()
            return run.has_scored, trouble
        finally:
            run.close()

    def _pause(self, seconds: float) -> None:
        if select.select([self._wake], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)

    def _forget_pieces(self) -> None:
        with self._lock:
            self.dropped += len(self._pieces) + self._unanswered
            self._pieces.clear()
            self._piece_bytes = self._unanswered = 0
            self._lock.notify_all()

    # --- for a run of it -----------------------------------------------------------------------

    @property
    def is_wanted(self) -> bool:
        return bool(self._wanted) and not self._is_over

    def next_piece(self) -> bytes | None:
        """Return the piece that waits longest; it counts as not answered from then on."""
        with self._lock:
            if not self._pieces:
                return None
            piece = self._pieces.popleft()
            self._piece_bytes -= len(piece)
            self._unanswered += 1
            return piece

    def heard(self, reply: Reply) -> None:
        """Take what the scorer said; a sensor that does not ask for it loses the oldest."""
        with self._lock:
            if isinstance(reply, Scored):
                self._unanswered = max(0, self._unanswered - 1)
                self._lock.notify_all()
            if len(self._replies) >= _MOST_REPLIES:
                self._replies.popleft()
                self.dropped += 1
            self._replies.append(reply)


class _Run:
    """One process, from its start to its end. The sensor's thread never comes here."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._patience = scorer._patience
        self._connection, theirs = socket.socketpair()
        self._connection.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and words
                # `-P`: the current directory is not on the path.
                [sys.executable, "-P", "-c", "from detector.anomaly.process import main; main()",
                 str(scorer._memory_bytes)],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=_environment(), start_new_session=True,
            )  # fmt: skip
        scorer.pid, scorer.state = self._process.pid, "starting"
        self._frames = Frames(_MOST_REPLY_BYTES)
        self._known: dict[int, Wanted] = {}
        self._again: dict[int, float] = {}
        self._out: deque[tuple[bytes, int | None]] = deque()
        self._awaited: deque[tuple[str, float]] = deque([("ready", self._now())])
        self.has_scored = False

    @staticmethod
    def _now() -> float:
        return time.monotonic()

    def close(self) -> None:
        """End the process."""
        self._scorer.pid = None
        self._connection.close()
        for _, descriptor in self._out:
            if descriptor is not None:
                os.close(descriptor)
        self._process.kill()
        self._process.wait()

    def serve(self) -> str | None:
        """Serve until it is wanted no more, and return None, or until it fails, and why."""
        poll = select.poll()
        poll.register(self._scorer._wake, select.POLLIN)
        while self._scorer.is_wanted:
            try:
                self._push()
                events = select.POLLIN | (select.POLLOUT if self._out else 0)
                poll.register(self._connection, events)
                poll.poll(_TICK_S * 1000)
                with suppress(BlockingIOError):
                    os.eventfd_read(self._scorer._wake)
                if not self._receive():
                    return self._why_ended()
            except (ValueError, ValidationError):
                return "it said what nobody understands"
            except OSError:
                return self._why_ended()
            if late := self._late():
                return late
        return None

    def _push(self) -> None:
        """Send what is wanted of it: models first, then pieces, as long as it takes them."""
        if self._scorer.state != "scoring":
            return  # until it is ready pieces wait where they are counted
        self._give_models()
        self._send()
        while not self._out and (piece := self._scorer.next_piece()) is not None:
            self._put("piece", piece)
            self._send()

    def _give_models(self) -> None:
        wanted = dict(self._scorer._wanted)
        now = self._now()
        for number in [one for one in self._known if one not in wanted]:
            del self._known[number]
            self._out.append((packed({"kind": "forget", "number": number}), None))
        for number, one in wanted.items():
            if number in self._known and self._again.get(number, now + 1) > now:
                continue
            self._known[number] = one
            self._again.pop(number, None)
            try:
                descriptor = open_model(one.baseline, one.reference.file)
            except EthogramError as error:
                self._refused(Refused(kind="refused", model=number, reason=error.message[:2000]))
                continue
            reference = one.reference.model_dump(mode="json", exclude_none=True)
            header = {"kind": "model", "number": number, "reference": reference}
            self._put("model", packed(header), descriptor)

    def _refused(self, reply: Refused) -> None:
        self._again[reply.model] = self._now() + self._patience.again_s
        self._scorer.heard(reply)

    def _put(self, kind: str, message: bytes, descriptor: int | None = None) -> None:
        self._awaited.append((kind, self._now()))
        self._out.append((message, descriptor))

    def _send(self) -> None:
        while self._out:
            message, descriptor = self._out[0]
            try:
                if descriptor is None:
                    sent = self._connection.send(message)
                else:
                    sent = socket.send_fds(self._connection, [message], [descriptor])
                    os.close(descriptor)
            except BlockingIOError:
                return
            self._out.popleft()
            if sent < len(message):
                self._out.appendleft((message[sent:], None))
                return

    def _receive(self) -> bool:
        """Take what it says; False where it hung up."""
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return True
        for frame in self._frames.feed(data):
            self._take(REPLY.validate_python(dict(frame.header)))
        return bool(data)

    def _take(self, reply: Reply) -> None:
        answers = {Ready: "ready", Loaded: "model", Refused: "model", Scored: "piece"}
        if self._awaited and self._awaited[0][0] == answers.get(type(reply)):
            self._awaited.popleft()
            # What waited behind it is only begun now.
            self._awaited = deque((kind, self._now()) for kind, _ in self._awaited)
        if isinstance(reply, Scored) and reply.windows and not self.has_scored:
            self.has_scored = True
            self._scorer.trouble = None
        if isinstance(reply, Ready):
            self._scorer.state = "scoring"
        elif isinstance(reply, Refused):
            self._refused(reply)
        else:
            self._scorer.heard(reply)

    def _late(self) -> str | None:
        """Return what it has been at for too long, None where it answers in time."""
        if not self._awaited:
            return None
        kind, since = self._awaited[0]
        limit = {"ready": self._patience.start_s, "model": self._patience.model_s}.get(
            kind, self._patience.piece_s
        )
        if self._now() - since <= limit:
            return None
        return f"it did not answer for {limit:g} s and was killed"

    def _why_ended(self) -> str:
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "it hung up"
        if code == OUT_OF_MEMORY:
            return "it needed more memory than `--anomaly-memory` allows"
        if code < 0:
            return f"it was killed by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"
