"""Which sinks there are: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.sinks`, a function without arguments
that returns a `Sink`:

    [project.entry-points."ethogram.sinks"]
    kafka = "my_package.kafka:sink"
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from detector.sinks.destination import COMMON_SETTINGS, SEVERITIES, Destination
from detector.sinks.protocol import Sink
from ethogram.contracts.plugins import Registry, did_you_mean
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


_REGISTRY: Registry[Sink] = Registry("sink", GROUP, _BUILT_IN, Sink, UsageError)


def sinks() -> Mapping[str, Sink]:
    """Return every sink by name, in alphabetical order."""
    return _REGISTRY.all()


def find_sink(name: str) -> Sink:
    """Return the sink called *name*; `UsageError` with the nearest name where there is none."""
    return _REGISTRY.find(name, unknown=UsageError)


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
                hint=did_you_mean(name, known) + f"known: {listed}",
            )
    if destination.chosen("severity", "info") not in SEVERITIES:
        raise UsageError("setting `severity` is none", hint="one of " + ", ".join(SEVERITIES))
    if destination.events and not getattr(sink, "takes_events", False):
        raise UsageError(
            f"sink `{sink.name}` takes findings only",
            hint="leave out `events`, and name another sink for them, such as `file:PATH`",
        )
    if destination.size("spool-size", "64MB") < _LEAST_SPOOL:
        raise UsageError("setting `spool-size` is less than 256KiB", hint="let more wait")
    return sink
