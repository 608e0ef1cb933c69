"""Which kinds of policy can be replayed: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.replayers`, a function without
arguments that returns a `Replayer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ethogram.contracts.plugins import Registry
from ethogram.errors import ExportError
from exporters.replay.protocol import Replayer

__all__ = ["GROUP", "replayer_of", "replayers"]

GROUP = "ethogram.replayers"
# One module a target; each has a function `replayer`.
_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "admission": "exporters.replay.admission",
        "cilium": "exporters.replay.cilium",
        "gatekeeper": "exporters.replay.gatekeeper",
        "kyverno": "exporters.replay.kyverno",
        "networkpolicy": "exporters.replay.networkpolicy",
        "seccomp": "exporters.replay.seccomp",
        "systemd": "exporters.replay.systemd",
    }
)


_REGISTRY: Registry[Replayer] = Registry(
    "replayer", GROUP, _BUILT_IN, Replayer, ExportError, named="target"
)


def replayers() -> Mapping[str, Replayer]:
    """Return every replayer by its target, in alphabetical order.

    Raises `ExportError` that names the one that does not load.
    """
    return _REGISTRY.all()


def replayer_of(path: str, document: Mapping[str, Any]) -> Replayer | None:
    """Return who replays *document*, of the file called *path*; None where nobody does."""
    return next((one for one in replayers().values() if one.reads(path, document)), None)
