"""Which sinks there are: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.sinks`, a function without arguments
that returns a `Sink`:

    [project.entry-points."ethogram.sinks"]
    kafka = "my_package.kafka:sink"
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from detector.sinks.destination import COMMON_SETTINGS, SEVERITIES, Destination
from detector.sinks.protocol import Sink
from ethogram.errors import UsageError

__all__ = ["GROUP", "check", "find_sink", "sinks"]

GROUP = "ethogram.sinks"
# One module a sink; each has a function `sink`.
_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "alertmanager": "detector.sinks.alertmanager",
        "file": "detector.sinks.file",
        "ocsf": "detector.sinks.ocsf",
        "otlp": "detector.sinks.otlp",
        "syslog": "detector.sinks.syslog",
        "webhook": "detector.sinks.webhook",
    }
)
_LEAST_SPOOL = 256 * 1024


def sinks() -> Mapping[str, Sink]:
    """Return every sink by name, in alphabetical order."""
    factories = _factories(entry_points(group=GROUP))
    return MappingProxyType({name: _load(name, factories[name]) for name in sorted(factories)})


def find_sink(name: str) -> Sink:
    """Return the sink called *name*; `UsageError` with the nearest name where there is none."""
    factories = _factories(entry_points(group=GROUP))
    if name in factories:
        return _load(name, factories[name])
    known = ", ".join(f"`{known}`" for known in sorted(factories))
    raise UsageError(
        f"there is no sink `{name}`", hint=_did_you_mean(name, factories) + f"known: {known}"
    )


def check(destination: Destination) -> Sink:
    """Return the sink of *destination*; `UsageError` where it does not go there, or so."""
    sink = find_sink(destination.sink)
    if destination.transport not in sink.transports:
        ways = ", ".join(
            f"`{sink.name}:`" if way == sink.name else f"`{sink.name}+{way}:`"
            for way in sorted(sink.transports)
        )
        raise UsageError(f"`{destination}` names no way to send", hint=f"begin with {ways}")
    known = {**COMMON_SETTINGS, **sink.settings}
    for name in destination.settings:
        if name not in known:
            listed = ", ".join(f"`{one}`" for one in sorted(known))
            raise UsageError(
                f"sink `{sink.name}` has no setting `{name}`",
                hint=_did_you_mean(name, known) + f"known: {listed}",
            )
    if destination.chosen("severity", "info") not in SEVERITIES:
        raise UsageError("setting `severity` is none", hint="one of " + ", ".join(SEVERITIES))
    if destination.size("spool-size", "64MB") < _LEAST_SPOOL:
        raise UsageError("setting `spool-size` is less than 256KiB", hint="let more wait")
    return sink


def _factories(points: Iterable[EntryPoint]) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {
        name: _built_in(module) for name, module in _BUILT_IN.items()
    }
    for point in points:
        if point.name in found:
            origin = point.dist.name if point.dist else point.value
            raise UsageError(
                f"two sinks are called `{point.name}`; one is from `{origin}`",
                hint=f"uninstall `{origin}`, or rename its entry point",
            )
        found[point.name] = _plugin(point)
    return found


def _built_in(module: str) -> Callable[[], object]:
    return lambda: importlib.import_module(module).sink()


def _plugin(point: EntryPoint) -> Callable[[], object]:
    def factory() -> object:
        return point.load()()

    return factory


def _load(name: str, factory: Callable[[], object]) -> Sink:
    try:
        sink = factory()
    except UsageError:
        raise
    except Exception as error:  # whatever a foreign package raises while it is imported
        raise UsageError(
            f"sink `{name}` does not load: {type(error).__name__}: {error}",
            hint="upgrade or uninstall the package that provides it",
        ) from error
    if not isinstance(sink, Sink) or sink.name != name:
        raise UsageError(f"sink `{name}` is none: its factory returned {sink!r}")
    return sink


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    near = get_close_matches(word, list(words), n=1)
    return f"did you mean `{near[0]}`? " if near else ""
