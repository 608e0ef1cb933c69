"""Serves the application over TLS by uvicorn, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ethogram.errors import UsageError
from ethogram.webhook.app import Webhook, application
from ethogram.webhook.certificates import Certificate
from ethogram.webhook.policy import Policy
from ethogram.webhook.policy_files import Change, PolicyFiles
from ethogram.webhook.seccomp_patch import read_confirmed
from profiler.memory import give_back_memory

__all__ = ["POLL_S", "Service"]

# Longer than an API server keeps a connection that it does not use, 90 s: of two that close it at
# once, the one that sends would lose a request.
_KEEP_ALIVE_S = 120
HEAD_S = 5.0
POLL_S = 5.0
_SOON_S = 0.01
_LAST_S = 5
_HEAD_BYTES = 16 << 10
_CONNECTIONS = 512


class _Patient(HttpToolsProtocol):
    """Ends connections on which no whole head of a request comes, which uvicorn waits for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_bytes = 0
        self._look_again(is_late=True)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        is_of_head = self.cycle is before and (before is None or before.response_complete)
        self._head_bytes = self._head_bytes + len(data) if is_of_head else 0
        if self._head_bytes > _HEAD_BYTES:
            self.transport.abort()

    def _look_again(self, *, is_late: bool) -> None:
        self._watch = self.loop.call_later(HEAD_S, self._look, is_late)

    def _look(self, was_late: bool) -> None:
        is_late = self.cycle is None or self._head_bytes > 0
        if is_late and was_late:
            self.transport.abort()
        elif not self.transport.is_closing():
            self._look_again(is_late=is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Service:
    """Answers on *listener*; *say* is for people, *on_ready* is called once connections are taken.

    The files of *certificate* and *policy*, and those that say what nodes hold, are looked at every
    few seconds; *on_policy* is told of what was taken.
    """

    webhook: Webhook
    listener: socket.socket
    certificate: Certificate
    policy: PolicyFiles
    on_policy: Callable[[Policy, Sequence[str]], None]
    say: Callable[[str], None]
    on_ready: Callable[[], None]

    def run(self) -> None:
        """Answer until a SIGTERM or SIGINT; then end what was begun, and return."""
        # What is there stays for good. To look through it for garbage, as is done again and again
        # while reviews are read, would hold up some of them.
        gc.collect()
        gc.freeze()
        with asyncio.Runner() as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        # An answer goes in two parts: without this the second waits 40 ms for the first. Those that
        # are accepted inherit it, and asyncio sets it only where a socket names its protocol.
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = _Server(_config(self.webhook, self.certificate))
        loop = asyncio.get_running_loop()

        def leave() -> None:
            self.webhook.is_leaving = True
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, leave)
        looking = loop.create_task(self._look_at_files())
        ready = loop.create_task(self._tell_ready(server))
        try:
            await server.serve(sockets=[self.listener])
        finally:
            looking.cancel()
            ready.cancel()

    async def _tell_ready(self, server: uvicorn.Server) -> None:
        while not server.started:
            await asyncio.sleep(_SOON_S)
        self.on_ready()

    async def _look_at_files(self) -> None:
        before: object = None
        trouble: str | None = None
        while True:
            self._look_at_certificate()
            # There may be a thousand baselines: reviews go on meanwhile.
            change = await asyncio.to_thread(self.policy.look)
            trouble = trouble if change is None else self._take_policy(change, trouble)
            self.webhook.count_exemptions()
            before = self._look_at_confirmed(before)
            if self.webhook.is_swollen:
                self.webhook.is_swollen = False
                await asyncio.to_thread(give_back_memory)
            await asyncio.sleep(POLL_S)

    def _take_policy(self, change: Change, before: str | None) -> str | None:
        """Judge by what *change* has from now on; return what is wrong, said where that is new."""
        counts = self.webhook.counts
        if change.policy is None:
            if change.trouble != before:
                counts.configurations["refused"] += 1
                self.say(f"warning: the new configuration is not taken: {change.trouble}")
            return change.trouble
        if change.policy == self.webhook.policy:
            if before is not None:
                self.say("the configuration can be read again, and is as it was")
            return None
        self.webhook.policy = change.policy
        counts.configurations["taken"] += 1
        self.say("the configuration changed: reviews go by the new one")
        self.on_policy(change.policy, change.notes)
        return None

    def _look_at_confirmed(self, before: object) -> object:
        mutate = self.webhook.policy.config.mutate
        if mutate.seccomp and mutate.confirmed is not None:
            return self._take_confirmed(Path(mutate.confirmed), before)
        self.webhook.confirmed = frozenset() if mutate.seccomp else None
        return None

    def _look_at_certificate(self) -> None:
        taken = self.certificate.reload(self.say)
        counts = self.webhook.counts
        if taken is not None:
            counts.reloads["taken" if taken else "refused"] += 1
        if taken:
            self.say("the certificate changed: new connections get the new one")
        counts.expires_s = self.certificate.expires_s

    def _take_confirmed(self, path: Path, before: object) -> object:
        """Take what *path* says where that changed; what cannot be read confirms nothing."""
        stamp: object
        try:
            found = path.stat()
            stamp = (path, found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp == before:
                return before
            self.webhook.confirmed = read_confirmed(path)
        except (OSError, UsageError) as error:
            stamp = str(error)
            self.webhook.confirmed = frozenset()
            if stamp != before:
                self.say(f"warning: no profile is taken for confirmed: {stamp}")
        return stamp


def _config(webhook: Webhook, certificate: Certificate) -> uvicorn.Config:
    config = uvicorn.Config(
        application(webhook), http=_Patient, ws="none", lifespan="off", loop="asyncio",
        log_config=None, log_level="critical", access_log=False, server_header=False,
        date_header=False, timeout_keep_alive=_KEEP_ALIVE_S, timeout_graceful_shutdown=_LAST_S,
        limit_concurrency=_CONNECTIONS,
    )  # fmt: skip
    config.load()
    config.ssl = certificate.context
    return config
