"""SHA-256 of what was executed: found in a thread of its own, which nobody waits for."""

from __future__ import annotations

import hashlib
import heapq
import os
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import NamedTuple

from profiler.executed_files import Executed, NotReadError, is_same, opened

__all__ = ["Found", "Hashes"]

_LARGEST = 256 << 20
_WAITING = 4096
_KNOWN = 10_000
_CHUNK = 1 << 20
# For each second of a processor that it takes it rests four, but where somebody waits for the end.
_REST = 4
_PATIENCE_S = 30.0
_NICE = 5


class Found(NamedTuple):
    """The digest of executable number *exe*, or why there is none."""

    exe: int
    digest: str | None
    why: str | None


class Hashes:
    """Finds digests, those of what no image brought first. `ask` and `take` wait for nothing.

    Each file is read once for as long as it stays as it is. `start` begins, when privileges are
    given up; what was asked for before waits.
    """

    def __init__(self, *, largest: int = _LARGEST, waiting: int = _WAITING) -> None:
        self._largest, self._waiting = largest, waiting
        self._changed = threading.Condition()
        self._asked: list[tuple[bool, int, int, Executed]] = []
        self._count = 0
        self._busy = False
        self._found: list[Found] = []
        self._known: OrderedDict[tuple[int, int, int], str] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._is_over = False
        self._is_hurried = False

    def start(self) -> None:
        """Begin to read."""
        self._thread = threading.Thread(target=self._run, name="hashes", daemon=True)
        self._thread.start()

    def ask(self, exe: int, one: Executed, *, is_urgent: bool) -> None:
        """Have the digest of *one* found; where too many wait that is said instead."""
        with self._changed:
            if len(self._asked) >= self._waiting:
                self._found.append(Found(exe, None, "queue full"))
                return
            self._count += 1
            heapq.heappush(self._asked, (not is_urgent, self._count, exe, one))
            self._changed.notify_all()

    def peek(self, exe: int) -> str | None:
        """Return a digest that was found and not taken, None where there is none."""
        with self._changed:
            return next((one.digest for one in self._found if one.exe == exe), None)

    def take(self) -> list[Found]:
        """Return what was found since this was last asked."""
        with self._changed:
            found, self._found = self._found, []
        return found

    def settle(self, limit_s: float) -> None:
        """Wait until all is found, no longer than *limit_s*."""
        if self._thread is None:
            return
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._asked and not self._busy, limit_s)

    def close(self) -> None:
        """End; a file that is being read is given up."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _run(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._asked or self._is_over)
                if self._is_over:
                    return
                _, _, exe, one = heapq.heappop(self._asked)
                self._busy = True
            found = self._of(exe, one)
            with self._changed:
                self._found.append(found)

    def _of(self, exe: int, one: Executed) -> Found:
        key = one.dev, one.ino, one.ctime_ns
        if key in self._known:
            self._known.move_to_end(key)
            return Found(exe, self._known[key], None)
        try:
            digest = self._digest(one)
        except NotReadError as error:
            return Found(exe, None, str(error))
        except Exception:  # a thread that ended would find none any more, and say nothing
            return Found(exe, None, "unreadable")
        self._known[key] = digest
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return Found(exe, digest, None)

    def _digest(self, one: Executed) -> str:
        digest, room = hashlib.sha256(), bytearray(_CHUNK)
        deadline = time.monotonic() + _PATIENCE_S
        with opened(one) as (descriptor, kind):
            if os.fstat(descriptor).st_size > self._largest:
                raise NotReadError("too large")
            with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
                left = self._largest
                while size := stream.readinto(room):
                    began = time.thread_time()
                    digest.update(memoryview(room)[:size])
                    left -= size
                    if left < 0:
                        raise NotReadError("too large")
                    if time.monotonic() > deadline:
                        raise NotReadError("too slow")
                    self._rest(time.thread_time() - began)
            if not is_same(one, kind, os.fstat(descriptor)):
                raise NotReadError("changed")
        return digest.hexdigest()

    def _rest(self, spent_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._is_hurried, _REST * spent_s)
            if self._is_over:
                raise NotReadError("too slow")
