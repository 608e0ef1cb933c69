"""The Pod Security Standards: every check with its level, its versions and what it replaces.

`violations` says what an API server that enforces a level of a version would refuse, and where.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from ethogram.errors import UsageError
from ethogram.posture import standards_baseline as baseline
from ethogram.posture import standards_restricted as restricted
from ethogram.posture.pods import Container, Path, Pod, field_of, pod_at
from ethogram.posture.standards_baseline import PodCheck

__all__ = [
    "CHECKS",
    "LATEST",
    "LEVELS",
    "Check",
    "Level",
    "Version",
    "Violation",
    "every_violation",
    "pod_violations",
    "version_of",
    "violations",
]

Level = Literal["privileged", "baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")
Version: TypeAlias = "tuple[int, int]"
# The newest that is known here: it stands for every newer one.
LATEST: Version = (1, 37)
_FIRST: Version = (1, 0)
_VERSION = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Check:
    """One control: *versions* are what it asks for, each from a version of the standards on.

    *replaces* is the check of level `baseline` that is not asked beside it.
    """

    id: str
    level: Level
    title: str
    versions: tuple[tuple[Version, PodCheck], ...]
    replaces: str | None = None

    def at(self, version: Version) -> PodCheck | None:
        """Return what it asks for in *version*; None where it is not there yet."""
        return next((run for since, run in reversed(self.versions) if since <= version), None)


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of a pod that a check refuses; *value* None is: not set."""

    check: str
    level: Level
    title: str
    path: Path
    value: Any
    required: str
    container: Container | None = None
    detail: str = ""

    @property
    def field(self) -> str:
        """The path in words: `spec.containers[0].securityContext.privileged`."""
        return field_of(self.path)


def _not_windows(first: Version, run: PodCheck) -> tuple[tuple[Version, PodCheck], ...]:
    """Return the versions of a check that leaves pods for Windows alone since 1.25."""
    return (first, run), ((1, 25), restricted.unless_windows(run))


_CHECKS = (
    # In the order of the standards' own pages.
    Check(
        "windowsHostProcess", "baseline", "a process of a Windows host",
        ((_FIRST, baseline.windows_host_process),),
    ),
    Check(
        "hostNamespaces", "baseline", "a namespace of the host",
        ((_FIRST, baseline.host_namespaces),),
    ),
    Check("privileged", "baseline", "a privileged container", ((_FIRST, baseline.privileged),)),
    Check(
        "capabilities_baseline", "baseline", "a capability beyond those of a container",
        ((_FIRST, baseline.capabilities),),
    ),
    Check(
        "hostPathVolumes", "baseline", "a path of the host as a volume",
        ((_FIRST, baseline.host_path_volumes),),
    ),
    Check("hostPorts", "baseline", "a port of the host", ((_FIRST, baseline.host_ports),)),
    Check(
        "hostProbesAndHostLifecycle", "baseline", "a probe or hook to a host of its choice",
        (((1, 34), baseline.host_probes),),
    ),
    Check(
        "appArmorProfile", "baseline", "an AppArmor profile that confines nothing",
        ((_FIRST, baseline.app_armor),),
    ),
    Check(
        "seLinuxOptions", "baseline", "SELinux options of its own",
        (
            (_FIRST, baseline.se_linux()),
            ((1, 31), baseline.se_linux("container_engine_t")),
        ),
    ),
    Check(
        "procMount", "baseline", "/proc without its masks",
        ((_FIRST, baseline.proc_mount), ((1, 35), baseline.proc_mount_1_35)),
    ),
    Check(
        "seccompProfile_baseline", "baseline", "a seccomp profile that confines nothing",
        ((_FIRST, baseline.seccomp_annotations), ((1, 19), baseline.seccomp_fields)),
    ),
    Check(
        "sysctls", "baseline", "a sysctl that reaches beyond the pod",
        tuple(
            (version, baseline.sysctls(version))
            for version in (_FIRST, (1, 27), (1, 29), (1, 32), (1, 37))
        ),
    ),
    Check(
        "restrictedVolumes", "restricted", "a volume that is not of the cluster's own kinds",
        ((_FIRST, restricted.restricted_volumes),),
        "hostPathVolumes",
    ),
    Check(
        "allowPrivilegeEscalation", "restricted", "privileges that an executable can raise",
        _not_windows((1, 8), restricted.allow_privilege_escalation),
    ),
    Check(
        "runAsNonRoot", "restricted", "may run as root",
        (
            (_FIRST, restricted.run_as_non_root),
            ((1, 35), restricted.unless_own_users(restricted.run_as_non_root)),
        ),
    ),
    Check(
        "runAsUser", "restricted", "runs as root",
        (
            ((1, 23), restricted.run_as_user),
            ((1, 35), restricted.unless_own_users(restricted.run_as_user)),
        ),
    ),
    Check(
        "seccompProfile_restricted", "restricted", "no seccomp profile",
        _not_windows((1, 19), restricted.seccomp),
        "seccompProfile_baseline",
    ),
    Check(
        "capabilities_restricted", "restricted", "capabilities that are not dropped",
        _not_windows((1, 22), restricted.capabilities),
        "capabilities_baseline",
    ),
    Check(
        "procMount_restricted", "restricted", "/proc without its masks",
        (((1, 35), baseline.proc_mount),),
        "procMount",
    ),
)  # fmt: skip
CHECKS: Mapping[str, Check] = MappingProxyType({check.id: check for check in _CHECKS})


def version_of(text: str) -> Version:
    """Return the version of the standards that *text* names: `v1.33`, `1.33` or `latest`.

    One that is newer than the newest known is that one, as an API server has it.
    """
    if text == "latest":
        return LATEST
    match = _VERSION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"`{text}` is no version of Kubernetes", hint="write it like `1.33`, or `latest`"
        )
    return min((int(match[1]), int(match[2])), LATEST)


def violations(
    node: Mapping[str, Any], *, level: Level, version: Version = LATEST, at: Path = ()
) -> list[Violation]:
    """Return why an API server that enforces *level* would refuse *node*; an empty list if not.

    *node* is a pod, or an object with a pod's template at the place *at*; `pods.TEMPLATES` has the
    places. It may be of any shape: `pods.shape_problems` says what could not be looked into.
    """
    return pod_violations(pod_at(node, at), level=level, version=version)


def pod_violations(
    pod: Pod, *, level: Level, version: Version = LATEST, most: int | None = None
) -> list[Violation]:
    """Return why an API server that enforces *level* would refuse *pod*, *most* of each check."""
    return [found for check, run in _asked(level, version)
            for found in islice(_found(check, run, pod), most)]  # fmt: skip


@lru_cache(maxsize=len(LEVELS) * (LATEST[1] + 1))
def _asked(level: Level, version: Version) -> tuple[tuple[Check, PodCheck], ...]:
    """Return the checks of *level* as they are in *version*, without those that others replace."""
    levels = LEVELS[1 : LEVELS.index(level) + 1]
    checks = [
        (check, run)
        for check in CHECKS.values()
        if check.level in levels and (run := check.at(version)) is not None
    ]
    replaced = {check.replaces for check, _ in checks}
    return tuple((check, run) for check, run in checks if check.id not in replaced)


def every_violation(pod: Pod, *, level: Level, version: Version = LATEST) -> list[Violation]:
    """Return the same, each field at the lowest level that refuses it."""
    found = pod_violations(pod, level="baseline", version=version) if level != "privileged" else []
    if level != "restricted":
        return found
    seen = {(one.path, str(one.value)) for one in found}
    stricter = pod_violations(pod, level="restricted", version=version)
    known = {one.check for one in found}
    return found + [
        one for one in stricter
        if one.check not in known and (one.path, str(one.value)) not in seen
    ]  # fmt: skip


def _found(check: Check, run: PodCheck, pod: Pod) -> Iterator[Violation]:
    for problem in run(pod):
        yield Violation(
            check.id, check.level, check.title, problem.path, problem.value, problem.required,
            problem.container, problem.detail,
        )  # fmt: skip
