"""`ethogram diff`: what baselines allow now that they did not, the gravest first."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ethogram.cli.diff_sources import GIT, baselines_of
from ethogram.cli.options import Location, examples, format_option
from ethogram.contracts.remote import RecordingUrl

__all__ = ["NARROWER", "WIDER", "command"]

NARROWER, WIDER = 10, 11


class _Source(Location):
    """A path, a URL, or `git:REV[:PATH]`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith(GIT):
            return value
        return super().convert(value, param, ctx)


@click.command(
    "diff",
    short_help="Compare baselines: what is allowed now, the gravest first.",
    epilog=examples(
        "ethogram diff old new",
        "ethogram diff git:main baselines",
        "ethogram diff git:v1.4:baselines git:v1.5:baselines --format markdown",
        "ethogram diff baselines monday-recording",
        "ethogram diff git:HEAD~1 baselines --format sarif > ethogram.sarif",
    ),
)
@click.argument("old", type=_Source())
@click.argument("new", type=_Source())
@format_option("text", "json", "markdown", "sarif")
def command(
    *, old: Path | RecordingUrl | str, new: Path | RecordingUrl | str, output_format: str
) -> None:
    """Say what baselines allow that they did not, and what they no longer allow.

    OLD and NEW are baselines, a directory of them, `git:REV` (the other side's path in that
    revision), `git:REV:PATH`, a recording or a summary, which are learnt first. Meaning counts, not
    lines: a file below a pattern that was there before is nothing new. What is new comes in the
    order of its risk.

    Exits with 0 where both allow the same, 10 where NEW is narrower, and 11 where it allows
    anything that OLD did not.
    """
    from learner.difference import differences

    today = datetime.now(UTC).date()
    sides = baselines_of(old, new, today=today), baselines_of(new, old, today=today)
    found = differences(*sides)
    if output_format == "text":
        from ethogram.cli.diff_screen import print_differences

        print_differences(found)
    else:
        from ethogram.cli.diff_documents import document_of

        sys.stdout.write(document_of(found, output_format, old=str(old), new=str(new)))
    ways = frozenset().union(*(difference.ways for difference in found))
    if code := WIDER if "wider" in ways else NARROWER if "narrower" in ways else 0:
        click.get_current_context().exit(code)
