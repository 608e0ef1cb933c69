"""A place that findings go to, as it is written: `NAME+TRANSPORT:PLACE#SETTING=VALUE&...`.

What follows the `#` is for us alone: a URL's fragment is never sent. Credentials have no place in
it, nor before the host: the command line is for everybody on the machine to read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import SplitResult, unquote, urlsplit

from ethogram.contracts.escape import escape
from ethogram.errors import UsageError

__all__ = ["COMMON_SETTINGS", "KINDS", "SEVERITIES", "Destination", "size_of", "time_of"]

# Those of `ethogram.contracts.finding`, which would bring pydantic into the sender: 20 MB.
SEVERITIES = ("info", "low", "medium", "high", "critical")
KINDS = ("process", "network")  # of `ethogram.contracts.event`
COMMON_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "severity": "the least severity that goes there: one of " + ", ".join(SEVERITIES),
        "spool-size": "how much may wait for it, such as `64MB`, which is the default",
        "events": "what goes there besides findings: `process`, `network` or `process+network`",
    }
)
_FORM = re.compile(r"([a-z][a-z0-9-]*)(?:\+([a-z]+))?:(.+)", re.DOTALL)
_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
          "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}  # fmt: skip
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SECRETS = re.compile(r"(?i)\b(token|password|passwd|secret|api[-_]?key|access[-_]token|sig)=[^&]")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to: *place* is a path for `file`, else what follows the colon, `//host/path`."""

    sink: str
    transport: str
    place: str
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Return what *text* says; `UsageError` where it says nothing, or a secret."""
        whole, _, fragment = text.partition("#")
        match = _FORM.fullmatch(whole)
        if match is None or not text.isprintable():
            raise UsageError(
                f"`{escape(text)}` is no place for findings",
                hint="write it as `file:/var/log/findings.jsonl` or "
                "`webhook+https://host/path#token-file=/etc/ethogram/token`",
            )
        place = match[3]
        if place.startswith("///"):
            place = place[2:]  # `file:///var/log/x`
        transport = match[2] or ("" if place.startswith("//") else "file")
        if transport == "file":
            place = str(Path(place).absolute())
        else:
            _require_no_secret(place)
        return cls(match[1], transport, place, MappingProxyType(_settings(fragment)))

    def __str__(self) -> str:
        """Return this without its settings; there is no secret in it."""
        middle = "" if self.sink == self.transport else f"+{self.transport}"
        return escape(f"{self.sink}{middle}:{self.place}")

    @property
    def key(self) -> str:
        """A name for its directory: the same for the same place, whatever the settings."""
        digest = hashlib.sha256(f"{self.transport}:{self.place}".encode()).hexdigest()[:12]
        return f"{self.sink}-{digest}"

    @property
    def events(self) -> frozenset[str]:
        """The kinds of events that go there; `UsageError` where the setting names another."""
        kinds = frozenset(filter(None, re.split(r"[+,]", self.settings.get("events", ""))))
        if unknown := kinds - set(KINDS):
            raise UsageError(
                f"setting `events`: there is no kind `{escape(min(unknown))}`",
                hint="`process`, `network` or `process+network`",
            )
        return kinds

    @property
    def url(self) -> SplitResult:
        """The place as a URL of its transport."""
        return urlsplit(f"{self.transport}:{self.place}")

    def address(self, *, port: int) -> tuple[str, int]:
        """Return host and port; *port* where none is named. `UsageError` where there is no host."""
        try:
            host, named = self.url.hostname, self.url.port
        except ValueError:
            host, named = None, None
        if not host:
            raise UsageError(f"`{self}` names no host", hint="write it as `//HOST:PORT/PATH`")
        return host, named or port

    def chosen(self, name: str, default: str) -> str:
        """Return the setting *name*, or *default* where it is not given."""
        return self.settings.get(name, default)

    def size(self, name: str, default: str) -> int:
        """Return the setting *name* in bytes; `UsageError` where it is no size."""
        return size_of(self.chosen(name, default), name)


def size_of(text: str, name: str) -> int:
    """Return the bytes that *text*, the setting *name*, stands for."""
    match = re.fullmatch(r"(\d{1,6})(B|KB|MB|GB|KiB|MiB|GiB)", text)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"setting `{name}`: `{escape(text)}` is no size such as `64MB`")
    return int(match[1]) * _UNITS[match[2]]


def time_of(text: str, name: str) -> int:
    """Return the seconds that *text*, the setting *name*, stands for."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"setting `{name}`: `{escape(text)}` is no time such as `1h`")
    return int(match[1]) * _SECONDS[match[2]]


def _settings(fragment: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for pair in filter(None, fragment.split("&")):
        name, is_pair, value = pair.partition("=")
        if not is_pair or not value:
            raise UsageError(f"`{escape(pair)}` is no setting", hint="write it as `NAME=VALUE`")
        if name in settings:
            raise UsageError(f"setting `{escape(name)}` is given twice")
        settings[name] = unquote(value)
    return settings


def _require_no_secret(place: str) -> None:
    try:
        parts = urlsplit(place)
        has_user = parts.username is not None or parts.password is not None
    except ValueError as error:
        raise UsageError(
            "that URL cannot be read", hint="write it as `//HOST:PORT/PATH`"
        ) from error
    if has_user or _SECRETS.search(parts.query):
        raise UsageError(
            "a URL with credentials would be for everybody on this host to read",
            hint="leave them out, and name their file: `#token-file=/etc/ethogram/token`, "
            "or the environment variable that has them: `#token-env=NAME`",
        )
