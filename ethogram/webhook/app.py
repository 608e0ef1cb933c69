"""The HTTP of the webhook: what comes in is bounded in size and time, and always answered.

An API server goes by the configuration's `failurePolicy` where the answer is an HTTP error. So what
is no review gets one, and what has an id to answer to gets an answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ethogram.contracts.escape import printable
from ethogram.webhook.breaches import MODES, Mode
from ethogram.webhook.metrics import Counts
from ethogram.webhook.policy import Policy
from ethogram.webhook.requests import BadReviewError, Request, read_review
from ethogram.webhook.responses import decided, patched, refused
from ethogram.webhook.review import Decision, review
from ethogram.webhook.seccomp_patch import Patch, seccomp_patch
from ethogram.webhook.telling import Teller

__all__ = ["LIMIT_BYTES", "PATIENCE_S", "Webhook", "application"]

# An API server takes objects of 3 MB at most, and a review of a change has two of them.
LIMIT_BYTES = 8 << 20
# Of all bodies together, so that many slow clients do not fill the memory.
_HELD_BYTES = 64 << 20
_LARGE_BYTES = 256 << 10
_LARGE_AT_ONCE = 2
PATIENCE_S = 5.0
_LOG = logging.getLogger("ethogram.webhook")


@dataclass(slots=True)
class Webhook:
    """What answers: *policy* on the day that *today* returns; *teller* None tells nobody.

    *confirmed* are the profiles that every node holds, None where nothing is added to pods.
    """

    policy: Policy
    counts: Counts
    today: Callable[[], date]
    teller: Teller | None = None
    confirmed: frozenset[str] | None = None
    is_leaving: bool = False
    is_swollen: bool = False  # by a large review, whose memory the C library keeps
    held_bytes: int = 0
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LARGE_AT_ONCE))

    def count_exemptions(self) -> None:
        """Count the exemptions that hold today, and those that are over."""
        expired = len(self.policy.expired(self.today()))
        self.counts.exemptions["expired"] = expired
        self.counts.exemptions["active"] = len(self.policy.config.exemptions) - expired


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer to send, with what it is of for those who count."""

    body: dict[str, Any]
    request: Request | None = None
    decision: Decision | None = None
    patch: Patch | None = None


class _RefusedError(Exception):
    """An HTTP error: *status*, and *reason*, a word for the metrics."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


def application(webhook: Webhook) -> Starlette:
    """Return the application: `/validate`, `/validate/MODE`, `/mutate`, `/healthz`, `/readyz`."""

    async def validate(http: HttpRequest) -> Response:
        asked = http.path_params.get("mode")
        if asked is not None and asked not in MODES:
            return _error(webhook, _RefusedError(HTTPStatus.NOT_FOUND, "path", "no such mode"))
        return await _answered(
            http, webhook, lambda content: _validated(content, webhook, cast("Mode | None", asked))
        )

    async def mutate(http: HttpRequest) -> Response:
        return await _answered(http, webhook, lambda content: _mutated(content, webhook))

    async def healthz(_: HttpRequest) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: HttpRequest) -> Response:
        if webhook.is_leaving:
            return PlainTextResponse("leaving\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ready\n")

    return Starlette(
        routes=[
            Route("/validate", validate, methods=["POST"]),
            Route("/validate/{mode}", validate, methods=["POST"]),
            Route("/mutate", mutate, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ]
    )


def _validated(content: bytes, webhook: Webhook, asked: Mode | None) -> _Answer:
    request = read_review(content)
    decision = review(request, webhook.policy, today=webhook.today(), asked=asked)
    return _Answer(decided(request.uid, decision), request, decision)


def _mutated(content: bytes, webhook: Webhook) -> _Answer:
    request = read_review(content)
    confirmed = webhook.confirmed
    patch = [] if confirmed is None else seccomp_patch(request, webhook.policy, confirmed)
    return _Answer(patched(request.uid, patch), request, None, patch)


async def _answered(
    http: HttpRequest, webhook: Webhook, answer: Callable[[bytes], _Answer]
) -> Response:
    """Return the answer to *http*, whatever is in it."""
    content = bytearray()
    try:
        await _read(http, webhook, content)
        began_s = time.perf_counter()
        # A large one takes ten times its size while it is read, and keeps others waiting.
        size_bytes = len(content)
        if size_bytes > _LARGE_BYTES:
            async with webhook.large:
                found = await asyncio.to_thread(_safely, answer, bytes(content))
            webhook.is_swollen = True
        else:
            found = _safely(answer, bytes(content))
    except _RefusedError as error:
        return _error(webhook, error)
    except ClientDisconnect:
        webhook.counts.bad["disconnected"] += 1
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    finally:
        webhook.held_bytes -= len(content)
    _counted(webhook, found, size_bytes)
    webhook.counts.took(time.perf_counter() - began_s)
    return _json(found.body)


def _safely(answer: Callable[[bytes], _Answer], content: bytes) -> _Answer:
    try:
        return answer(content)
    except BadReviewError as error:
        if error.uid is not None:
            return _Answer(refused(error.uid, error.message))
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "review", error.message) from error
    except RecursionError as error:
        message = "the review is nested too deeply"
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "review", message) from error
    except Exception as error:
        # A mistake of ours, and no reason to go down for all the others.
        _LOG.exception("a review failed")
        message = "the review failed"
        raise _RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", message) from error


def _counted(webhook: Webhook, found: _Answer, size_bytes: int) -> None:
    if found.request is None:
        webhook.counts.bad["request"] += 1
    elif found.decision is not None:
        webhook.counts.decided(found.request, found.decision)
        if webhook.teller is not None:
            webhook.teller.take(found.request, found.decision, size_bytes=size_bytes)
    elif found.patch is not None:
        types = {str(one["value"]).partition("Localhost")[1] for one in found.patch}
        word = "learnt" if "Localhost" in types else "default" if found.patch else "none"
        webhook.counts.patches[word] += 1


async def _read(http: HttpRequest, webhook: Webhook, content: bytearray) -> None:
    """Append the body of *http* to *content*: of JSON, no larger than the limit, and in time."""
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _unread("the content type is not application/json")
    if http.headers.get("content-encoding", "identity") != "identity":
        raise _unread("the body is compressed")
    length = http.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:12]) > LIMIT_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for part in http.stream():
                if len(content) + len(part) > LIMIT_BYTES:
                    raise _too_large()
                if webhook.held_bytes + len(part) > _HELD_BYTES:
                    message = "too much is being read"
                    raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", message)
                content += part
                webhook.held_bytes += len(part)
    except TimeoutError as error:
        message = f"the body took longer than {PATIENCE_S:g} s"
        raise _RefusedError(HTTPStatus.REQUEST_TIMEOUT, "slow", message) from error


def _unread(message: str) -> _RefusedError:
    return _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content-type", message)


def _too_large() -> _RefusedError:
    message = f"the body is larger than {LIMIT_BYTES} bytes"
    return _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size", message)


def _error(webhook: Webhook, error: _RefusedError) -> Response:
    """Return *error* as a `Status` of Kubernetes; the connection ends with it."""
    webhook.counts.bad[error.reason] += 1
    body: dict[str, Any] = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": printable(error.message), "code": error.status.value,
    }  # fmt: skip
    response = _json(body, error.status)
    # What is left of a body would pass for the next request.
    response.headers["connection"] = "close"
    return response


def _json(body: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    text = json.dumps(body, separators=(",", ":"))
    return Response(text.encode("ascii"), status, media_type="application/json")
