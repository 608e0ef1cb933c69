"""Findings in a file, a line of JSON each, with rotation."""

from __future__ import annotations

from detector.sinks.protocol import OneSink, Sink
from detector.sinks.rotating import ROTATION, RotatingFile

__all__ = ["sink"]


def sink() -> Sink:
    """Return the sink `file`."""
    return OneSink(
        "file",
        "JSON lines in a file, rotated by size",
        frozenset({"file"}),
        ROTATION,
        lambda destination, _: RotatingFile(destination, lambda record: record.line),
        takes_events=True,
    )
