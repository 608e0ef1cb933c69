"""Pods that the Pod Security Standards allow and refuse, for each check and version of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CASES", "Case", "make_pod"]

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
OWN_USERS = {"hostUsers": False}
WINDOWS = {"os": {"name": "windows"}}


@dataclass(frozen=True)
class Case:
    """What *check* says of a pod from version *since* to *until*, that one too.

    *change* is laid over a pod that every level allows: `container` over each of its containers,
    `context` over their securityContext, and the rest over its spec. None takes a field away.
    """

    check: str
    is_allowed: bool
    change: Mapping[str, Any]
    since: str = "1.37"
    until: str = "1.37"


def make_pod(change: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a pod that level `restricted` allows, with *change* laid over it."""
    change = dict(change or {})
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    body = {"image": "registry.example/app:1"}
    body |= change.pop("container", {})
    body["securityContext"] = _merged(context, change.pop("context", {}))
    spec: dict[str, Any] = {
        key: [{"name": f"{key.lower()}-0", **copy.deepcopy(body)}] for key in CONTAINERS
    }
    for name in ("ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        spec["ephemeralContainers"][0].pop(name, None)  # no API server takes them there
        if name != "ports":
            spec["initContainers"][0].pop(name, None)
    metadata = {"name": "app", "namespace": "shop"} | change.pop("metadata", {})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    return pod | {"spec": _merged(spec, change)}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    return {key: value for key, value in merged.items() if value is not None}


def _allowed(check: str, *changes: Mapping[str, Any], **versions: str) -> list[Case]:
    return [Case(check, True, change, **versions) for change in changes]


def _refused(check: str, *changes: Mapping[str, Any], **versions: str) -> list[Case]:
    return [Case(check, False, change, **versions) for change in changes]


def _context(**fields: Any) -> dict[str, Any]:
    return {"context": fields}


def _pod(**fields: Any) -> dict[str, Any]:
    return {"securityContext": fields}


def _sysctl(name: str) -> dict[str, Any]:
    return _pod(sysctls=[{"name": name, "value": "1"}])


def _volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "data", **source}]}


def _http(way: str, host: str) -> dict[str, Any]:
    return {"container": {way: {"httpGet": {"port": 80, "host": host}}}}


_ALL = {"since": "1.25"}
_ARMOR = "container.apparmor.security.beta.kubernetes.io/containers-0"
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_UNMASKED = _context(procMount="Unmasked")

CASES = [
    *_allowed("windowsHostProcess", {}, _pod(windowsOptions={"hostProcess": False}), **_ALL),
    *_refused(
        "windowsHostProcess",
        _pod(windowsOptions={"hostProcess": True}),
        _context(windowsOptions={"hostProcess": True}),
        **_ALL,
    ),
    *_allowed("hostNamespaces", {}, {"hostPID": False, "hostNetwork": False}, **_ALL),
    *_refused(
        "hostNamespaces", {"hostPID": True}, {"hostIPC": True}, {"hostNetwork": True}, **_ALL
    ),
    *_allowed("privileged", {}, _context(privileged=False), **_ALL),
    *_refused(
        "privileged", _context(privileged=True, allowPrivilegeEscalation=True), **_ALL
    ),
    *_allowed(
        "capabilities_baseline",
        {},
        _context(capabilities={"add": ["CHOWN", "NET_BIND_SERVICE"]}),
        **_ALL,
    ),
    *_refused(
        "capabilities_baseline",
        _context(capabilities={"add": ["NET_RAW"]}),
        _context(capabilities={"add": ["ALL"]}),
        _context(capabilities={"add": ["CAP_CHOWN"]}),
        **_ALL,
    ),
    *_allowed("hostPathVolumes", {}, _volume(emptyDir={}), **_ALL),
    *_refused("hostPathVolumes", _volume(hostPath={"path": "/srv"}), **_ALL),
    *_allowed(
        "hostPorts",
        {},
        {"container": {"ports": [{"containerPort": 80}]}},
        {"container": {"ports": [{"containerPort": 80, "hostPort": 0}]}},
        **_ALL,
    ),
    *_refused(
        "hostPorts", {"container": {"ports": [{"containerPort": 80, "hostPort": 80}]}}, **_ALL
    ),
    *_allowed(
        "hostProbesAndHostLifecycle", {}, _http("livenessProbe", ""), since="1.34"
    ),
    *_allowed(
        "hostProbesAndHostLifecycle", _http("livenessProbe", "10.0.0.1"),
        since="1.25", until="1.33",
    ),
    *_refused(
        "hostProbesAndHostLifecycle",
        _http("livenessProbe", "10.0.0.1"),
        _http("readinessProbe", "10.0.0.1"),
        {"container": {"startupProbe": {"tcpSocket": {"port": 80, "host": "10.0.0.1"}}}},
        {"container": {"lifecycle": {"preStop": {"httpGet": {"port": 80, "host": "a"}}}}},
        {"container": {"lifecycle": {"postStart": {"tcpSocket": {"port": 80, "host": "a"}}}}},
        since="1.34",
    ),
    *_allowed(
        "appArmorProfile",
        {},
        {"metadata": {"annotations": {_ARMOR: "localhost/app"}}},
        {"metadata": {"annotations": {_ARMOR: ""}}},
        **_ALL,
    ),
    *_allowed(
        "appArmorProfile",
        _context(appArmorProfile={"type": "RuntimeDefault"}),
        _pod(appArmorProfile={"type": "Localhost", "localhostProfile": "app"}),
        since="1.30",
    ),
    *_refused(
        "appArmorProfile", {"metadata": {"annotations": {_ARMOR: "unconfined"}}}, **_ALL
    ),
    *_refused(
        "appArmorProfile",
        _context(appArmorProfile={"type": "Unconfined"}),
        _pod(appArmorProfile={"type": "Unconfined"}),
        since="1.30",
    ),
    *_allowed(
        "seLinuxOptions", {}, _pod(seLinuxOptions={"type": "container_t", "level": "s0"}), **_ALL
    ),
    *_allowed(
        "seLinuxOptions", _context(seLinuxOptions={"type": "container_engine_t"}), since="1.31"
    ),
    *_refused(
        "seLinuxOptions", _context(seLinuxOptions={"type": "container_engine_t"}),
        since="1.25", until="1.30",
    ),
    *_refused(
        "seLinuxOptions",
        _pod(seLinuxOptions={"type": "spc_t"}),
        _context(seLinuxOptions={"user": "system_u"}),
        _context(seLinuxOptions={"role": "sysadm_r"}),
        **_ALL,
    ),
    *_allowed("procMount", {}, _context(procMount="Default"), **_ALL),
    *_allowed("procMount", _UNMASKED | OWN_USERS, since="1.35"),
    *_refused("procMount", _UNMASKED, **_ALL),
    *_refused("procMount", _UNMASKED | OWN_USERS, since="1.25", until="1.34"),
    *_allowed(
        "seccompProfile_baseline",
        {},
        _context(seccompProfile=None),
        _context(seccompProfile={"type": "Localhost", "localhostProfile": "a.json"}),
        **_ALL,
    ),
    *_refused(
        "seccompProfile_baseline",
        _pod(seccompProfile={"type": "Unconfined"}),
        _context(seccompProfile={"type": "Unconfined"}),
        **_ALL,
    ),
    *_refused(
        "seccompProfile_baseline", {"metadata": {"annotations": {_SECCOMP: "unconfined"}}},
        since="1.0", until="1.18",
    ),
    *_allowed(
        "seccompProfile_baseline", {"metadata": {"annotations": {_SECCOMP: "runtime/default"}}},
        since="1.0", until="1.18",
    ),
    *_allowed("sysctls", {}, _sysctl("kernel.shm_rmid_forced"), **_ALL),
    *_allowed("sysctls", _sysctl("net.ipv4.ip_local_reserved_ports"), since="1.27"),
    *_allowed("sysctls", _sysctl("net.ipv4.tcp_keepalive_probes"), since="1.29"),
    *_allowed("sysctls", _sysctl("net.ipv4.tcp_wmem"), since="1.32"),
    *_allowed("sysctls", _sysctl("net.ipv4.tcp_notsent_lowat"), since="1.37"),
    *_refused(
        "sysctls", _sysctl("net.ipv4.ip_local_reserved_ports"), since="1.25", until="1.26"
    ),
    *_refused("sysctls", _sysctl("net.ipv4.tcp_keepalive_probes"), since="1.25", until="1.28"),
    *_refused("sysctls", _sysctl("net.ipv4.tcp_wmem"), since="1.25", until="1.31"),
    *_refused("sysctls", _sysctl("net.ipv4.tcp_notsent_lowat"), since="1.25", until="1.36"),
    *_refused("sysctls", _sysctl("kernel.msgmax"), **_ALL),
    *_allowed(
        "restrictedVolumes",
        {},
        _volume(emptyDir={}),
        _volume(persistentVolumeClaim={"claimName": "data"}),
        _volume(csi={"driver": "example.org"}),
        **_ALL,
    ),
    *_allowed("restrictedVolumes", _volume(image={"reference": "r/a:1"}), since="1.33"),
    *_refused(
        "restrictedVolumes",
        _volume(hostPath={"path": "/srv"}),
        _volume(nfs={"server": "10.0.0.1", "path": "/"}),
        **_ALL,
    ),
    *_allowed("allowPrivilegeEscalation", {}, **_ALL),
    *_allowed(
        "allowPrivilegeEscalation", _context(allowPrivilegeEscalation=None) | WINDOWS, **_ALL
    ),
    *_refused(
        "allowPrivilegeEscalation",
        _context(allowPrivilegeEscalation=None),
        _context(allowPrivilegeEscalation=True),
        **_ALL,
    ),
    *_refused(
        "allowPrivilegeEscalation", _context(allowPrivilegeEscalation=None) | WINDOWS,
        since="1.8", until="1.24",
    ),
    *_allowed("runAsNonRoot", {}, _context(runAsNonRoot=None) | _pod(runAsNonRoot=True), **_ALL),
    *_allowed("runAsNonRoot", _context(runAsNonRoot=None) | OWN_USERS, since="1.35"),
    *_refused(
        "runAsNonRoot",
        _context(runAsNonRoot=None),
        _context(runAsNonRoot=False),
        _pod(runAsNonRoot=False),
        **_ALL,
    ),
    *_refused(
        "runAsNonRoot", _context(runAsNonRoot=None) | OWN_USERS, since="1.25", until="1.34"
    ),
    *_allowed("runAsUser", {}, _context(runAsUser=1000), **_ALL),
    *_allowed("runAsUser", _context(runAsUser=0) | OWN_USERS, since="1.35"),
    *_allowed("runAsUser", _context(runAsUser=0), since="1.0", until="1.22"),
    *_refused("runAsUser", _context(runAsUser=0), _pod(runAsUser=0), **_ALL),
    *_refused("runAsUser", _context(runAsUser=0) | OWN_USERS, since="1.25", until="1.34"),
    *_allowed(
        "seccompProfile_restricted",
        {},
        _context(seccompProfile=None) | _pod(seccompProfile={"type": "RuntimeDefault"}),
        _context(seccompProfile=None) | WINDOWS,
        **_ALL,
    ),
    *_refused(
        "seccompProfile_restricted",
        _context(seccompProfile=None),
        _pod(seccompProfile={"type": "Unconfined"}),
        _context(seccompProfile={"type": "Unconfined"}),
        **_ALL,
    ),
    *_allowed(
        "capabilities_restricted",
        {},
        _context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
        _context(capabilities=None) | WINDOWS,
        **_ALL,
    ),
    *_refused(
        "capabilities_restricted",
        _context(capabilities=None),
        _context(capabilities={"drop": ["NET_RAW"]}),
        _context(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}),
        **_ALL,
    ),
    *_allowed("procMount_restricted", {}, **_ALL),
    *_allowed("procMount_restricted", _UNMASKED, since="1.25", until="1.34"),
    *_refused("procMount_restricted", _UNMASKED, _UNMASKED | OWN_USERS, since="1.35"),
]  # fmt: skip
