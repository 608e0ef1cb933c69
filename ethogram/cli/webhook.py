"""`ethogram webhook`: answers an API server that asks about pods."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram import __version__
from ethogram.cli.listening import AddressType, ListenAddress
from ethogram.cli.options import COMMAND_SETTINGS, examples
from ethogram.cli.screen import count, say
from ethogram.cli.webhook_manifests import manifests
from ethogram.errors import PreflightError, UsageError

if TYPE_CHECKING:
    from detector.sinks.outbox import SinkStatus
    from ethogram.webhook.config import Config
    from ethogram.webhook.metrics import Counts
    from ethogram.webhook.policy import Policy
    from ethogram.webhook.policy_files import PolicyFiles
    from ethogram.webhook.telling import Teller

__all__ = ["command"]

_SPOOL = Path("/var/lib/ethogram/sinks")
_SEND_WAIT_S = 5.0


@click.group(
    "webhook",
    short_help="Answer an API server that asks whether pods may be.",
    context_settings=COMMAND_SETTINGS,
    invoke_without_command=True,
    epilog=examples(
        "ethogram webhook --config webhook.yaml",
        "ethogram webhook --config webhook.yaml --check",
    ),
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Modes, levels, rules, exemptions, certificate and sinks; docs/webhook.md has the fields.",
)
@click.option("--check", is_flag=True, help="Read the configuration, say what it comes to, end.")
@click.option(
    "--ready-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write the process id to once reviews are answered.",
)
@click.pass_context
def command(context: click.Context, /, **values: Any) -> None:
    """Answer an API server that asks whether pods may be (AdmissionReview v1, over TLS).

    `ethogram webhook manifests` prints what a cluster needs to ask. SIGTERM ends it.
    """
    if context.invoked_subcommand is not None:
        return
    if values["config"] is None:
        raise UsageError("`--config` is missing", hint="docs/webhook.md shows a file to begin with")
    from ethogram.webhook.policy_files import PolicyFiles

    files = PolicyFiles(values["config"], _today)
    loaded = files.load()
    assert loaded.policy is not None
    _say_policy(loaded.policy, loaded.notes)
    if not values["check"]:
        _serve(loaded.policy, files, values["ready_file"])


def _say_policy(policy: Policy, notes: Sequence[str]) -> None:
    """Say what there is to know about what is asked of pods."""
    config = policy.config
    for note in notes:
        say(f"warning: {note}")
    for one in policy.expired(_today()):
        say(
            f"warning: an exemption of {one.owner} in `{one.namespace}` ended on {one.expires}:"
            f" {', '.join(one.rules)} hold again"
        )
    learnt = sum(map(len, policy.learnt.values()))
    say(
        f"mode {config.mode}, Pod Security {config.pod_security.level}"
        f" v{policy.version[0]}.{policy.version[1]}, {count(learnt, 'baseline')},"
        f" {count(len(config.exemptions), 'exemption')}"
    )


def _serve(policy: Policy, files: PolicyFiles, ready_file: Path | None) -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise PreflightError(
            "the webhook takes starlette and uvicorn, and they are not installed",
            hint="`pip install 'ethogram[webhook]'`",
        ) from error
    from ethogram.webhook.app import Webhook
    from ethogram.webhook.certificates import Certificate
    from ethogram.webhook.metrics import Counts
    from ethogram.webhook.serving import Service
    from profiler import privileges

    config = policy.config
    certificate, counts = Certificate.load(config.tls), Counts()
    with ExitStack() as stack:
        teller = _teller(config, counts)
        if teller is not None:
            stack.callback(lambda: _say_ending(teller.close()))
        listener = stack.enter_context(_listening("listen", config.listen))
        address = _bound(listener)
        metrics = None
        if config.metrics is not None:
            metrics = stack.enter_context(_listening("metrics", config.metrics))
        if os.geteuid() == 0:
            privileges.drop(frozenset())
        if metrics is not None:
            _serve_metrics(stack, metrics, counts)
        if teller is not None:
            teller.start()
        webhook = Webhook(
            policy, counts, _today, teller, frozenset() if config.mutate.seccomp else None
        )

        def on_ready() -> None:
            if ready_file is not None:
                ready_file.write_text(f"{os.getpid()}\n", encoding="ascii")
            say(f"reviews are answered on https://{address}/validate")

        Service(webhook, listener, certificate, files, _say_policy, say, on_ready).run()
    answered = sum(counts.reviews.values())
    denied = sum(n for (_, outcome, *_), n in counts.reviews.items() if outcome == "denied")
    say(f"{count(answered, 'review')} answered, {denied:,} denied")


def _teller(config: Config, counts: Counts) -> Teller | None:
    if not config.sinks:
        return None
    from detector.sinks.outbox import Outbox
    from detector.sinks.protocol import Sender
    from ethogram.webhook.findings import Tellings
    from ethogram.webhook.telling import Teller

    outbox = Outbox(
        config.sinks,
        sender=Sender(socket.gethostname(), __version__, os.getpid(), config.cluster),
        root=(Path(config.spool) if config.spool else _SPOOL).absolute(),
        patience_s=_SEND_WAIT_S,
    )
    return Teller(outbox, Tellings(time.monotonic, lambda: datetime.now(UTC)), counts)


def _say_ending(statuses: Sequence[SinkStatus]) -> None:
    from ethogram.cli.sinks import ending

    for line in ending(statuses):
        say(line)


def _listening(field: str, text: str) -> socket.socket:
    from profiler.telemetry.server import listen

    address: ListenAddress = AddressType().convert(text, None, None)
    try:
        return listen(address.host, address.port)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise UsageError(
            f"`{field}: {text}`: nothing can listen there: {why}",
            hint="name an address of this host and a free port",
        ) from error


def _bound(listener: socket.socket) -> str:
    return str(ListenAddress(*listener.getsockname()[:2]))


def _serve_metrics(stack: ExitStack, listener: socket.socket, counts: Counts) -> None:
    from http import HTTPStatus

    from profiler.telemetry.families import CONTENT_TYPE
    from profiler.telemetry.server import Answer, Server

    def answer(path: str) -> Answer:
        if path == "/metrics":
            return Answer(HTTPStatus.OK, counts.exposition(), CONTENT_TYPE)
        return Answer.text(HTTPStatus.NOT_FOUND, "here is /metrics")

    server = Server(listener, answer)
    stack.callback(server.close)
    say(f"metrics on http://{_bound(listener)}/metrics")
    server.start()


def _today() -> date:
    return datetime.now(UTC).date()


command.add_command(manifests)
