"""Findings in a file, a line of JSON each, with rotation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detector.sinks.destination import Destination
from detector.sinks.protocol import Sender, Sink
from detector.sinks.rotating import ROTATION, RotatingFile

__all__ = ["sink"]


@dataclass(frozen=True, slots=True)
class _File:
    name: str = "file"
    summary: str = "JSON lines in a file, rotated by size"
    transports: frozenset[str] = frozenset({"file"})
    batch: int = 500

    @property
    def settings(self) -> Mapping[str, str]:
        return ROTATION

    def open(self, destination: Destination, _sender: Sender) -> RotatingFile:
        return RotatingFile(destination, lambda record: record.line)


def sink() -> Sink:
    """Return the sink `file`."""
    return _File()
