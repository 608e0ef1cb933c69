"""What a sink is: something that takes findings in order, or says why it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from detector.sinks.destination import Destination

__all__ = [
    "LaterError",
    "OneSink",
    "Outlet",
    "Record",
    "RefusedError",
    "Sender",
    "Sink",
    "rendering",
]


@dataclass(frozen=True, slots=True)
class Record:
    """A finding or event as it waited on the disk: *line* is its JSON, *body* the same, read.

    *is_new* is false where its fingerprint was told before: it brings that one up to date.
    """

    is_new: bool
    line: str
    body: Mapping[str, Any]

    @property
    def is_event(self) -> bool:
        """Whether this is an event, of which nobody says that it is wrong."""
        return self.body.get("schema") == "ethogram.event/1"


class LaterError(Exception):
    """Nothing of it arrived for sure: try all of it again, not before *after_s* seconds."""

    def __init__(self, why: str, *, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


class RefusedError(Exception):
    """The receiver will never take this as it is.

    Of several records it may be one that is refused: they are tried alone then. *count* is how
    many of them were refused where the receiver took the others and said so; None otherwise.
    """

    def __init__(self, why: str, *, count: int | None = None) -> None:
        super().__init__(why)
        self.count = count


@runtime_checkable
class Outlet(Protocol):
    """An open sink. It belongs to one thread, and may keep a connection."""

    @property
    def batch(self) -> int:
        """How many records `send` gets at most."""
        ...

    def send(self, records: Sequence[Record]) -> None:
        """Return once all *records* have arrived, else raise `LaterError` or `RefusedError`."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: what a record does not say of the host that it is from."""

    host: str
    version: str
    pid: int
    cluster: str | None = None


@runtime_checkable
class Sink(Protocol):
    """A kind of receiver."""

    @property
    def name(self) -> str:
        """What a URL begins with: `NAME:` or `NAME+TRANSPORT:`."""
        ...

    @property
    def summary(self) -> str:
        """One line for the documents."""
        ...

    @property
    def transports(self) -> frozenset[str]:
        """What may follow the name, such as `https`; `file` is the one that needs no saying."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Setting -> what it means and what it may be, for `#NAME=VALUE` at the URL's end."""
        ...

    def open(self, destination: Destination, sender: Sender) -> Outlet:
        """Return the outlet to *destination*; nothing is connected, written or waited for yet.

        Raises `UsageError` for settings that mean nothing, and credentials that are not there.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneSink:
    """A `Sink` that is told by its parts; *opens* is its `open`.

    One that has *takes_events* gets records that are events where it is asked to.
    """

    name: str
    summary: str
    transports: frozenset[str]
    settings: Mapping[str, str]
    opens: Callable[[Destination, Sender], Outlet]
    takes_events: bool = False

    def open(self, destination: Destination, sender: Sender) -> Outlet:
        """Return the outlet to *destination*."""
        return self.opens(destination, sender)


@contextmanager
def rendering() -> Iterator[None]:
    """Say `RefusedError` where a record cannot be put into the receiver's format at all."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RefusedError(
            f"it cannot be written in this format: {type(error).__name__}"
        ) from error
