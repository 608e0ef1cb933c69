"""Sends what waits in one spool, in order, for as long as it takes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from detector.sinks.protocol import LaterError, Outlet, Record, RefusedError
from detector.sinks.spool import Position, SpoolReader
from ethogram.contracts.durable import replace_file
from ethogram.contracts.escape import printable

__all__ = ["STATE_NAME", "Sending", "in_words", "tell_state"]

STATE_NAME = "state.json"
_FIRST_S, _LONGEST_S, _LONGEST_ASKED_S = 0.5, 60.0, 300.0
_WORDS = 300
_State: TypeAlias = Literal["ok", "retrying", "refusing"]


class Sending:
    """Moves the records of *reader* to *outlet*.

    *idle* waits for something to come, *pause* after a failure, and *is_over* says that nothing
    comes any more. An outlet that fails is asked again after 0.5 s, then twice as long
    each time up to a minute, of which a random part, so that many hosts do not come at once.
    """

    def __init__(
        self,
        reader: SpoolReader,
        outlet: Outlet,
        *,
        directory: Path,
        idle: Callable[[float], None],
        pause: Callable[[float], None],
        is_over: Callable[[], bool],
        pick: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._reader = reader
        self._outlet = outlet
        self._batch = outlet.batch
        self._directory = directory
        self._idle = idle
        self._pause = pause
        self._is_over = is_over
        self._pick = pick
        self._failures = 0
        self._alone = 0  # so many records are sent one by one: one of them was refused

    def run(self) -> None:
        """Send until *is_over* and nothing waits, or for good where that never comes."""
        self._tell("ok", None)
        while True:
            was_over = self._is_over()
            if self._step():
                continue
            if was_over:
                break
            self._idle(_LONGEST_S)
        self._outlet.close()

    def _step(self) -> bool:
        """Send the next batch, or wait after a failure; False where nothing waits."""
        try:
            return self._sent_next()
        except Exception as error:  # a spool that cannot be read is tried again like a receiver
            self._failed(LaterError(f"the spool cannot be read: {in_words(error)}"))
            return True

    def _sent_next(self) -> bool:
        most = 1 if self._alone else self._batch
        records, position = self._reader.take(most)
        if not records:
            if position != self._reader.position:
                self._commit(position)
            return False
        try:
            self._outlet.send(records)
        except LaterError as error:
            self._failed(error)
        except RefusedError as error:
            self._refused(error, records, position)
        except Exception as error:  # a sink that is wrong must not end the sender
            self._failed(LaterError(f"the sink failed: {in_words(error)}"))
        else:
            self._arrived(position, len(records))
        return True

    def _arrived(self, position: Position, count: int) -> None:
        self._alone = max(0, self._alone - count)
        self._failures = 0
        self._commit(position)
        self._tell("ok", None)

    def _refused(self, error: RefusedError, records: list[Record], position: Position) -> None:
        if len(records) > 1 and error.count is None:
            self._alone = len(records)
            return
        count = len(records) if error.count is None else min(error.count, len(records))
        self._arrived(
            replace(position, sent=position.sent - count, refused=position.refused + count),
            len(records),
        )
        self._tell("refusing", str(error))

    def _commit(self, position: Position) -> None:
        # On a full disk it is said after the next batch; until then it might be sent twice.
        with suppress(OSError):
            self._reader.commit(position)

    def _failed(self, error: LaterError) -> None:
        self._tell("retrying", str(error))
        ceiling = min(_LONGEST_S, _FIRST_S * 2 ** min(self._failures, 16))
        self._failures += 1
        asked = min(error.after_s, _LONGEST_ASKED_S)
        self._pause(asked + self._pick(ceiling / 2, ceiling))

    def _tell(self, state: _State, why: str | None) -> None:
        """Leave word for the watch of how it goes; what goes wrong is said with its time."""
        tell_state(self._directory, state, why, failures=self._failures)


def tell_state(directory: Path, state: _State, why: str | None, *, failures: int) -> None:
    """Leave word in *directory* of how a sink does, and *why* it does not well."""
    told = {
        "state": state,
        "error": None if why is None else printable(why)[:_WORDS],
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "failures": failures,
    }
    data = json.dumps(told).encode() + b"\n"
    with suppress(OSError):
        replace_file(directory / STATE_NAME, data, sync=False)


def in_words(error: Exception) -> str:
    """Return what went wrong where nobody thought of it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"{type(error).__name__}: {error}"
