"""Reads a kubeconfig: one context of it, as far as it can be used without running anything."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ethogram.contracts.escape import escape
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.strict_yaml import StrictYamlError, load_yaml
from ethogram.errors import UsageError
from profiler.cluster.access import Access, read_token

__all__ = ["from_kubeconfig"]

_HINT = "`kubectl config view --minify` shows the context that kubectl uses"
_LIMIT_BYTES = 4 << 20
Named = TypeVar("Named", bound="_Named")
Items = Annotated[list[Named], BeforeValidator(lambda value: [] if value is None else value)]


def _dashed(name: str) -> str:
    return name.replace("_", "-")


class _Model(BaseModel):
    """Kubeconfigs have fields of many tools: those that are not ours are no concern of ours."""

    model_config = ConfigDict(alias_generator=_dashed, extra="ignore", frozen=True, strict=True)


class _Cluster(_Model):
    server: str
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None


class _User(_Model):
    token: str | None = None
    token_file: str | None = Field(default=None, alias="tokenFile")
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    exec: dict[str, Any] | None = None
    auth_provider: dict[str, Any] | None = None
    username: str | None = None


class _Context(_Model):
    cluster: str
    user: str = ""


class _Named(_Model):
    name: str


class _NamedCluster(_Named):
    cluster: _Cluster


class _NamedUser(_Named):
    user: _User = _User()


class _NamedContext(_Named):
    context: _Context


class _Config(_Model):
    kind: str = "Config"
    current_context: str = ""
    clusters: Items[_NamedCluster] = []
    users: Items[_NamedUser] = []
    contexts: Items[_NamedContext] = []


def from_kubeconfig(path: Path | None = None, context: str | None = None) -> Access:
    """Return the access of *context* in the kubeconfig *path*, else the one that is current.

    Without *path* it is the first file that `KUBECONFIG` names, else `~/.kube/config`. `UsageError`
    for what is not there, is malformed, needs a program to be run, or would believe anybody.
    """
    path = path or _default()
    try:
        with open_plain(path) as file:
            text = file.read(_LIMIT_BYTES).decode()
        config = _Config.model_validate(load_yaml(text) or {})
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"kubeconfig `{path}` cannot be read: {reason}", hint=_HINT) from error
    except (StrictYamlError, UnicodeDecodeError) as error:
        raise UsageError(f"kubeconfig `{path}` is malformed: {error}", hint=_HINT) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"kubeconfig `{path}`: `{where}`: {first['msg'].lower()}") from error
    name = context or config.current_context
    if not name:
        raise UsageError(f"kubeconfig `{path}` has no current context", hint="name one")
    chosen = _named(config.contexts, name, path, "context").context
    cluster = _named(config.clusters, chosen.cluster, path, "cluster").cluster
    user = _named(config.users, chosen.user, path, "user").user if chosen.user else _User()
    _refuse(cluster, user, path)
    return Access(
        cluster.server.rstrip("/"),
        _tls(cluster, user, path),
        _token(user, path),
        cluster.tls_server_name,
    )


def _default() -> Path:
    named = [one for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    return Path(named[0]) if named else Path.home() / ".kube" / "config"


def _named(items: Sequence[Named], name: str, path: Path, what: str) -> Named:
    for item in items:
        if item.name == name:
            return item
    known = ", ".join(f"`{escape(item.name)}`" for item in items[:8]) or "none"
    raise UsageError(f"kubeconfig `{path}` has no {what} `{escape(name)}`", hint=f"it has: {known}")


def _refuse(cluster: _Cluster, user: _User, path: Path) -> None:
    where = f"kubeconfig `{path}`"
    if not cluster.server.startswith("https://"):
        raise UsageError(f"{where}: `server` is no `https://` URL: `{escape(cluster.server)}`")
    if cluster.insecure_skip_tls_verify:
        raise UsageError(
            f"{where} has `insecure-skip-tls-verify`: anybody could answer for the API server",
            hint="give `certificate-authority` instead",
        )
    if cluster.proxy_url:
        raise UsageError(f"{where} has a `proxy-url`, which is not supported")
    for name in ("exec", "auth_provider"):
        if getattr(user, name) is not None:
            raise UsageError(
                f"{where}: the user's `{_dashed(name)}` needs a program to be run, as root here",
                hint="use a service account: `kubectl create token NAME > FILE`, and `tokenFile`",
            )
    if user.username is not None:
        raise UsageError(f"{where}: no API server takes passwords since Kubernetes 1.19")


def _token(user: _User, path: Path) -> Any:
    if user.token_file:
        return read_token(path.parent / user.token_file)
    token = user.token
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise UsageError(f"kubeconfig `{path}`: the user's `token` is none")
    return lambda: token


def _tls(cluster: _Cluster, user: _User, path: Path) -> ssl.SSLContext:
    base = path.parent
    try:
        data = _decoded(cluster.certificate_authority_data)
        context = ssl.create_default_context(
            cafile=base / cluster.certificate_authority
            if cluster.certificate_authority and data is None
            else None,
            cadata=data.decode("ascii") if data is not None else None,
        )
        certificate = _decoded(user.client_certificate_data)
        key = _decoded(user.client_key_data)
        if certificate is not None or user.client_certificate:
            _load_chain(
                context,
                certificate or (base / str(user.client_certificate)).read_bytes(),
                key or (base / str(user.client_key)).read_bytes(),
            )
    except (OSError, ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"kubeconfig `{path}` leads to certificates or keys that cannot be read", hint=_HINT
        ) from error
    return context


def _decoded(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load both from a file that nobody else can open and that is gone at once: ssl reads files."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.rstrip() + b"\n" + key)
        file.flush()
        # Without a password an encrypted key would ask for one on the terminal.
        context.load_cert_chain(file.name, password=lambda: b"")
