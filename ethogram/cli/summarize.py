"""`ethogram summarize`: recordings to one summary that merges."""

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


@click.command("summarize", short_help="Reduce recordings to one summary that merges.")
@click.argument("recordings", metavar="REC...", nargs=-1, required=True,
                type=Location())  # fmt: skip
@summary_output_option
@work_options
@force_option
def command(
    *,
    recordings: tuple[Path | RecordingUrl, ...],
    output: Path,
    jobs: int | None,
    dask: str | None,
    force: bool,
) -> None:
    """Reduce recordings REC to one summary: what was seen, without windows and process trees."""
    from ethogram.contracts.summary import write_summary
    from learner.rows import typed

    refuse_existing(output, force=force)
    places = expanded(recordings)
    for path in places:
        if (kind := kind_of(path)) != "recording":
            raise UsageError(
                f"`{path}` is {WORDS[kind]}, not a recording",
                hint="`ethogram merge` merges summaries"
                if kind == "summary"
                else use_of(kind, path),
            )
    sources = sources_of(places)
    with workers(jobs, dask, rows=rows_in(sources)) as executor:
        summary = typed(summarized(sources, executor))
    write_summary(summary, output, force=force)
    say(
        f"summarized {count(len(places), 'recording')} in `{output}`: "
        f"{count(summary.num_rows, 'row')}"
    )
    next_command(shell("ethogram", "learn", output, "-o", "baselines"))
