"""Rules about what of the host a pod may have: namespaces, paths, ports, and a bare `/proc`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ethogram.contracts.baseline import Baseline
from exporters.admission_model import Claim, Constant
from exporters.admission_privileged import Privilege
from exporters.protocol import Finding, shown

__all__ = ["HOST_NAMESPACES", "host_rules"]

HOST_NAMESPACES: Mapping[str, str] = MappingProxyType(
    {"net": "hostNetwork", "pid": "hostPID", "ipc": "hostIPC"}
)
# What a runtime covers, and what it makes read-only, unless `procMount: Unmasked` asks it not to.
_COVERED = re.compile(
    r"/(proc/(asound|acpi|interrupts|kcore|keys|latency_stats|timer_list|timer_stats|sched_debug"
    r"|scsi)|sys/(firmware|devices/virtual/powercap))(/.*)?"
)
_READ_ONLY = re.compile(r"/proc/(bus|fs|irq|sys|sysrq-trigger)(/.*)?")
# The kernel mounts a second `proc` only where nothing covers the first.
_MOUNTS = frozenset({"mount", "move_mount", "open_tree"})


def host_rules(
    baseline: Baseline, privilege: Privilege, container: str
) -> Iterator[Claim | Constant | Finding]:
    """Yield the rules for the pods of *baseline*: nothing of the host that was not used."""
    yield from _namespaces(baseline)
    yield from _paths(baseline)
    yield from _ports(baseline, container)
    yield from _bare_proc(baseline, privilege, container)


def _namespaces(baseline: Baseline) -> Iterator[Claim | Finding]:
    observation = baseline.observation
    shared = [name for name in HOST_NAMESPACES if name in observation.host_namespaces]
    for namespace, field in HOST_NAMESPACES.items():
        if namespace not in shared:
            yield Claim(
                field,
                f"!object.spec.?{field}.orValue(false) || variables.before.?{field}.orValue(false)",
                f"no {field}: no instance was in the host's {namespace} namespace",
            )
    if shared:
        fields = " and ".join(f"`{HOST_NAMESPACES[name]}`" for name in shared)
        many = len(shared) > 1
        yield Finding(
            "info",
            f"it was in the host's {' and '.join(shared)} namespace{'s' if many else ''}:"
            f" {fields} {'are' if many else 'is'} not refused",
        )
    # Any container shares some of the host's namespaces, time for one.
    if not observation.host_namespaces and observation.bounding is None:
        yield Finding(
            "warning",
            "the baseline does not say which of the host's namespaces it was in: the policy takes"
            " it that it was in none",
            hint="learn again from a recording of this version before the policy denies",
        )


def _paths(baseline: Baseline) -> Iterator[Claim | Constant | Finding]:
    paths = baseline.observation.host_paths
    if paths is None:
        yield Finding(
            "info",
            "which paths of the host its pods had is not known, so `hostPath` volumes are not"
            " refused",
            hint="record with an `--inventory` that has every pod: one written after they started",
        )
        return
    yield Constant("hostPaths", paths)
    has_path = "!has(v.hostPath) || v.hostPath.path in variables.hostPaths"
    was_there = "v in variables.before.?volumes.orValue([])"
    yield Claim(
        "host-path",
        f"dyn(object.spec.?volumes.orValue([])).all(v, {has_path} || {was_there})",
        f"no hostPath volume but of {', '.join(paths)}: no other was mounted while it was recorded"
        if paths
        else "no hostPath volume: none was mounted while it was recorded",
        "observed" if paths else "unused",
    )
    if paths:
        yield Finding(
            "info", f"its pods had paths of the host, which are not refused: {shown(paths)}"
        )


def _ports(baseline: Baseline, container: str) -> Iterator[Claim | Constant | Finding]:
    ports = baseline.observation.host_ports
    if ports is None or "net" in baseline.observation.host_namespaces:
        return  # a pod in the host's network has a host port for each of its ports
    spelt = tuple(map(str, ports))
    yield Constant("hostPorts", spelt)
    is_asked = "p.?hostPort.orValue(0) == 0 || string(p.hostPort) in variables.hostPorts"
    yield Claim(
        "host-port",
        f"variables.own.all(c, c.?ports.orValue([]).all(p, {is_asked}))",
        f"{container} has no hostPort but {', '.join(spelt)}: no other was asked for while it was"
        " recorded"
        if ports
        else f"{container} has no hostPort: none was asked for while it was recorded",
        "observed" if ports else "unused",
    )


def _bare_proc(baseline: Baseline, privilege: Privilege, container: str) -> Iterator[Claim]:
    if privilege.is_own or _may_need_bare_proc(baseline):
        return
    field = "c.?securityContext.?procMount.orValue('Default')"
    yield Claim(
        "proc-mount",
        f"(variables.own + variables.ephemeral).all(c, {field} == 'Default')",
        f"{container} and debugging containers have no procMount but Default: nothing that a"
        " runtime covers was used",
    )


def _may_need_bare_proc(baseline: Baseline) -> bool:
    """Return whether anything covered or read-only was used, which may as well have been empty."""
    own = [rule for rule in baseline.rules.files if not rule.evidence.is_the_runtimes]
    return any(
        _COVERED.fullmatch(rule.value.path)
        or (_READ_ONLY.fullmatch(rule.value.path) and set(rule.value.access) & set("wat"))
        for rule in own
    ) or any(
        rule.value.operation in _MOUNTS and not rule.evidence.is_the_runtimes
        for rule in baseline.rules.operations
    )
