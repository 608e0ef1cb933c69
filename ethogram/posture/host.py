"""Rules on pods beyond the Pod Security Standards: ways to the host, tokens, secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ethogram.posture.objects import KubeObject, World
from ethogram.posture.pods import Container, Path, Pod, Problem, mapping, sequence, text

__all__ = [
    "PRIVILEGED_CAPABILITIES",
    "TOKEN_PLACES",
    "capability_names",
    "host_paths",
    "mounts_of",
    "normal_path",
    "pod_problems",
]

# What a runtime gives unasked, as containerd and CRI-O have it.
_DEFAULT = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
        "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
PRIVILEGED_CAPABILITIES = "ALL"
_PTRACE = frozenset({"SYS_PTRACE", "SYS_ADMIN", PRIVILEGED_CAPABILITIES})
TOKEN_PLACES = (
    "/var/run/secrets/kubernetes.io/serviceaccount",
    "/run/secrets/kubernetes.io/serviceaccount",
)
_SOCKETS = (
    "/run/docker.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock",
    "/run/podman/podman.sock", "/run/cri-dockerd.sock", "/run/dockershim.sock",
    "/run/k3s/containerd/containerd.sock", "/run/containerd/containerd.sock.ttrpc",
    "/run/buildkit/buildkitd.sock",
)  # fmt: skip
# Who writes there is the host, or soon; who reads there has its secrets.
_TAKES_OVER = (
    "/", "/boot", "/dev", "/etc", "/lib", "/lib64", "/usr", "/bin", "/sbin", "/opt", "/proc",
    "/root", "/home", "/run", "/sys", "/var", "/var/lib", "/var/run", "/etc/kubernetes",
    "/var/lib/kubelet", "/var/lib/etcd", "/var/lib/docker", "/var/lib/containerd",
    "/var/lib/containers", "/var/lib/rancher", "/etc/cni", "/opt/cni", "/var/spool/cron",
)  # fmt: skip
# Below these everything counts; below the others of the list only themselves.
_WITH_ALL_BELOW = (
    "/boot", "/dev", "/etc", "/proc", "/root", "/sys", "/var/lib/kubelet", "/var/lib/etcd",
    "/var/lib/docker", "/var/lib/containerd", "/opt/cni", "/var/spool/cron",
)  # fmt: skip
# Read by nearly everybody, and of no danger.
_HARMLESS = (
    "/etc/localtime", "/etc/timezone", "/etc/machine-id", "/etc/os-release", "/etc/ssl/certs",
    "/etc/pki/ca-trust", "/usr/share/zoneinfo", "/dev/null",
)  # fmt: skip


def capability_names(container: Container) -> tuple[str, ...]:
    """Return the capabilities that a process of root in *container* has, without `CAP_`."""
    asked = mapping(container.context.get("capabilities"))
    added, dropped = _names(asked.get("add")), _names(asked.get("drop"))
    if container.context.get("privileged") is True or PRIVILEGED_CAPABILITIES in added:
        return (PRIVILEGED_CAPABILITIES,)
    kept = frozenset() if PRIVILEGED_CAPABILITIES in dropped else _DEFAULT
    return tuple(sorted((kept - dropped) | added))


def _names(values: object) -> frozenset[str]:
    found = (one for one in sequence(values) if isinstance(one, str))
    return frozenset(name.upper().removeprefix("CAP_") for name in found)


def pod_problems(pod: Pod, one: KubeObject, world: World) -> Iterator[tuple[str, Problem]]:
    """Yield what is wrong with *pod* of object *one*, each with the id of the rule."""
    yield from host_paths(pod)
    yield from _ptrace(pod)
    if pod.spec.get("shareProcessNamespace") is True:
        path = (*pod.spec_path, "shareProcessNamespace")
        yield "shared-processes", Problem(path, True, "not set, or false")
    yield from _tokens(pod, one, world)
    yield from _environment(pod)
    namespace = one.who.namespace
    if namespace == "default" or (world.is_whole and not namespace):
        problem = Problem(("metadata", "namespace"), namespace, "a namespace of its own")
        yield "default-namespace", problem


def host_paths(pod: Pod) -> Iterator[tuple[str, Problem]]:
    """Yield volumes that hand over the host: sockets of runtimes, and directories that decide."""
    for path, volume in pod.volumes():
        place = text(mapping(volume.get("hostPath")).get("path"))
        if not place:
            continue
        normal = normal_path(place)
        at = (*path, "hostPath", "path")
        if socket := next((one for one in _SOCKETS if _is_at(one, normal)), None):
            required = f"no path that `{socket}` is at or below"
            yield "runtime-socket", Problem(at, place, required)
            if normal == socket:
                continue
        if _is_dangerous(normal):
            mounts = list(mounts_of(pod, text(volume.get("name"))))
            is_read_only = mounts and all(mount.get("readOnly") is True for _, _, mount in mounts)
            detail = "" if is_read_only else "writable"
            yield "dangerous-host-path", Problem(at, place, "another path", detail=detail)


def mounts_of(pod: Pod, volume: str) -> Iterator[tuple[Container, Path, Mapping[str, Any]]]:
    """Yield the mounts of *volume*, each with its container and its place."""
    for container in pod.containers():
        for index, mount in enumerate(sequence(container.body.get("volumeMounts"))):
            if volume and mapping(mount).get("name") == volume:
                yield container, (*container.path, "volumeMounts", index), mapping(mount)


def normal_path(place: str) -> str:
    """Return *place* without `..` and double slashes, and /var/run as what it is."""
    parts: list[str] = []
    for part in PurePosixPath("/", place).parts[1:]:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    path = "/" + "/".join(parts)
    return path.removeprefix("/var") if path == "/var/run" or path.startswith("/var/run/") else path


def _is_at(socket: str, place: str) -> bool:
    return socket == place or socket.startswith("/" if place == "/" else f"{place}/")


def _is_dangerous(place: str) -> bool:
    if any(place == one or place.startswith(f"{one}/") for one in _HARMLESS):
        return False
    return place in _TAKES_OVER or any(place.startswith(f"{one}/") for one in _WITH_ALL_BELOW)


def _ptrace(pod: Pod) -> Iterator[tuple[str, Problem]]:
    """Yield containers that see the host's processes, and may look into them."""
    if pod.spec.get("hostPID") is not True:
        return
    for container in pod.containers():
        has = _PTRACE & set(capability_names(container))
        if has:
            path = (*container.context_path, "capabilities", "add")
            what = "privileged" if PRIVILEGED_CAPABILITIES in has else ", ".join(sorted(has))
            required = "none of SYS_PTRACE, SYS_ADMIN and privileged beside hostPID"
            yield "host-pid-ptrace", Problem(path, what, required, container)


def _tokens(pod: Pod, one: KubeObject, world: World) -> Iterator[tuple[str, Problem]]:
    """Yield a token that is mounted unasked, and one of the account that everybody has."""
    name = text(pod.spec.get("serviceAccountName")) or text(pod.spec.get("serviceAccount"))
    account = world.find("ServiceAccount", one.who.namespace, name or "default")
    mounts = pod.spec.get("automountServiceAccountToken")
    if mounts is None and account is not None:
        mounts = account.body.get("automountServiceAccountToken")
    if mounts is False:
        return
    path = (*pod.spec_path, "automountServiceAccountToken")
    own = pod.spec.get("automountServiceAccountToken")
    yield "token-automount", Problem(path, own, "false, unless it asks the API server")
    if name in ("", "default"):
        path = (*pod.spec_path, "serviceAccountName")
        problem = Problem(path, name or None, "an account of its own, or no token")
        yield "default-service-account", problem


def _environment(pod: Pod) -> Iterator[tuple[str, Problem]]:
    """Yield secrets that are in the environment, which every child and crash report has."""
    for container in pod.containers():
        for index, each in enumerate(sequence(container.body.get("env"))):
            source = mapping(mapping(mapping(each).get("valueFrom")).get("secretKeyRef"))
            if source:
                path = (*container.path, "env", index, "valueFrom", "secretKeyRef")
                name = f"{text(source.get('name'))}/{text(source.get('key'))}"
                yield "secret-in-environment", Problem(path, name, "a mounted file", container)
        for index, each in enumerate(sequence(container.body.get("envFrom"))):
            source = mapping(mapping(each).get("secretRef"))
            if source:
                path = (*container.path, "envFrom", index, "secretRef")
                name = text(source.get("name"))
                yield "secret-in-environment", Problem(path, name, "a mounted file", container)
