"""Options of `record` that say how its files grow, how long they are kept, and where they wait."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import Duration, Size, duration_ms_of, size_of
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from profiler.options import UploadOptions
    from profiler.rotation import Retention, Rotation

__all__ = [
    "new_run_in",
    "require_lasting",
    "rotation_of",
    "rotation_options",
    "send_wait_option",
    "storage_options",
    "upload_of",
]

_LEAST_AGE_MS = 1000


class Retain(click.ParamType["Retention"]):
    """An age such as `7d`, or a size such as `10GB`."""

    name = "retain"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Retention:
        from profiler.rotation import Retention

        if isinstance(value, Retention):
            return value
        if (age_ms := duration_ms_of(value)) is not None:
            if age_ms < _LEAST_AGE_MS:
                self.fail(f"`{value}` is shorter than {_LEAST_AGE_MS} ms", param, ctx)
            return Retention("age", age_ms * 1_000_000, value)
        size = size_of(value)
        if size is None:
            self.fail(
                f"`{value}` is neither an age such as `7d` nor a size such as `10GB`", param, ctx
            )
        return Retention("size", size, value)


def send_wait_option(command: Any) -> Any:
    """Add the option `--send-wait`."""
    return click.option(
        "--send-wait",
        type=Duration(least_ms=100),
        metavar="TIME",
        default="30s",
        show_default=True,
        help="How long to go on at the end while the URL takes nothing.",
    )(command)


def require_lasting(url: RecordingUrl) -> None:
    """Raise `UsageError` where what is uploaded ends with the process that uploads it."""
    if url.scheme == "memory":
        raise UsageError(
            f"`{url}` is gone when the command ends", hint="name a store, or a directory"
        )


def new_run_in(place: Path | RecordingUrl) -> Path | RecordingUrl:
    """Return a new recording in *place*, which is made where it is a directory that is missing."""
    from profiler.runs import name_of_run

    name = name_of_run(datetime.now(UTC))
    if isinstance(place, RecordingUrl):
        require_lasting(place)
        return RecordingUrl(f"{place.given.rstrip('/')}/{name}")
    if (place / "manifest.json").exists():
        raise UsageError(
            f"`{place}` is a recording, not a directory of recordings",
            hint="name another: each run adds a recording to it",
        )
    if place.exists() and not place.is_dir():
        raise UsageError(f"`{place}` is there and is not a directory", hint="name another place")
    try:
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"`{place}` cannot be made: {error.strerror}", hint="name another place"
        ) from error
    return place / name


def upload_of(values: dict[str, Any]) -> UploadOptions:
    """Return what the option *values* say of uploading; `UsageError` where nothing is uploaded."""
    from profiler.options import UploadOptions

    is_url = isinstance(values["output"], RecordingUrl)
    if is_url:
        require_lasting(values["output"])
    if values["spool"] is not None and not is_url:
        raise UsageError(
            "`--spool` is for recordings that go to a URL",
            hint="leave it out: a directory is written to directly",
        )
    if is_url and values["spool_size"] < 2 * values["rotate_size"]:
        raise UsageError(
            "`--spool-size` is less than two files of `--rotate-size`",
            hint="rotate at a smaller size, or let more wait",
        )
    return UploadOptions(
        spool=values["spool"],
        spool_bytes=values["spool_size"],
        patience_s=values["send_wait"] / 1000,
    )


def rotation_options(command: Any) -> Any:
    """Add the options that `rotation_of` reads."""
    options = (
        click.option(
            "--rotate-size",
            type=Size(least="64KB"),
            metavar="SIZE",
            default="256MB",
            show_default=True,
            help="Begin new files once the journal has SIZE, such as `64MB`.",
        ),
        click.option(
            "--rotate-every",
            type=Duration(least_ms=100),
            metavar="TIME",
            default="1h",
            show_default=True,
            help="Begin new files after TIME, such as `15m`, whatever their size.",
        ),
        click.option(
            "--retain",
            type=Retain(),
            metavar="AGE|SIZE",
            help="Delete the oldest windows beyond an age such as `7d`, or beyond a size such as "
            "`10GB`, a file at a time; without it nothing is deleted.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def storage_options(command: Any) -> Any:
    """Add the options that `rotation_of` and `upload_of` read."""
    options = (
        rotation_options,
        click.option(
            "--spool",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="Where a recording waits on its way to a URL, new or empty; by default below "
            "/var/lib/ethogram/spool.",
        ),
        click.option(
            "--spool-size",
            type=Size(least="1MB"),
            metavar="SIZE",
            default="1GB",
            show_default=True,
            help="How much may wait while the URL refuses; rows beyond it count as lost.",
        ),
        send_wait_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def rotation_of(values: dict[str, Any]) -> Rotation:
    """Return what the option *values* stand for; `UsageError` where they contradict each other."""
    from profiler.rotation import Rotation

    size_bytes, every_ms, retain = (
        values[name] for name in ("rotate_size", "rotate_every", "retain")
    )
    if retain is not None and retain.kind == "size" and retain.limit < 2 * size_bytes:
        raise UsageError(
            f"`--retain {retain}` is less than two files of `--rotate-size`",
            hint="files are deleted whole: rotate at a smaller size, or retain more",
        )
    if retain is not None and retain.kind == "age" and retain.limit < every_ms * 1_000_000:
        raise UsageError(
            f"`--retain {retain}` is shorter than `--rotate-every`",
            hint="files are deleted whole: rotate more often, or retain more",
        )
    return Rotation(size_bytes=size_bytes, every_s=every_ms / 1000, retain=retain)
