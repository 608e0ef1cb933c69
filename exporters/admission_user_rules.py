"""Rules about whom a container runs as, and whether it may write to its image's files."""

from __future__ import annotations

from collections.abc import Iterator

from ethogram.contracts.baseline import Baseline
from exporters.admission_model import Claim
from exporters.admission_privileged import Privilege
from exporters.protocol import Finding

__all__ = ["user_rules"]

_CONTEXTS = "c.?securityContext.?{0}.or(object.spec.?securityContext.?{0})"
_NON_ROOT = _CONTEXTS.format("runAsNonRoot") + ".orValue(false)"
_USER = _CONTEXTS.format("runAsUser") + ".orValue(-1)"


def user_rules(
    baseline: Baseline, privilege: Privilege, container: str
) -> Iterator[Claim | Finding]:
    """Yield the rules for the container of *baseline*; none where a fact is not known."""
    users = baseline.observation.runs_as
    if users is None:
        yield _not_known("whether it runs as root", "runAsNonRoot: true")
    elif 0 in users:
        yield Finding("info", "it runs as root, so `runAsNonRoot: true` is not asked for")
    elif users:
        # A number other than 0 keeps root out as well, and a kubelet can check it by itself.
        yield Claim(
            "non-root",
            f"variables.own.all(c, {_USER} != 0 && ({_NON_ROOT} || {_USER} > 0))",
            f"{container} has runAsNonRoot: true or a runAsUser other than 0: no process of it ran"
            " as root",
        )
    if privilege.is_own:
        return
    if baseline.observation.writes_root is None:
        yield _not_known(
            "whether it writes to its root file system", "readOnlyRootFilesystem: true"
        )
    elif baseline.observation.writes_root:
        yield Finding(
            "info",
            "it writes to its root file system, so `readOnlyRootFilesystem: true` is not asked for",
            hint="volumes where it writes, such as an `emptyDir` on /tmp, let the rule appear",
        )
    else:
        yield Claim(
            "read-only-root",
            "variables.own.all(c, c.?securityContext.?readOnlyRootFilesystem.orValue(false))",
            f"{container} has readOnlyRootFilesystem: true: nothing was written there while it was"
            " recorded",
        )


def _not_known(what: str, asked: str) -> Finding:
    return Finding("info", f"{what} is not known, so `{asked}` is not asked for")
