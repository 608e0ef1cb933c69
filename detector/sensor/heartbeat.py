"""The sign of life of a watch, and what its absence says to the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from ethogram.contracts.baseline_values import Frozen, Text
from ethogram.contracts.durable import replace_file
from ethogram.contracts.plain_file import open_plain

__all__ = ["NAME", "Cause", "Gap", "Heartbeat", "gap_since", "read_heartbeat", "utc_words",
           "write_heartbeat"]  # fmt: skip

NAME = "heartbeat.json"
_SCHEMA: Literal["ethogram.watch-heartbeat/1"] = "ethogram.watch-heartbeat/1"
_LIMIT_BYTES = 64 << 10

Cause = Literal["killed", "host rebooted", "failed", "clean end"]


class Heartbeat(Frozen):
    """The last word of a watch: it was *watching*, it *ended* as asked, or it *failed*.

    *utc_ns* and *boot_ns* are when, by the clock of its findings and since boot; *run* tells runs
    apart.
    """

    schema_name: Literal["ethogram.watch-heartbeat/1"] = Field(_SCHEMA, alias="schema")
    state: Literal["watching", "ended", "failed"]
    run: Text
    pid: Annotated[int, Field(ge=1)]
    boot_id: Text
    boot_ns: Annotated[int, Field(ge=0)]
    utc_ns: Annotated[int, Field(ge=0, lt=1 << 63)]


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nobody watched, in nanoseconds UTC; *run* is the one that ended before it."""

    from_ns: int
    to_ns: int
    cause: Cause
    run: str
    pid: int

    @property
    def seconds(self) -> float:
        return (self.to_ns - self.from_ns) / 1e9


def gap_since(before: Heartbeat, *, boot_id: str, boot_ns: int, utc_ns: int) -> Gap:
    """Return the gap between *before* and a watch that begins now.

    Within one boot it is as long as the time since boot says, whatever was done to the wall clock.
    """
    if before.boot_id == boot_id:
        from_ns = utc_ns - max(0, boot_ns - before.boot_ns)
    else:
        from_ns = min(before.utc_ns, utc_ns)
    return Gap(from_ns, utc_ns, _cause(before, is_same_boot=before.boot_id == boot_id),
               before.run, before.pid)  # fmt: skip


def _cause(before: Heartbeat, *, is_same_boot: bool) -> Cause:
    if before.state == "ended":
        return "clean end"
    if before.state == "failed":
        return "failed"
    return "killed" if is_same_boot else "host rebooted"


def write_heartbeat(path: Path, beat: Heartbeat) -> None:
    """Replace what stands in *path*; `OSError` where that cannot be."""
    replace_file(path, beat.model_dump_json(by_alias=True).encode() + b"\n", sync=False)


def read_heartbeat(path: Path) -> Heartbeat | None:
    """Return what the last watch left, None where none did; `ValueError` for what is none."""
    try:
        with open_plain(path) as file:
            data = file.read(_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return None
    try:
        return Heartbeat.model_validate_json(data)
    except ValidationError as error:
        raise ValueError("it is no heartbeat of a watch") from error


def utc_words(utc_ns: int) -> str:
    """Return a time to the second: `2026-11-23 06:00:01 UTC`."""
    return datetime.fromtimestamp(utc_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
