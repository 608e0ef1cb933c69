"""`--runtime auto`: what the baseline was observed under, else what this host has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ethogram.errors import PreflightError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from exporters.protocol import Finding, Options

__all__ = ["host_runtimes", "portable", "settled"]

_AUTO = "auto"
_SETTING = "runtime"
_OPTION = f"{_SETTING}="


def host_runtimes(wanted: str) -> str:
    """Return *wanted* with the runtimes of this host in the place of `auto`.

    They stand by name and version, as a person would write them. `PreflightError` where there is
    none.
    """
    from profiler.identity.runtimes import RUNTIMES, version_of

    versions = {name: version_of(name) for name in sorted(RUNTIMES)}
    found = [f"{name}@{version}" for name, version in versions.items() if version is not None]
    if not found:
        raise PreflightError(
            "`--runtime auto`: no recording says which runtime it was observed under, and this host"
            " has neither `crun` nor `runc`",
            hint="name the runtime that will apply the policy: `--runtime runc@1.1.5`",
        )
    return ",".join([*(word for word in wanted.split(",") if word != _AUTO), *found])


def settled(options: Options, baseline: Baseline) -> tuple[Options, list[Finding]]:
    """Return *options* as an exporter can take them for *baseline*, and what was decided."""
    from exporters.protocol import Finding

    wanted = options.settings.get(_SETTING, "")
    if not _asks_the_host(wanted, baseline):
        return options, []
    here = host_runtimes(wanted)
    settings: Mapping[str, str] = MappingProxyType({**options.settings, _SETTING: here})
    about = "it is not known under which runtime it was observed: `auto` asks this host"
    return replace(options, settings=settings), [Finding("info", about, subject=here)]


def portable(pairs: Sequence[str], baselines: Sequence[Baseline]) -> list[str]:
    """Return settings that give the same policies of *baselines* on another host, where any do."""
    return [
        f"{_SETTING}={host_runtimes(pair.removeprefix(_OPTION))}"
        if pair.startswith(_OPTION)
        and all(_asks_the_host(pair.removeprefix(_OPTION), one) for one in baselines)
        else pair
        for pair in pairs
    ]


def _asks_the_host(wanted: str, baseline: Baseline) -> bool:
    """Return whether *wanted* holds an `auto` of which *baseline* does not know what it is."""
    return _AUTO in wanted.split(",") and not baseline.observation.runtimes
