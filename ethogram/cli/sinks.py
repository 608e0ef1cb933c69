"""Sinks of `watch`: their options, and what is said of them on standard error."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram import __version__
from ethogram.cli.options import Duration
from ethogram.cli.screen import count, say
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from detector.sinks.outbox import Outbox, SinkStatus
    from ethogram.contracts.finding import Finding

__all__ = ["SinkScreen", "ending", "outbox_of", "sink_options"]


def sink_options(command: Any) -> Any:
    """Add the options that `outbox_of` reads."""
    options = (
        click.option(
            "--to",
            "sinks",
            metavar="URL",
            multiple=True,
            help="Send findings there, too, such as `file:/var/log/ethogram/findings.jsonl` or "
            "`webhook+https://host/path#token-file=FILE`; again for more. docs/sinks.md lists "
            "them.",
        ),
        click.option(
            "--spool",
            metavar="DIR",
            type=click.Path(file_okay=False, path_type=Path),
            help="Where findings wait until they are sent; /var/lib/ethogram/sinks without it.",
        ),
        click.option(
            "--send-wait",
            type=Duration(least_ms=100),
            metavar="TIME",
            default="10s",
            show_default=True,
            help="How long to go on sending at the end; what is left waits for the next watch.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def outbox_of(values: dict[str, Any], last_words: Callable[[], Finding]) -> Outbox | None:
    """Return what takes findings to the sinks of the option *values*; None where there are none.

    *last_words* are what they get where this process is killed.
    """
    if not values["sinks"]:
        if values["spool"] is not None:
            raise UsageError("`--spool` is for findings that go somewhere", hint="add `--to URL`")
        return None
    import os

    from detector.sinks.outbox import SPOOL_ROOT, Outbox
    from detector.sinks.protocol import Sender

    host = values["node"] or socket.gethostname()  # in a pod, the host's name is the pod's
    return Outbox(
        values["sinks"],
        sender=Sender(host, __version__, os.getpid(), values["cluster"]),
        root=(values["spool"] or SPOOL_ROOT).absolute(),
        patience_s=values["send_wait"] / 1000,
        last_words=last_words().line(),
    )


class SinkScreen:
    """Says what changes: a sink that fails or works again, and findings that found no room."""

    def __init__(self) -> None:
        self._before: dict[str, SinkStatus] = {}

    def take(self, statuses: Sequence[SinkStatus]) -> None:
        """Say how *statuses* differ from those before."""
        for one in statuses:
            before = self._before.get(one.sink)
            self._before[one.sink] = one
            if one.state != (before.state if before else "ok"):
                say(_change_words(one))
            if before and one.dropped > before.dropped:
                more = one.dropped - before.dropped
                say(f"warning: `{one.sink}`: {count(more, 'finding')} dropped: its spool is full")


def _change_words(one: SinkStatus) -> str:
    if one.state == "ok":
        return f"`{one.sink}` takes findings again"
    if one.state == "stopped":
        return f"warning: `{one.sink}`: nothing is sent: the sender ended; findings wait"
    if one.state == "refusing":
        return f"warning: `{one.sink}` refused a finding: {one.error}"
    return f"warning: `{one.sink}`: {one.error}; findings wait, and are tried again"


def ending(statuses: Sequence[SinkStatus]) -> list[str]:
    """Return what of *statuses* is to be known at the end."""
    lines = []
    for one in statuses:
        left = []
        if one.waiting_bytes:
            left.append(f"{count(one.waiting_bytes, 'byte')} wait for the next watch")
        for name in ("dropped", "refused", "damaged"):
            if number := getattr(one, name):
                left.append(f"{number:,} {name}")
        why = f": {one.error}" if one.waiting_bytes and one.error else ""
        state = "; ".join(left) or "nothing waits"
        lines.append(f"`{one.sink}`: {one.sent:,} sent, {state}{why}")
    return lines
