"""All indicators, by id."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ethogram.indicators.fileless_executable import FilelessExecutable
from ethogram.indicators.protocol import Indicator
from ethogram.indicators.sensitive_file import SensitiveFileRead
from ethogram.indicators.shell_on_socket import ShellOnSocket

__all__ = ["indicators"]

_ALL: tuple[Indicator, ...] = (FilelessExecutable(), SensitiveFileRead(), ShellOnSocket())


def indicators() -> Mapping[str, Indicator]:
    """Return every indicator under its id, in the order of the ids."""
    return MappingProxyType(
        {
            indicator.metadata.id: indicator
            for indicator in sorted(_ALL, key=lambda indicator: indicator.metadata.id)
        }
    )
