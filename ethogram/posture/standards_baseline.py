"""The checks of level `baseline` of the Pod Security Standards, by their ids in Kubernetes.

The functions are named after the version that they began with. What they look at and accept is that
of `k8s.io/pod-security-admission/policy` at 1.37.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

from ethogram.posture.pods import Container, Path, Pod, Problem, mapping, sequence, text

__all__ = [
    "BASELINE_CAPABILITIES",
    "PodCheck",
    "added_beyond",
    "app_armor",
    "capabilities",
    "contexts",
    "host_namespaces",
    "host_path_volumes",
    "host_ports",
    "host_probes",
    "privileged",
    "proc_mount",
    "proc_mount_1_35",
    "safe_sysctls",
    "se_linux",
    "seccomp_annotations",
    "seccomp_fields",
    "sysctls",
    "windows_host_process",
]

PodCheck: TypeAlias = Callable[[Pod], Iterator[Problem]]
_UNSET_OR_FALSE = "not set, or false"
# What a container may add. NET_RAW is not among them, though runtimes give it unasked.
BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
        "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_CONFINED = ("RuntimeDefault", "Localhost")
_SELINUX_TYPES = ("container_t", "container_init_t", "container_kvm_t")
_SYSCTLS = (
    ((1, 0), "kernel.shm_rmid_forced"),
    ((1, 0), "net.ipv4.ip_local_port_range"),
    ((1, 0), "net.ipv4.tcp_syncookies"),
    ((1, 0), "net.ipv4.ping_group_range"),
    ((1, 0), "net.ipv4.ip_unprivileged_port_start"),
    ((1, 27), "net.ipv4.ip_local_reserved_ports"),
    ((1, 29), "net.ipv4.tcp_keepalive_time"),
    ((1, 29), "net.ipv4.tcp_fin_timeout"),
    ((1, 29), "net.ipv4.tcp_keepalive_intvl"),
    ((1, 29), "net.ipv4.tcp_keepalive_probes"),
    ((1, 32), "net.ipv4.tcp_rmem"),
    ((1, 32), "net.ipv4.tcp_wmem"),
    ((1, 37), "net.ipv4.tcp_slow_start_after_idle"),
    ((1, 37), "net.ipv4.tcp_notsent_lowat"),
)
_APP_ARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def contexts(pod: Pod) -> Iterator[tuple[Mapping[str, Any], Path, Container | None]]:
    """Yield the securityContext of *pod* and those of its containers, each with its place."""
    yield pod.context, pod.context_path, None
    for container in pod.containers():
        yield container.context, container.context_path, container


def privileged(pod: Pod) -> Iterator[Problem]:
    """Yield containers that are privileged."""
    for container in pod.containers():
        value = container.context.get("privileged")
        if value not in (None, False):
            path = (*container.context_path, "privileged")
            yield Problem(path, value, _UNSET_OR_FALSE, container)


def host_namespaces(pod: Pod) -> Iterator[Problem]:
    """Yield the namespaces of the host that the pod shares."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if (value := pod.spec.get(name)) not in (None, False):
            yield Problem((*pod.spec_path, name), value, _UNSET_OR_FALSE, detail=name)


def host_path_volumes(pod: Pod) -> Iterator[Problem]:
    """Yield volumes that are paths of the host."""
    for path, volume in pod.volumes():
        if (value := volume.get("hostPath")) is not None:
            yield Problem((*path, "hostPath"), value, "not set")


def host_ports(pod: Pod) -> Iterator[Problem]:
    """Yield ports of the host that containers take."""
    for container in pod.containers():
        for index, port in enumerate(sequence(container.body.get("ports"))):
            if (value := mapping(port).get("hostPort")) not in (None, 0):
                path = (*container.path, "ports", index, "hostPort")
                yield Problem(path, value, "not set, or 0", container)


def capabilities(pod: Pod) -> Iterator[Problem]:
    """Yield capabilities that containers add, beyond those that are no way out."""
    yield from added_beyond(pod, BASELINE_CAPABILITIES)


def added_beyond(pod: Pod, allowed: Collection[str]) -> Iterator[Problem]:
    """Yield each capability that a container adds and that is not *allowed*.

    Names are compared as Kubernetes has them, without `CAP_`: a runtime takes both.
    """
    required = f"nothing but {', '.join(sorted(allowed))}"
    for container in pod.containers():
        added = sequence(mapping(container.context.get("capabilities")).get("add"))
        for index, name in enumerate(added):
            if not isinstance(name, str) or name not in allowed:
                path = (*container.context_path, "capabilities", "add", index)
                yield Problem(path, name, required, container, detail=str(name))


def app_armor(pod: Pod) -> Iterator[Problem]:
    """Yield AppArmor profiles that confine nothing, in fields and in the older annotations."""
    for context, path, container in contexts(pod):
        profile = context.get("appArmorProfile")
        if profile is not None and mapping(profile).get("type") not in _CONFINED:
            yield Problem(
                (*path, "appArmorProfile", "type"),
                mapping(profile).get("type"),
                "not set, RuntimeDefault or Localhost",
                container,
            )
    for key, value in pod.annotations.items():
        if not str(key).startswith(_APP_ARMOR_ANNOTATION):
            continue
        if value not in ("", "runtime/default") and not text(value).startswith("localhost/"):
            yield _annotation(pod, key, value, "runtime/default or localhost/*")


def se_linux(*more: str) -> PodCheck:
    """Return the check of SELinux options that takes the types *more* too."""
    allowed = (*_SELINUX_TYPES, *more)

    def check(pod: Pod) -> Iterator[Problem]:
        for context, path, container in contexts(pod):
            options = mapping(context.get("seLinuxOptions"))
            above = (*path, "seLinuxOptions")
            if (value := options.get("type")) not in (None, "", *allowed):
                required = f"not set, or one of {', '.join(allowed)}"
                yield Problem((*above, "type"), value, required, container)
            for name in ("user", "role"):
                if (value := options.get(name)) not in (None, ""):
                    yield Problem((*above, name), value, "not set", container)

    return check


def proc_mount(pod: Pod) -> Iterator[Problem]:
    """Yield containers that see /proc without its masks."""
    for container in pod.containers():
        if (value := container.context.get("procMount")) not in (None, "Default"):
            path = (*container.context_path, "procMount")
            yield Problem(path, value, "not set, or Default", container)


def proc_mount_1_35(pod: Pod) -> Iterator[Problem]:
    """Yield the same, but for pods with users of their own."""
    if not pod.has_own_users:
        yield from proc_mount(pod)


def seccomp_annotations(pod: Pod) -> Iterator[Problem]:
    """Yield seccomp profiles of the annotations before 1.19 that confine nothing."""
    names = [_SECCOMP_POD_ANNOTATION]
    names += [f"{_SECCOMP_CONTAINER_ANNOTATION}{one.name}" for one in pod.containers()]
    for name in names:
        value = pod.annotations.get(name)
        if value is None or value in ("runtime/default", "docker/default"):
            continue
        if not text(value).startswith("localhost/"):
            yield _annotation(pod, name, value, "runtime/default or localhost/*")


def seccomp_fields(pod: Pod) -> Iterator[Problem]:
    """Yield seccomp profiles that confine nothing."""
    for context, path, container in contexts(pod):
        profile = context.get("seccompProfile")
        if profile is not None and mapping(profile).get("type") not in _CONFINED:
            yield Problem(
                (*path, "seccompProfile", "type"),
                mapping(profile).get("type"),
                "not set, RuntimeDefault or Localhost",
                container,
            )


def safe_sysctls(version: tuple[int, int]) -> tuple[str, ...]:
    """Return the sysctls that *version* of the standards takes."""
    return tuple(name for since, name in _SYSCTLS if since <= version)


def sysctls(version: tuple[int, int]) -> PodCheck:
    """Return the check of sysctls of *version*."""
    allowed = safe_sysctls(version)

    def check(pod: Pod) -> Iterator[Problem]:
        for index, sysctl in enumerate(sequence(pod.context.get("sysctls"))):
            if (name := mapping(sysctl).get("name")) not in allowed:
                path = (*pod.context_path, "sysctls", index, "name")
                yield Problem(path, name, f"one of {', '.join(allowed)}")

    return check


def windows_host_process(pod: Pod) -> Iterator[Problem]:
    """Yield what runs as a process of a Windows host."""
    for context, path, container in contexts(pod):
        value = mapping(context.get("windowsOptions")).get("hostProcess")
        if value not in (None, False):
            full = (*path, "windowsOptions", "hostProcess")
            yield Problem(full, value, _UNSET_OR_FALSE, container)


def host_probes(pod: Pod) -> Iterator[Problem]:
    """Yield probes and hooks that the kubelet makes to a host of the pod's choice."""
    for container in pod.containers():
        body = container.body
        lifecycle = mapping(body.get("lifecycle"))
        handlers: list[tuple[Path, Mapping[str, Any]]] = [
            ((name,), mapping(body.get(name))) for name in _PROBES
        ]
        handlers += [
            (("lifecycle", name), mapping(lifecycle.get(name))) for name in ("postStart", "preStop")
        ]
        for above, handler in handlers:
            for way in ("httpGet", "tcpSocket"):
                if (value := mapping(handler.get(way)).get("host")) not in (None, ""):
                    path = (*container.path, *above, way, "host")
                    yield Problem(path, value, "not set", container)


def _annotation(pod: Pod, key: str, value: object, required: str) -> Problem:
    return Problem((*pod.at, "metadata", "annotations", key), value, f"not set, {required}")
