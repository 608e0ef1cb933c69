"""Calls an ASGI application without a network: what a server would hand to it, byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.webhook.app import Webhook, application

__all__ = ["Answered", "post"]

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def post(
    webhook: Webhook,
    content: bytes | Sequence[bytes],
    *,
    path: str = "/validate",
    method: str = "POST",
    headers: Mapping[str, str] = JSON,
    ends: str = "whole",
) -> Answered:
    """Return the answer of *webhook* to *content*, in parts if it is several.

    *ends*: the body is `whole`, or after its parts the client is `silent`, or `gone`.
    """
    parts = [content] if isinstance(content, bytes) else list(content)
    return asyncio.run(_post(webhook, parts, path, method, headers, ends))


async def _post(
    webhook: Webhook,
    parts: list[bytes],
    path: str,
    method: str,
    headers: Mapping[str, str],
    ends: str,
) -> Answered:
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends == "whole":
        messages[-1]["more_body"] = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        if ends == "silent":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "https", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "root_path": "",
    }  # fmt: skip
    await application(webhook)(scope, receive, send)
    start, *rest = sent
    return Answered(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(one.get("body", b"") for one in rest),
    )
