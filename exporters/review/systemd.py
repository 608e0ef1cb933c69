"""Drop-ins of systemd's services."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.baseline import CapabilityValue
from ethogram.contracts.capabilities import CAPABILITIES
from exporters.review.protocol import Grant, Relaxed, Told

__all__ = ["SystemdReviewer", "reviewer"]

_MARK = "# relaxed: "
_SETTING = re.compile(r"\s*([A-Za-z]+)\s*=\s*(.*)")
# Their words are what is allowed; behind a `~` what is not.
_LISTS = frozenset(
    {
        "AmbientCapabilities",
        "CapabilityBoundingSet",
        "ReadWritePaths",
        "RestrictAddressFamilies",
        "SocketBindAllow",
        "SystemCallFilter",
    }
)
_FILTER, _LOG = "SystemCallFilter", "SystemCallLog"


@dataclass(frozen=True, slots=True)
class SystemdReviewer:
    """Knows drop-ins with a `[Service]` section, given as `{"text": ...}`."""

    target: str = "systemd"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are the text of one drop-in."""
        return len(documents) == 1 and set(documents[0]) == {"text"}

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return what the settings refuse, and what their lists allow."""
        settings = list(_settings(str(documents[0]["text"])))
        grants = tuple(
            dict.fromkeys(grant for key, value in settings for grant in _grants(key, value))
        )
        number = len({key for key, value in settings if value})
        refuses = any(key != _LOG for key, _ in settings)
        return Told(
            "denies" if refuses else "logs",
            grants,
            f"{number:,} setting{'' if number == 1 else 's'}",
        )

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the drop-in with its settings as comments; its filter of calls logs."""
        text = str(documents[0]["text"])
        lines = [] if _MARK in text else [f"{_MARK}{reason}"]
        filters: list[str] = []
        for line in text.splitlines():
            setting = _SETTING.fullmatch(line)
            if setting is not None and setting[1] == _FILTER:
                filters.append(setting[2])
            is_kept = (
                not line.strip()
                or line.lstrip()[0] in "#;["
                or (setting is not None and setting[1] == _LOG)
            )
            lines.append(line if is_kept else f"#{line}")
        # The last section of the file is the service's: what follows belongs to it.
        lines += [f"{_LOG}={logged}" for logged in _logged(filters)]
        return Relaxed(
            [{"text": "\n".join(lines) + "\n"}],
            "has its settings as comments, and logs the calls that it refused",
            "systemd",
            ("a service keeps what it was started with: restart it",),
        )


def reviewer() -> SystemdReviewer:
    """Return the reviewer."""
    return SystemdReviewer()


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if line.lstrip()[:1] not in ("#", ";") and (setting := _SETTING.fullmatch(line)):
            yield setting[1], setting[2].strip()


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:  # a quote that does not end
        return value.split()


def _logged(filters: Sequence[str]) -> Iterator[str]:
    """Return what logs the calls that *filters*, in their order, refuse."""
    allowed: list[str] = []
    for value in filters:
        refused = value.strip().startswith("~")
        calls = [word.partition(":")[0] for word in value.strip().removeprefix("~").split()]
        if refused and calls:
            yield " ".join(calls)
        allowed += [] if refused else calls
    if allowed:
        yield "~" + " ".join(allowed)


def _grants(key: str, value: str) -> Iterator[Grant]:
    if not value or key == _LOG:
        return
    if key not in _LISTS:
        yield Grant("setting", f"{key}={value}", is_demand=True)
        return
    is_refused = value.startswith("~")
    if not is_refused:
        yield Grant("setting", f"{key} is a list", is_demand=True)
    for word in _words(value.removeprefix("~")):
        known = CapabilityValue(name=word) if word in CAPABILITIES else None
        if is_refused:
            yield Grant("setting", f"{key}=~{word}", is_demand=True)
        else:
            yield Grant(key, word, known)
