"""Secrets and certificates of sinks: named on the command line, and read where they are kept."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from detector.sinks.destination import Destination
from ethogram.contracts.escape import escape
from ethogram.errors import UsageError

__all__ = ["AUTHORIZATION", "TLS", "authorization", "secret", "tls_context"]

AUTHORIZATION: Mapping[str, str] = MappingProxyType(
    {
        "token-file": "file with a token, sent as `Authorization: Bearer`",
        "token-env": "environment variable with that token",
        "user": "name for `Authorization: Basic`",
        "password-file": "file with the password of that user",
        "password-env": "environment variable with that password",
    }
)
TLS: Mapping[str, str] = MappingProxyType(
    {
        "ca": "file with the certificates, as PEM, of whom to trust; the system's without it",
        "cert": "file with our own certificate, as PEM, for receivers that ask for one",
        "key": "file with its key, as PEM; the one of `cert` without it",
    }
)
_LIMIT_BYTES = 64 * 1024
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def secret(destination: Destination, name: str) -> str | None:
    """Return what the settings `NAME-file` or `NAME-env` lead to; None where neither is given.

    Raises `UsageError` where there is nothing, or something that fits into no header.
    """
    path, variable = (destination.settings.get(f"{name}-{where}") for where in ("file", "env"))
    if path and variable:
        raise UsageError(f"settings `{name}-file` and `{name}-env` are both given")
    if path:
        try:
            with Path(path).open("rb") as file:
                text = file.read(_LIMIT_BYTES).decode().strip()
        except (OSError, ValueError) as error:
            why = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else "no text"
            raise UsageError(
                f"setting `{name}-file`: `{escape(path)}` cannot be read: {why}"
            ) from (error)
    elif variable:
        text = os.environ.get(variable, "").strip()
    else:
        return None
    if not text or not text.isprintable():
        raise UsageError(
            f"settings of `{destination}`: there is no {name} in `{escape(path or variable or '')}`"
        )
    return text


def authorization(destination: Destination) -> str | None:
    """Return the header `Authorization`, as the settings have it now; None where they have none.

    Raises `UsageError`, also where it would cross a network in the clear.
    """
    token, user = secret(destination, "token"), destination.settings.get("user")
    password = secret(destination, "password")
    if (user is None) != (password is None) or (user and token):
        raise UsageError(
            "settings: `user` and a password belong together, and without a token",
            hint="name `token-file`, or `user` and `password-file`",
        )
    if token is None and user is None:
        return None
    if destination.transport == "http" and destination.url.hostname not in _LOCAL:
        raise UsageError(
            f"`{destination}` would carry credentials in the clear", hint="use `https`"
        )
    if token is not None:
        return f"Bearer {token}"
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def tls_context(destination: Destination) -> ssl.SSLContext:
    """Return how to speak TLS with *destination*: 1.2 at least, and never with just anybody."""
    settings = destination.settings
    if "key" in settings and "cert" not in settings:
        raise UsageError("setting `key` is given without `cert`")
    try:
        context = ssl.create_default_context(cafile=settings.get("ca"))
        if "cert" in settings:
            # Without a password an encrypted key would ask for one on the terminal.
            context.load_cert_chain(settings["cert"], settings.get("key"), password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(f"`{name}`" for name in TLS if name in settings)
        raise UsageError(
            f"settings {names} of `{destination}` lead to no certificates that can be read"
        ) from error
    return context
