"""Which exporters there are: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.exporters`, a function without
arguments that returns an `Exporter`:

    [project.entry-points."ethogram.exporters"]
    apparmor = "my_package.apparmor:exporter"
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

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


def exporters() -> Mapping[str, Exporter]:
    """Return every exporter by name, in alphabetical order.

    Raises `ExportError` that names the package whose exporter does not load.
    """
    factories = _factories(entry_points(group=GROUP))
    return MappingProxyType({name: _load(name, factories[name]) for name in sorted(factories)})


def find_exporter(name: str) -> Exporter:
    """Return the exporter called *name*; others are not loaded.

    Raises `UsageError` with the nearest name and the list where there is none.
    """
    factories = _factories(entry_points(group=GROUP))
    if name in factories:
        return _load(name, factories[name])
    known = ", ".join(f"`{known}`" for known in sorted(factories))
    raise UsageError(
        f"there is no exporter `{name}`", hint=_did_you_mean(name, factories) + f"known: {known}"
    )


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
                hint=_did_you_mean(name, exporter.settings) + f"known: {known}",
            )
        if name in settings:
            raise UsageError(f"setting `{name}` is given twice")
        settings[name] = value
    return Options(enforce=enforce, settings=MappingProxyType(settings))


def _factories(points: Iterable[EntryPoint]) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {
        name: _built_in(module) for name, module in _BUILT_IN.items()
    }
    for point in points:
        if point.name in found:
            origin = point.dist.name if point.dist else point.value
            raise ExportError(
                f"two exporters are called `{point.name}`; one is from `{origin}`",
                hint=f"uninstall `{origin}`, or rename its entry point",
            )
        found[point.name] = _plugin(point)
    return found


def _built_in(module: str) -> Callable[[], object]:
    return lambda: importlib.import_module(module).exporter()


def _plugin(point: EntryPoint) -> Callable[[], object]:
    def factory() -> object:
        return point.load()()

    return factory


def _load(name: str, factory: Callable[[], object]) -> Exporter:
    try:
        exporter = factory()
    except Exception as error:  # whatever a foreign package raises while it is imported
        raise ExportError(
            f"exporter `{name}` does not load: {type(error).__name__}: {error}",
            hint="upgrade or uninstall the package that provides it",
        ) from error
    if not isinstance(exporter, Exporter) or exporter.name != name:
        raise ExportError(f"exporter `{name}` is none: its factory returned {exporter!r}")
    return exporter


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    near = get_close_matches(word, list(words), n=1)
    return f"did you mean `{near[0]}`? " if near else ""
