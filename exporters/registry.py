"""Which exporters there are: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.exporters`, a function without
arguments that returns an `Exporter`:

    [project.entry-points."ethogram.exporters"]
    apparmor = "my_package.apparmor:exporter"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ethogram.contracts.plugins import Registry, did_you_mean
from ethogram.errors import ExportError, UsageError
from exporters.protocol import Exporter, Options

__all__ = ["GROUP", "exporters", "find_exporter", "parse_options"]

GROUP = "ethogram.exporters"
# One module a target; each has a function `exporter`.
_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "admission": "exporters.admission",
        "cilium": "exporters.cilium",
        "gatekeeper": "exporters.gatekeeper",
        "kyverno": "exporters.kyverno",
        "networkpolicy": "exporters.networkpolicy",
        "seccomp": "exporters.seccomp",
        "securitycontext": "exporters.securitycontext",
        "systemd": "exporters.systemd",
    }
)


_REGISTRY: Registry[Exporter] = Registry("exporter", GROUP, _BUILT_IN, Exporter, ExportError)


def exporters() -> Mapping[str, Exporter]:
    """Return every exporter by name, in alphabetical order.

    Raises `ExportError` that names the package whose exporter does not load.
    """
    return _REGISTRY.all()


def find_exporter(name: str) -> Exporter:
    """Return the exporter called *name*; others are not loaded.

    Raises `UsageError` with the nearest name and the list where there is none.
    """
    return _REGISTRY.find(name, unknown=UsageError)


def parse_options(exporter: Exporter, pairs: Iterable[str], *, enforce: bool = False) -> Options:
    """Return the options that *pairs* of `NAME=VALUE` spell for *exporter*.

    Raises `UsageError` for a setting that the exporter does not have, or that is given twice.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        name, is_pair, value = pair.partition("=")
        if not is_pair:
            raise UsageError(f"`{pair}` is no setting", hint="write it as `NAME=VALUE`")
        if name not in exporter.settings:
            known = ", ".join(f"`{known}`" for known in sorted(exporter.settings)) or "none"
            raise UsageError(
                f"exporter `{exporter.name}` has no setting `{name}`",
                hint=did_you_mean(name, exporter.settings) + f"known: {known}",
            )
        if name in settings:
            raise UsageError(f"setting `{name}` is given twice")
        settings[name] = value
    return Options(enforce=enforce, settings=MappingProxyType(settings))
