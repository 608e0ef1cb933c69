"""Where the API server is, and who we are to it: from a service account or a kubeconfig."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ethogram.errors import UsageError

__all__ = ["ACCOUNT", "Access", "account_access", "in_cluster", "read_token"]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LIMIT_BYTES = 64 * 1024
# A bound token is replaced on disk when four fifths of its hour are over.
_TOKEN_S = 60.0


@dataclass(frozen=True, slots=True)
class Access:
    """An API server and how to speak to it. *token* is asked before each request; None: no token.

    *server* is `https://HOST[:PORT][/PATH]`. *name* is what the certificate is for where that is
    not the host.
    """

    server: str
    tls: ssl.SSLContext
    token: Callable[[], str | None] = field(default=lambda: None)
    name: str | None = None


def in_cluster(account: Path = ACCOUNT) -> Access:
    """Return the access of a pod: the service account that the kubelet mounted at *account*.

    `UsageError` where this is no pod, or one without a token.
    """
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise UsageError(
            "this is no pod: `KUBERNETES_SERVICE_HOST` is not set",
            hint="name a kubeconfig: `--kubernetes kubeconfig=FILE`",
        )
    where = f"[{host}]" if ":" in host else host
    hint = "the pod needs `automountServiceAccountToken: true`"
    return account_access(f"https://{where}:{port}", account, hint=hint)


def account_access(server: str, account: Path, *, hint: str) -> Access:
    """Return the access to *server* as the service account whose files are below *account*.

    `UsageError` with *hint* where it has no certificate, or no token.
    """
    try:
        context = ssl.create_default_context(cafile=account / "ca.crt")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"`{account / 'ca.crt'}` holds no certificate that can be read", hint=hint
        ) from error
    token = read_token(account / "token")
    token()  # what is wrong with it is said now
    return Access(server, context, token)


def read_token(path: Path, clock: Callable[[], float] = time.monotonic) -> Callable[[], str]:
    """Return what gives the token in *path*, read again each minute; `UsageError` if it cannot.

    While a file that was read before is being replaced, the token that it held is given.
    """
    known: list[tuple[float, str]] = []

    def token() -> str:
        if known and clock() - known[0][0] < _TOKEN_S:
            return known[0][1]
        try:
            with path.open("rb") as file:
                text = file.read(_LIMIT_BYTES).decode("ascii").strip()
        except (OSError, ValueError) as error:
            text = ""
            cause: Exception | None = error
        else:
            cause = None
        if not text or not text.isprintable() or " " in text:
            if known:
                return known[0][1]
            raise UsageError(f"`{path}` holds no token") from cause
        known[:] = [(clock(), text)]
        return text

    return token
