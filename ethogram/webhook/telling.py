"""Takes decisions to the sinks on a thread of its own: no review waits for a disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import suppress

from detector.sinks.outbox import Outbox, SinkStatus
from ethogram.webhook.findings import Tellings
from ethogram.webhook.metrics import Counts
from ethogram.webhook.requests import Request
from ethogram.webhook.review import Decision

__all__ = ["Teller"]

_ROOM, _ROOM_BYTES = 10_000, 16 << 20
_EVERY_S = 10.0


class Teller:
    """Tells *outbox* of decisions. `close` in every case.

    What finds no room on the way is counted and left out: a review never waits.
    """

    def __init__(self, outbox: Outbox, tellings: Tellings, counts: Counts) -> None:
        self._outbox, self._tellings, self._counts = outbox, tellings, counts
        self._waiting: queue.Queue[tuple[Request, Decision, int] | None] = queue.Queue(_ROOM)
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="telling", daemon=True)

    def start(self) -> None:
        """Begin, once privileges are dropped."""
        self._thread.start()

    def take(self, request: Request, decision: Decision, *, size_bytes: int = 0) -> None:
        """Take a decision to tell of; one that broke no rule is no news.

        What waits keeps the whole review, of *size_bytes* as it came: many large ones would fill
        the memory while a disk stands still.
        """
        if request.is_dry_run or not decision.rulings:
            return
        try:
            if self._waiting_bytes > _ROOM_BYTES:
                raise queue.Full
            self._waiting.put_nowait((request, decision, size_bytes))
        except queue.Full:
            self._counts.untold += 1
        else:
            with self._lock:
                self._waiting_bytes += size_bytes

    def close(self) -> Sequence[SinkStatus]:
        """Tell what waits, and return how the sinks ended."""
        if self._thread.ident is not None:
            self._waiting.put(None)
            self._thread.join()
        return self._outbox.close()

    def _run(self) -> None:
        while True:
            with suppress(queue.Empty):
                one = self._waiting.get(timeout=_EVERY_S)
                if one is None:
                    return
                request, decision, size_bytes = one
                for finding in self._tellings.take(request, decision):
                    self._outbox.take(finding)
                    self._counts.told += 1
                del one, request, decision  # or they would be kept until the next comes
                with self._lock:
                    self._waiting_bytes -= size_bytes
                if not self._waiting.empty():
                    continue
            self._outbox.standing()  # which starts a sender again that has ended
