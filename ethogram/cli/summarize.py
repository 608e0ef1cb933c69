"""`ethogram summarize`: recordings to one summary that merges."""

from __future__ import annotations

from pathlib import Path

import click

from ethogram.cli.inputs import WORDS, kind_of, summarized, use_of
from ethogram.cli.options import Location, force_option, refuse_existing, summary_output_option
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

__all__ = ["command"]


@click.command("summarize", short_help="Reduce recordings to one summary that merges.")
@click.argument("recordings", metavar="REC...", nargs=-1, required=True,
                type=Location())  # fmt: skip
@summary_output_option
@force_option
def command(recordings: tuple[Path | RecordingUrl, ...], output: Path, force: bool) -> None:
    """Reduce recordings REC to one summary: what was seen, without windows and process trees."""
    from ethogram.contracts.summary import write_summary

    refuse_existing(output, force=force)
    for path in recordings:
        if (kind := kind_of(path)) != "recording":
            raise UsageError(
                f"`{path}` is {WORDS[kind]}, not a recording",
                hint="`ethogram merge` merges summaries"
                if kind == "summary"
                else use_of(kind, path),
            )
    summary = summarized(recordings)
    write_summary(summary, output, force=force)
    say(
        f"summarized {count(len(recordings), 'recording')} in `{output}`: "
        f"{count(summary.num_rows, 'row')}"
    )
    next_command(shell("ethogram", "learn", output, "-o", "baselines"))
