"""`ethogram merge`: several summaries to one."""

from __future__ import annotations

from pathlib import Path

import click

from ethogram.cli.inputs import WORDS, kind_of, rows_in, sources_of, summarized, use_of
from ethogram.cli.options import Location, force_option, refuse_existing, summary_output_option
from ethogram.cli.places import expanded
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.cli.work_options import work_options, workers
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

__all__ = ["command"]


@click.command("merge", short_help="Merge summaries into one.")
@click.argument("summaries", metavar="SUMMARY...", nargs=-1, required=True,
                type=Location())  # fmt: skip
@summary_output_option
@work_options
@force_option
def command(
    *,
    summaries: tuple[Path | RecordingUrl, ...],
    output: Path,
    jobs: int | None,
    dask: str | None,
    force: bool,
) -> None:
    """Merge summaries: set union, so order and repetition make no difference."""
    from ethogram.contracts.summary import write_summary
    from learner.rows import typed

    refuse_existing(output, force=force)
    places = expanded(summaries)
    for path in places:
        if (kind := kind_of(path)) != "summary":
            raise UsageError(
                f"`{path}` is {WORDS[kind]}, not a summary",
                hint="`ethogram summarize` makes one of recordings"
                if kind == "recording"
                else use_of(kind, path),
            )
    sources = sources_of(places)
    with workers(jobs, dask, rows=rows_in(sources)) as executor:
        summary = typed(summarized(sources, executor))
    write_summary(summary, output, force=force)
    say(
        f"merged {count(len(places), 'summary', 'summaries')} in `{output}`: "
        f"{count(summary.num_rows, 'row')}"
    )
    next_command(shell("ethogram", "learn", output, "-o", "baselines"))
