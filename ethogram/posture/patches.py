"""Patches: the least change that a rule asks for, as a strategic merge patch of the owner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ethogram.posture.host import mounts_of
from ethogram.posture.objects import KubeObject
from ethogram.posture.pods import Path, Pod, Problem, mapping, sequence, text
from ethogram.posture.standards_baseline import BASELINE_CAPABILITIES

__all__ = ["combined", "patch_of", "patch_of_container", "patch_of_spec"]

# By what items of a list are told apart; a list that is not here is replaced as a whole.
_MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumes": "name",
    "webhooks": "name",
}
_DELETE = {"$patch": "delete"}
_PROFILE = {"type": "RuntimeDefault", "localhostProfile": None}
# The last part of a field -> what it becomes; None takes it away.
_VALUES: Mapping[str, Any] = {
    "privileged": False,
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "hostProcess": False,
    "hostPort": None,
    "host": None,
    "procMount": "Default",
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": None,
    "shareProcessNamespace": False,
    "automountServiceAccountToken": False,
    "user": None,
    "role": None,
    "timeoutSeconds": 3,
}


def patch_of(one: KubeObject, check: str, problem: Problem) -> Mapping[str, Any] | None:
    """Return the patch of *one* that settles what *check* found; None where a person has to.

    What the workload needs it does not know: evidence does, where there is any.
    """
    container, path, pod = problem.container, problem.path, one.pod
    if check == "malformed" or (container is not None and container.kind == "ephemeral"):
        return None  # nobody knows what was meant; nobody can change a debugging container
    if pod is not None and _is_volume(path):
        return _without_volume(one, pod, path)
    if check == "host-pid-ptrace" and pod is not None:
        return patch_of_spec(one, {"hostPID": False})
    if check == "webhook-blocks-itself":
        return _left_out(one, problem)
    found = _changed(check, path, one.body)
    return None if found is None else _set(one, *found)


def _changed(check: str, path: Path, body: Mapping[str, Any]) -> tuple[Path, Any] | None:
    """Return which field becomes what; None where that is a person's decision."""
    if "capabilities" in path:
        at = path.index("capabilities") + 2
        if path[at - 1] == "drop":
            return path[:at], ["ALL"]
        allowed = (
            {"NET_BIND_SERVICE"} if check == "capabilities_restricted" else BASELINE_CAPABILITIES
        )
        return path[:at], [name for name in _at(body, path[:at]) or () if name in allowed]
    if "sysctls" in path:
        at = path.index("sysctls") + 1
        kept = [one for one in sequence(_at(body, path[:at])) if one != _at(body, path[:-1])]
        return path[:at], kept
    last, above = str(path[-1]), path[-2] if len(path) > 1 else ""
    if last == "type" and above in ("seccompProfile", "appArmorProfile"):
        return path[:-1], _PROFILE
    is_annotation = "annotations" in path and check != "malformed-exemption"
    if is_annotation or (last == "type" and above == "seLinuxOptions"):
        return path, None
    return (path, _VALUES[last]) if last in _VALUES else None


def patch_of_container(
    one: KubeObject, container_path: Path, context: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the patch of *one* that lays *context* over a container's securityContext."""
    return _set(one, (*container_path, "securityContext"), dict(context))


def patch_of_spec(one: KubeObject, spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the patch of *one* that lays *spec* over its pods' spec."""
    pod = one.pod
    return None if pod is None else _set(one, pod.spec_path, dict(spec))


def _set(one: KubeObject, path: Path, value: Any) -> Mapping[str, Any] | None:
    """Return the patch of *one* that sets the field *path*, or None where no patch can name it."""
    node: Any = value
    for depth in range(len(path) - 1, -1, -1):
        part = path[depth]
        if isinstance(part, str):
            node = {part: node}
            continue
        key = _MERGE_KEYS.get(str(path[depth - 1]))
        name = mapping(_at(one.body, path[: depth + 1])).get(key) if key else None
        if name is None or not isinstance(node, dict):
            return None
        node = [{key: name} | node]
    return _named(one, node)


def _named(one: KubeObject, node: Mapping[str, Any]) -> Mapping[str, Any]:
    who = one.who
    metadata = {"name": who.name} | ({"namespace": who.namespace} if who.namespace else {})
    head = {"apiVersion": who.api_version, "kind": who.kind, "metadata": metadata}
    return combined([head, node])


def _at(body: Any, path: Path) -> Any:
    for part in path:
        if isinstance(part, int):
            items = sequence(body)
            body = items[part] if part < len(items) else None
        else:
            body = mapping(body).get(part)
    return body


def _is_volume(path: Path) -> bool:
    return "hostPath" in path and "volumes" in path


def _without_volume(one: KubeObject, pod: Pod, path: Path) -> Mapping[str, Any] | None:
    """Return the patch that takes a volume away, and what mounts it."""
    name = text(mapping(_at(one.body, path[: path.index("volumes") + 2])).get("name"))
    spec: dict[str, Any] = {"volumes": [{"name": name, **_DELETE}]}
    for container, _, mount in mounts_of(pod, name):
        if container.kind == "ephemeral" or not text(mount.get("mountPath")):
            continue
        key = "initContainers" if container.kind == "init" else "containers"
        gone = {"mountPath": mount["mountPath"], **_DELETE}
        spec = combined([spec, {key: [{"name": container.name, "volumeMounts": [gone]}]}])
    return patch_of_spec(one, spec) if name else None


def _left_out(one: KubeObject, problem: Problem) -> Mapping[str, Any] | None:
    """Return the patch that leaves a namespace out of what a webhook is asked about."""
    path = (*problem.path, "matchExpressions")
    key = "kubernetes.io/metadata.name"
    without = {"key": key, "operator": "NotIn", "values": [problem.value]}
    return _set(one, path, [*sequence(_at(one.body, path)), without])


def combined(patches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one patch that does what all of *patches* of one object do."""
    result: dict[str, Any] = {}
    for patch in patches:
        for name, value in patch.items():
            result[name] = _joined(name, result[name], value) if name in result else value
    return result


def _joined(name: str, one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return combined([one, other])
    if isinstance(one, list) and isinstance(other, list):
        return _joined_lists(name, one, other)
    return other


def _joined_lists(name: str, one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    key = _MERGE_KEYS.get(name)
    if key is None:
        # What each of them leaves out of what is added is left out by both.
        return (
            [each for each in one if each in other] if name in ("add", "sysctls") else list(other)
        )
    items = {mapping(each).get(key): each for each in one}
    for each in other:
        known = items.get(each[key])
        items[each[key]] = each if known is None else combined([known, each])
    return list(items.values())
