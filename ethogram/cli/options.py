"""Option types and groups of options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import click

from ethogram.contracts.remote import RecordingUrl, location_of
from ethogram.errors import UsageError

__all__ = [
    "COMMAND_SETTINGS",
    "Duration",
    "Location",
    "Size",
    "duration_ms_of",
    "examples",
    "force_option",
    "format_option",
    "map_option",
    "of_a_finding",
    "refuse_existing",
    "size_of",
    "summary_output_option",
    "until_settled_option",
]

# What follows the first word of a command belongs to it, with `--` before it or without.
COMMAND_SETTINGS = {"allow_interspersed_args": False}

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_DAYS = 36500  # the kernel side counts nanoseconds in 64 bits
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
# As people write them: MB is a million bytes, MiB is 1,048,576.
_UNITS_BYTES = {"B": 1} | {
    f"{letter}{kind}B": base ** (power + 1)
    for kind, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("KMGT")
}
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMGT]i?B|B)")


class Location(click.ParamType["Path | RecordingUrl"]):
    """A path, or a URL such as `s3://bucket/recording`."""

    name = "location"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | RecordingUrl:
        del param, ctx  # what is wrong with it, the error itself says
        return location_of(value) if isinstance(value, str) else value


class Duration(click.ParamType[int]):
    """A duration such as `500ms`, `5s`, `2m`, `1h`, as milliseconds."""

    name = "duration"

    def __init__(self, *, least_ms: int = 1) -> None:
        self.least_ms = least_ms

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        milliseconds = duration_ms_of(value)
        if milliseconds is None:
            self.fail(f"`{value}` is no duration such as `500ms`, `5s` or `2m`", param, ctx)
        if milliseconds < self.least_ms:
            self.fail(f"`{value}` is shorter than {self.least_ms} ms", param, ctx)
        if milliseconds > _LONGEST_DAYS * _UNITS_MS["d"]:
            self.fail(f"`{value}` is longer than {_LONGEST_DAYS}d", param, ctx)
        return milliseconds


class Size(click.ParamType[int]):
    """A number of bytes such as `512KB`, `256MB`, `10GiB`."""

    name = "size"

    def __init__(self, *, least: str = "1B") -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        size = size_of(value)
        if size is None:
            self.fail(f"`{value}` is no size such as `512KB`, `256MB` or `10GiB`", param, ctx)
        if size < (size_of(self.least) or 0):
            self.fail(f"`{value}` is less than {self.least}", param, ctx)
        return size


def size_of(text: str) -> int | None:
    """Return the bytes that *text* stands for; None where it is no size."""
    match = _SIZE.fullmatch(text)
    return round(float(match[1]) * _UNITS_BYTES[match[2]]) if match else None


def duration_ms_of(text: str) -> int | None:
    """Return the milliseconds that *text* stands for; None where it is no duration."""
    match = _DURATION.fullmatch(text)
    return round(float(match[1]) * _UNITS_MS[match[2]]) if match else None


def examples(*commands: str) -> str:
    """Return the end of a command's `--help`: *commands* to paste, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def format_option(*formats: str) -> Callable[[Any], Any]:
    """Return the option `--format`; the first of *formats* is the default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print it.",
    )


def force_option(command: Any) -> Any:
    """Add the option `--force`."""
    return click.option("--force", is_flag=True, help="Replace output that exists.")(command)


def _a_number(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Refuse `nan`, which is outside no range, and which nothing is ever below."""
    if value is not None and isnan(value):
        raise click.BadParameter("nan is not in the range 0<x<1")
    return value


def until_settled_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option `--until-settled`; without a value it aims at 0.99."""
    return click.option(
        "--until-settled",
        metavar="TARGET",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        is_flag=False,
        flag_value=0.99,
        callback=_a_number,
        help=f"{help_text} Without a value 0.99.",
    )


def map_option(command: Any) -> Any:
    """Add the option `--map`, which `ethogram.cli.environments` applies."""
    return click.option(
        "--map",
        "map_file",
        metavar="ENV.yaml",
        type=click.Path(readable=False, path_type=Path),
        help="Take names and addresses to production, as this file maps them.",
    )(command)


def summary_output_option(command: Any) -> Any:
    """Add the option `--output` of commands that write one summary."""
    return click.option(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File to write, called `*.summary.parquet`.",
    )(command)


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise `UsageError` where *path* exists and nobody allowed to replace it."""
    if path.exists() and not force:
        raise UsageError(f"`{path}` exists", hint="choose another name, or pass `--force`")


def of_a_finding(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the argument `finding`, and the files `--findings` to look it up in."""
    command = click.option(
        "--findings",
        "files",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="JSON lines that `watch` wrote, where the finding is; `-` is standard input. May be"
        " repeated.",
    )(command)
    return click.argument("finding", metavar="FINDING|FINGERPRINT")(command)
