"""The checks of level `restricted` of the Pod Security Standards, by their ids in Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator

from ethogram.posture.pods import Pod, Problem, mapping, sequence
from ethogram.posture.standards_baseline import PodCheck, added_beyond, contexts

__all__ = [
    "allow_privilege_escalation",
    "capabilities",
    "restricted_volumes",
    "run_as_non_root",
    "run_as_user",
    "seccomp",
    "unless_own_users",
    "unless_windows",
]

# `image` came with 1.33, and holds for every version of the standards that it knows.
_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
    "projected", "secret",
)  # fmt: skip
_ALLOWED = frozenset({"NET_BIND_SERVICE"})
_CONFINED = ("RuntimeDefault", "Localhost")


def unless_windows(check: PodCheck) -> PodCheck:
    """Return *check* for all pods but those that say that they are for Windows."""
    return lambda pod: iter(()) if pod.is_windows else check(pod)


def unless_own_users(check: PodCheck) -> PodCheck:
    """Return *check* for all pods but those with users of their own."""
    return lambda pod: iter(()) if pod.has_own_users else check(pod)


def restricted_volumes(pod: Pod) -> Iterator[Problem]:
    """Yield volumes of a kind that reaches beyond the cluster's own storage."""
    for path, volume in pod.volumes():
        if any(volume.get(name) is not None for name in _VOLUMES):
            continue
        kinds = [name for name in volume if name != "name" and volume[name] is not None]
        required = f"one of {', '.join(_VOLUMES)}"
        if kinds:
            yield Problem((*path, kinds[0]), volume[kinds[0]], required, detail=kinds[0])
        else:
            yield Problem(path, None, required)


def allow_privilege_escalation(pod: Pod) -> Iterator[Problem]:
    """Yield containers in which a file can raise its caller's privileges."""
    for container in pod.containers():
        value = container.context.get("allowPrivilegeEscalation")
        if value is not False:
            path = (*container.context_path, "allowPrivilegeEscalation")
            yield Problem(path, value, "false", container)


def run_as_non_root(pod: Pod) -> Iterator[Problem]:
    """Yield what does not keep containers from running as root."""
    of_pod = pod.context.get("runAsNonRoot")
    if of_pod not in (None, True):
        yield Problem((*pod.context_path, "runAsNonRoot"), of_pod, "true")
    for container in pod.containers():
        value = container.context.get("runAsNonRoot")
        path = (*container.context_path, "runAsNonRoot")
        if value is None and of_pod is not True:
            yield Problem(path, None, "true, here or for the pod", container)
        elif value not in (None, True):
            yield Problem(path, value, "true", container)


def run_as_user(pod: Pod) -> Iterator[Problem]:
    """Yield what says that it runs as root."""
    for context, path, container in contexts(pod):
        value = context.get("runAsUser")
        if value == 0 and value is not False:
            yield Problem((*path, "runAsUser"), value, "not set, or not 0", container)


def seccomp(pod: Pod) -> Iterator[Problem]:
    """Yield what has no seccomp profile, or one that confines nothing."""
    profile = pod.context.get("seccompProfile")
    of_pod = mapping(profile).get("type")
    if profile is not None and of_pod not in _CONFINED:
        path = (*pod.context_path, "seccompProfile", "type")
        yield Problem(path, of_pod, "RuntimeDefault or Localhost")
    for container in pod.containers():
        path = (*container.context_path, "seccompProfile", "type")
        own = container.context.get("seccompProfile")
        if own is not None:
            if (value := mapping(own).get("type")) not in _CONFINED:
                yield Problem(path, value, "RuntimeDefault or Localhost", container)
        elif of_pod not in _CONFINED:
            required = "RuntimeDefault or Localhost, here or for the pod"
            yield Problem(path, None, required, container)


def capabilities(pod: Pod) -> Iterator[Problem]:
    """Yield containers that keep the runtime's capabilities, or add others than one."""
    for container in pod.containers():
        dropped = sequence(mapping(container.context.get("capabilities")).get("drop"))
        if "ALL" not in dropped:
            path = (*container.context_path, "capabilities", "drop")
            yield Problem(path, list(dropped) or None, "a list with ALL", container, detail="drop")
    yield from added_beyond(pod, _ALLOWED)
