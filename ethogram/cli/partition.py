"""`ethogram partition`: a recording for each namespace."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from ethogram.cli.forget import local_place
from ethogram.cli.options import Location, examples
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.contracts.escape import printable
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

__all__ = ["command"]


@click.command(
    "partition",
    short_help="Make a recording for each namespace of a recording.",
    epilog=examples(
        "ethogram partition recording -o by-namespace",
        "ethogram partition monday-recording tuesday-recording -o by-namespace",
    ),
)
@click.argument("places", metavar="REC...", nargs=-1, required=True, type=Location())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where parts are put, as `DIR/NAMESPACE/REC`; `DIR/_/REC` is who has no namespace.",
)
def command(*, places: tuple[Path | RecordingUrl, ...], output: Path) -> None:
    """Make a recording for each namespace of REC, which holds nothing of the other namespaces.

    REC stays as it is. The peers that a namespace talked to in another are addresses without a
    name in its part: learn network rules from REC before. `ethogram send` takes a part to a bucket.
    """
    from profiler.partition import partition

    parts = []
    for place in places:
        if isinstance(place, RecordingUrl):
            raise UsageError(
                f"`{place}` is a URL: parts are made of recordings of this disk",
                hint="copy it here first",
            )
        path = local_place(place)
        if not path.is_dir():
            raise UsageError(
                f"`{path}` is a summary, not a recording",
                hint="make parts of the recording, and summaries of those",
            )
        for part in partition(path, output, now=datetime.now(UTC)):
            parts.append(part)
            what = count(part.workloads, "workload")
            print(f"{printable(part.namespace)}: {what} in `{part.path}`")
    if parts:
        next_command(shell("ethogram", "show", parts[0].path))
    else:
        say("there is no workload: no part was made")
