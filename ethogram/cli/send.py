"""`ethogram send`: a recording, or what a spool still has of one, to a URL."""

from __future__ import annotations

from pathlib import Path

import click

from ethogram.cli.inputs import WORDS, kind_of, use_of
from ethogram.cli.options import Location, examples, force_option
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.cli.storage_options import send_wait_option
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

__all__ = ["command"]


@click.command(
    "send",
    short_help="Upload a recording, or what a spool still has of one.",
    epilog=examples(
        "ethogram send recording s3://bucket/recording",
        "ethogram send /var/lib/ethogram/spool/4be1c0ffee",
    ),
)
@click.argument("directory", metavar="REC|SPOOL", type=Location())
@click.argument("url", metavar="[URL]", required=False, type=Location())
@send_wait_option
@force_option
def command(
    directory: Path | RecordingUrl, url: Path | RecordingUrl | None, send_wait: int, force: bool
) -> None:
    """Upload the recording REC to URL, or what SPOOL still has to where it was going.

    A spool is what `record -o URL` leaves where the URL did not take all, or where the recorder
    was killed; it is deleted once everything has arrived. What a killed recorder left is compacted
    first.
    """
    from profiler.send import send

    if isinstance(directory, RecordingUrl):
        raise UsageError(f"`{directory}` is a URL already", hint="name a recording of this disk")
    if (kind := kind_of(directory)) != "recording":
        raise UsageError(
            f"`{directory}` is {WORDS[kind]}, not a recording", hint=use_of(kind, directory)
        )
    if isinstance(url, Path):
        raise UsageError(f"`{url}` is no URL", hint="name one, such as `s3://bucket/recording`")
    result = send(directory, url, force=force, patience_s=send_wait / 1000)
    say(
        f"sent {count(result.files, 'file')}, {count(result.size_bytes, 'byte')}, "
        f"to `{result.url}`" + ("" if result.is_kept else f"; `{directory}` is deleted")
    )
    next_command(shell("ethogram", "show", result.url))
