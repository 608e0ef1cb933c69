"""`ethogram merge`: several summaries to one."""

from __future__ import annotations

from pathlib import Path

import click

from ethogram.cli.inputs import WORDS, kind_of, summarized, use_of
from ethogram.cli.options import force_option, refuse_existing, summary_output_option
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.errors import UsageError

__all__ = ["command"]


@click.command("merge", short_help="Merge summaries into one.")
@click.argument("summaries", metavar="SUMMARY...", nargs=-1, required=True,
                type=click.Path(path_type=Path))  # fmt: skip
@summary_output_option
@force_option
def command(summaries: tuple[Path, ...], output: Path, force: bool) -> None:
    """Merge summaries: set union, so order and repetition make no difference."""
    from ethogram.contracts.summary import write_summary

    refuse_existing(output, force=force)
    for path in summaries:
        if (kind := kind_of(path)) != "summary":
            raise UsageError(
                f"`{path}` is {WORDS[kind]}, not a summary",
                hint="`ethogram summarize` makes one of recordings"
                if kind == "recording"
                else use_of(kind, path),
            )
    summary = summarized(summaries)
    write_summary(summary, output, force=force)
    say(
        f"merged {count(len(summaries), 'summary', 'summaries')} in `{output}`: "
        f"{count(summary.num_rows, 'row')}"
    )
    next_command(shell("ethogram", "learn", output, "-o", "baselines"))
