"""Takes finished files to a URL, in a thread of its own that nothing waits for until the end.

Deliveries are made in order, and the manifest of each after its files: whatever is cut off, what is
there is a recording. What a store refuses is tried again, at growing intervals, for as long as the
recording lasts. The thread begins after privileges were dropped, and so has none.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ethogram.contracts.manifest import MANIFEST_NAME, DataFile, Manifest
from ethogram.contracts.remote import Remote

__all__ = ["Delivery", "Uploader"]

_CHUNK_BYTES = 8 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _LAST_PAUSE_S = 0.5, 60.0, 2.0
_NICENESS = 10
_MOST_WAITING = 32


@dataclass(frozen=True, slots=True)
class Delivery:
    """*files* to upload, then the *manifest* that lists them, then *gone* to delete."""

    files: tuple[DataFile, ...]
    manifest: Manifest
    gone: tuple[str, ...] = ()


@dataclass
class Uploader:
    """Uploads files of *directory* to *remote*. All but `offer`ing is done by its thread."""

    remote: Remote
    directory: Path
    trouble: str | None = None  # what the store said last, while it refuses
    _queue: deque[Delivery] = field(default_factory=deque)
    _delivered: set[str] = field(default_factory=set)
    _unwanted: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _steps: int = 0
    _furthest: tuple[str, int] = ("", 0)  # the file that is on its way, and chunks that arrived
    _is_last: bool = False
    _is_over: bool = False
    _thread: threading.Thread | None = None

    def offer(self, delivery: Delivery) -> None:
        """Have *delivery* made after those before it; return at once."""
        with self._changed:
            self._unwanted.update(delivery.gone)
            self._unwanted.difference_update(file.path for file in delivery.files)
            if len(self._queue) >= _MOST_WAITING:
                delivery = _joined(self._queue.pop(), delivery)
            self._queue.append(delivery)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
            self._thread.start()

    def take_delivered(self) -> set[str]:
        """Return the names of files that have arrived, each once."""
        with self._changed:
            names, self._delivered = self._delivered, set()
        return names

    def finish(self, patience_s: float) -> bool:
        """Wait until all is delivered, or nothing has moved for *patience_s*; say which."""
        with self._changed:
            self._is_last = True
            self._changed.notify_all()
            while self._queue:
                if not self._changed.wait_for(partial(self._has_moved, self._steps), patience_s):
                    break
            self._is_over = True
            self._changed.notify_all()
            return not self._queue

    def _has_moved(self, steps: int) -> bool:
        return self._steps != steps or not self._queue

    # --- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._is_over)
                if self._is_over:
                    return
                delivery = self._queue[0]
            if not self._deliver(delivery):
                return
            with self._changed:
                self._queue.popleft()
                self._unwanted &= {name for later in self._queue for name in later.gone}
                self._changed.notify_all()

    def _deliver(self, delivery: Delivery) -> bool:
        """Make *delivery*; return False where it is over before."""
        for file in delivery.files:
            if file.path not in self._unwanted and not self._insist(partial(self._put, file)):
                return False
            with self._changed:
                self._delivered.add(file.path)
        listed = tuple(f for f in delivery.manifest.files if f.path not in self._unwanted)
        manifest = delivery.manifest.model_copy(update={"files": listed, "sent": None})
        if not self._insist(lambda: self._write(MANIFEST_NAME, [manifest.to_json()])):
            return False
        return all(self._insist(partial(self._delete, name)) for name in delivery.gone)

    def _insist(self, action: Callable[[], None]) -> bool:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                action()
            except Exception as error:  # a backend raises what its own library raises
                self.trouble = self.remote.failure(error).message
            else:
                self.trouble = None
                self._step()
                return not self._is_over
            if not self._pause(pause):
                return False
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _pause(self, seconds: float) -> bool:
        """Wait; return False where it is over. That the end has come cuts it short."""
        with self._changed:
            was_last = self._is_last
            limit = min(seconds, _LAST_PAUSE_S) if was_last else seconds
            self._changed.wait_for(lambda: self._is_over or self._is_last != was_last, limit)
            return not self._is_over

    def _put(self, file: DataFile) -> None:
        path = self.directory / file.path
        try:
            with path.open("rb") as source:
                self._write(file.path, self._chunks(file.path, source))
        except FileNotFoundError:
            if path.exists():
                raise  # it is the bucket that is missing
            return
        filesystem, root = self.remote.backend
        size = filesystem.size(f"{root}/{file.path}")
        if size != file.size_bytes:
            raise OSError(f"{file.path} has {size} bytes there, {file.size_bytes} here")

    def _chunks(self, name: str, source: BinaryIO) -> Iterator[bytes]:
        """Yield *source* in pieces; each that went farther than any attempt before is a step."""
        for number, chunk in enumerate(iter(lambda: source.read(_CHUNK_BYTES), b""), start=1):
            yield chunk
            if self._furthest[0] != name or self._furthest[1] < number:
                self._furthest = (name, number)
                self._step()

    def _step(self) -> None:
        with self._changed:
            self._steps += 1
            self._changed.notify_all()

    def _write(self, name: str, chunks: Iterable[bytes]) -> None:
        filesystem, root = self.remote.backend
        target = filesystem.open(f"{root}/{name}", "wb", block_size=_CHUNK_BYTES)
        try:
            for chunk in chunks:
                target.write(chunk)
        except BaseException:
            # Closing would upload the rest as if it were the whole.
            if hasattr(target, "discard"):
                target.discard()
            target.closed = True
            raise
        target.close()

    def _delete(self, name: str) -> None:
        filesystem, root = self.remote.backend
        if filesystem.exists(f"{root}/{name}"):
            filesystem.rm_file(f"{root}/{name}")


def _joined(waiting: Delivery, new: Delivery) -> Delivery:
    """Return one delivery for both: what waits for a store that is away for days is bounded."""
    return Delivery((*waiting.files, *new.files), new.manifest, (*waiting.gone, *new.gone))
