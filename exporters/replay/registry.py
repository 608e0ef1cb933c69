"""Which kinds of policy can be replayed: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.replayers`, a function without
arguments that returns a `Replayer`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

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


def replayers() -> Mapping[str, Replayer]:
    """Return every replayer by its target, in alphabetical order.

    Raises `ExportError` that names the one that does not load.
    """
    factories: dict[str, Any] = {name: _factory(module) for name, module in _BUILT_IN.items()}
    for point in entry_points(group=GROUP):
        if point.name in factories:
            origin = point.dist.name if point.dist else point.value
            raise ExportError(
                f"two replayers are called `{point.name}`; one is from `{origin}`",
                hint=f"uninstall `{origin}`, or rename its entry point",
            )
        factories[point.name] = point.load
    return MappingProxyType({name: _load(name, factories[name]) for name in sorted(factories)})


def replayer_of(path: str, document: Mapping[str, Any]) -> Replayer | None:
    """Return who replays *document*, of the file called *path*; None where nobody does."""
    return next((one for one in replayers().values() if one.reads(path, document)), None)


def _factory(module: str) -> Any:
    return lambda: importlib.import_module(module).replayer


def _load(name: str, factory: Any) -> Replayer:
    try:
        replayer = factory()()
    except Exception as error:  # whatever a foreign package raises while it is imported
        raise ExportError(
            f"replayer `{name}` does not load: {type(error).__name__}: {error}",
            hint="upgrade or uninstall the package that provides it",
        ) from error
    if not isinstance(replayer, Replayer) or replayer.target != name:
        raise ExportError(f"replayer `{name}` is none: its factory returned {replayer!r}")
    return replayer
