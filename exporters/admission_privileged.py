"""Whether a workload has to be privileged: what it ran with, and what it used of that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ethogram.contracts.baseline import Baseline, FileValue
from exporters.protocol import Finding

__all__ = ["OF_PRIVILEGED", "Privilege", "privilege_of"]

# Nobody adds all of these by name: `privileged` gives them, or `ALL` does.
OF_PRIVILEGED = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_MAC_ADMIN"})
# Every container has these. Others come with `privileged`, or one by one from a device plugin.
_ORDINARY_DEVICE = re.compile(
    r"/dev/(null|zero|full|random|urandom|tty|console|ptmx|core|termination-log"
    r"|fd|stdin|stdout|stderr|(pts|shm|mqueue|fd)(/.*)?)?"
)
# Read-only unless privileged.
_KERNEL_SETTING = re.compile(r"/(proc/sys|sys)/.+")
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Privilege:
    """Which containers of the pod may be privileged, and whether the learnt one is among them."""

    is_own: bool
    containers: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def privilege_of(baseline: Baseline, wanted: frozenset[str]) -> Privilege:
    """Return who may be privileged: the *wanted* ones, and the learnt one where it has to be.

    It has to where it opened what only a privileged container has, unless it is known that it
    was not one: a device plugin gives single devices to others.
    """
    name = str(baseline.subject.container)
    if name in wanted:
        return Privilege(is_own=True, containers=tuple(sorted(wanted)))
    bounding = baseline.observation.bounding
    was_one = None if bounding is None else frozenset(bounding) >= OF_PRIVILEGED
    used = sorted({value.path for value in _of_the_host(baseline)})
    if used and was_one is not False:
        shown = ", ".join(used[:_EXAMPLES]) + (", ..." if len(used) > _EXAMPLES else "")
        ran = "ran with every capability" if was_one else "ran with capabilities unknown here"
        finding = Finding(
            "warning",
            f"container `{name}` {ran} and used what only a privileged one has ({shown}): it may"
            " be privileged, and neither a seccomp profile nor `allowPrivilegeEscalation: false`"
            " is asked of it",
            hint="a device plugin, or sysctls of the pod, may give it just that",
        )
        return Privilege(
            is_own=True, containers=tuple(sorted({*wanted, name})), findings=(finding,)
        )
    findings: tuple[Finding, ...] = ()
    if was_one:
        findings = (
            Finding(
                "warning",
                f"container `{name}` ran with every capability and used nothing that only a"
                " privileged one has: the policy refuses it as long as it asks for `privileged`"
                " or `ALL`",
                hint="leave both out of the pod before the policy denies",
            ),
        )
    return Privilege(is_own=False, containers=tuple(sorted(wanted)), findings=findings)


def _of_the_host(baseline: Baseline) -> Iterator[FileValue]:
    for rule in baseline.rules.files:
        path, access = rule.value.path, rule.value.access
        if rule.evidence.is_the_runtimes or not access:
            continue
        is_device = path.startswith("/dev/") and not _ORDINARY_DEVICE.fullmatch(path)
        if is_device or (_KERNEL_SETTING.fullmatch(path) and set(access) & set("wat")):
            yield rule.value
