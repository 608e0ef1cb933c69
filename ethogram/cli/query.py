"""`ethogram query`: SQL over recordings and findings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.inputs import WORDS, kind_of, use_of
from ethogram.cli.options import Duration, Size, examples, force_option, refuse_existing
from ethogram.cli.places import expanded
from ethogram.cli.screen import count, say
from ethogram.contracts.escape import escape
from ethogram.contracts.remote import location_of
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from detector.hunting.engine import Hunt
    from detector.hunting.findings import FindingLines
    from detector.hunting.sources import Source

__all__ = ["command", "opened"]

FORMATS = ("table", "json", "csv", "parquet")
_LONGEST_QUERY = 1 << 20


@click.command(
    "query",
    short_help="Ask recordings and findings in SQL.",
    epilog=examples(
        'ethogram query "SELECT exe_path, count(*) FROM processes GROUP BY ALL" shop.rec',
        "ethogram query \"FROM flows WHERE peer_addr = '203.0.113.7'\" recordings/ --format json",
        'ethogram query "SELECT severity, title, subject FROM findings" findings.jsonl',
        "ethogram query --file hunt.sql s3://bucket/shop.rec findings.jsonl -o hits.parquet",
        "ethogram query --views",
    ),
)
@click.argument("words", metavar='"SQL" REC|FINDINGS...', nargs=-1)
@click.option(
    "--file",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read the SQL from FILE; every word is a recording or findings then.",
)
@click.option("--views", "views", is_flag=True, help="List tables, views and columns, and leave.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="How to print it. [default: by the name of --output; else table]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, for its owner alone.",
)
@click.option(
    "--rows",
    metavar="N",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Rows that a table shows; what is beyond is counted. 0 for all.",
)
@click.option("--timeout", metavar="DURATION", type=Duration(), help="Give up after so long.")
@click.option(
    "--memory", metavar="SIZE", type=Size(least="64MB"), default="1GiB", show_default=True,
    help="Memory that DuckDB may take.",
)  # fmt: skip
@click.option(
    "--temporary", metavar="SIZE", type=Size(), default="8GiB", show_default=True,
    help="Temporary files that it may write, below `TMPDIR`, where memory does not do.",
)  # fmt: skip
@force_option
def command(
    *,
    words: tuple[str, ...],
    file: Path | None,
    views: bool,
    output_format: str | None,
    output: Path | None,
    rows: int,
    timeout: int | None,
    memory: int,
    temporary: int,
    force: bool,
) -> None:
    """Answer SQL about recordings and findings; `-` reads it from standard input.

    REC is a recording, finished or not, a directory of them, a pattern or a URL; FINDINGS are lines
    that `watch --format jsonl` wrote, events as well. The SQL is DuckDB's. It only reads, and
    reaches no file and no network.
    """
    if views:
        from ethogram.cli.query_views import print_views

        print_views(as_json=output_format == "json")
        return
    sql, places = _query(words, file)
    from detector.hunting.engine import Bounds, hunting
    from ethogram.cli.query_output import write_answer

    if output is not None:
        refuse_existing(output, force=force)
    kind = _format_of(output_format, output)
    sources, findings = opened(places)
    bounds = Bounds(memory, temporary, timeout / 1000 if timeout is not None else None)
    with hunting(sources, findings, sql=f"{sql} losses", bounds=bounds) as hunt:
        with hunt.failures(sql):
            write_answer(hunt.batches(sql), kind, output, rows=rows)
        _say_what_is_missing(hunt, sources, findings)


def _query(words: Sequence[str], file: Path | None) -> tuple[str, Sequence[str]]:
    """Return the SQL, and the words that name what it is about."""
    if file is not None:
        try:
            sql, places = file.read_text(encoding="utf-8"), words
        except ValueError as error:
            raise UsageError(f"`{escape(str(file))}` is no UTF-8 text") from error
    elif not words:
        raise UsageError(
            "there is no query", hint="`ethogram query --views` lists what can be asked about"
        )
    else:
        sql, places = words[0], words[1:]
        if sql == "-":
            sql = sys.stdin.read(_LONGEST_QUERY + 1)
    if len(sql) > _LONGEST_QUERY:
        raise UsageError("the query is longer than 1 MiB")
    if not places:
        is_place = file is None and Path(sql).exists()
        raise UsageError(
            "`ethogram query` names no recording and no findings",
            hint="the SQL comes first, quoted, then the recordings"
            if is_place
            else "name recordings or findings after the SQL",
        )
    return sql, places


def _format_of(asked: str | None, output: Path | None) -> str:
    named = output.suffix.removeprefix(".") if output is not None else ""
    kind = asked or (named if named in FORMATS else "table")
    if kind == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal", hint="pass `-o FILE.parquet`")
    return kind


def opened(places: Sequence[str]) -> tuple[list[Source], FindingLines]:
    """Return the recordings and the findings among *places*; `UsageError` for what is neither."""
    from detector.hunting.findings import FindingLines, holds_findings
    from detector.hunting.sources import Source
    from ethogram.contracts.recording import Recording

    sources: list[Source] = []
    findings: list[Path] = []
    for place in expanded([location_of(word) for word in places]):
        if isinstance(place, Path) and place.is_file() and holds_findings(place):
            findings.append(place)
            continue
        if (kind := kind_of(place)) != "recording":
            raise UsageError(
                f"`{place}` is {WORDS[kind]}, not a recording or findings", hint=use_of(kind, place)
            )
        sources.append(Source(len(sources) + 1, str(place), Recording.open(place)))
    _say_twice(sources)
    return sources, FindingLines(findings)


def _say_twice(sources: Sequence[Source]) -> None:
    known: dict[str, str] = {}
    for source in sources:
        identity = source.recording.manifest.recording_id
        if identity in known:
            say(
                f"note: `{escape(known[identity])}` and `{escape(source.place)}` are of one"
                " recording: rows that both have are there twice"
            )
        known.setdefault(identity, source.place)


def _say_what_is_missing(hunt: Hunt, sources: Sequence[Source], findings: FindingLines) -> None:
    """Say what the answer cannot hold: an empty one would pass for a clean one."""
    lost = dict(hunt.rows("SELECT recording, sum(count) FROM raw.losses GROUP BY recording"))
    for source in sources:
        if number := lost.get(source.number):
            say(
                f"note: `{escape(source.place)}` lost {count(int(number), 'event')}: what is not"
                " in it may have happened (`FROM losses` says where)"
            )
        if source.recording.is_truncated:
            say(f"note: `{escape(source.place)}` ends inside a window: its recorder was killed")
    for name, number in findings.others.items():
        if number:
            say(f"note: {count(number, 'line')} of `{escape(name)}` are no findings")
