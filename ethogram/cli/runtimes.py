"""Which container runtimes this host has, for `--runtime auto`."""

from __future__ import annotations

from ethogram.errors import PreflightError

__all__ = ["resolved"]

_AUTO = "auto"


def resolved(wanted: str | None) -> str | None:
    """Return *wanted* with the runtimes of this host in the place of `auto`.

    They stand by name and version, as a person would write them, so that the same line gives the
    same policy on another host. `PreflightError` where there is none.
    """
    if wanted is None or _AUTO not in wanted.split(","):
        return wanted
    from profiler.identity.runtimes import RUNTIMES, version_of

    versions = {name: version_of(name) for name in sorted(RUNTIMES)}
    found = [f"{name}@{version}" for name, version in versions.items() if version is not None]
    if not found:
        raise PreflightError(
            "`--runtime auto` asks the runtimes of this host, and it has neither `crun` nor `runc`",
            hint="name the runtime that will apply the policy: `--runtime runc@1.1.5`",
        )
    return ",".join([*(word for word in wanted.split(",") if word != _AUTO), *found])
