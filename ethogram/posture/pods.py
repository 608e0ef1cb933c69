"""The parts of a pod that rules look at, from parsed JSON or YAML that may be of any shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

__all__ = [
    "TEMPLATES",
    "Container",
    "ContainerKind",
    "Path",
    "Pod",
    "Problem",
    "field_of",
    "mapping",
    "pod_at",
    "sequence",
    "shape_problems",
    "text",
]

# Of a field: keys, and indexes of lists.
Path: TypeAlias = "tuple[str | int, ...]"
ContainerKind = Literal["container", "init", "ephemeral"]

_KINDS: Mapping[str, ContainerKind] = MappingProxyType(
    {"containers": "container", "initContainers": "init", "ephemeralContainers": "ephemeral"}
)
_TEMPLATE: Path = ("spec", "template")
# (API group, kind) -> where the object has its pod, or its pod's template.
TEMPLATES: Mapping[tuple[str, str], Path] = MappingProxyType(
    {
        ("", "Pod"): (),
        ("", "PodTemplate"): ("template",),
        ("", "ReplicationController"): _TEMPLATE,
        ("apps", "DaemonSet"): _TEMPLATE,
        ("apps", "Deployment"): _TEMPLATE,
        ("apps", "ReplicaSet"): _TEMPLATE,
        ("apps", "StatefulSet"): _TEMPLATE,
        ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
        ("batch", "Job"): _TEMPLATE,
    }
)
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@dataclass(frozen=True, slots=True)
class Container:
    """A container of any kind, and where it stands."""

    kind: ContainerKind
    name: str
    body: Mapping[str, Any]
    path: Path

    @property
    def context(self) -> Mapping[str, Any]:
        """Its own securityContext."""
        return mapping(self.body.get("securityContext"))

    @property
    def context_path(self) -> Path:
        """Where its securityContext stands, or would."""
        return (*self.path, "securityContext")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod or the template of one: *at* is where in its object it stands."""

    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    at: Path
    # Nearly every rule asks for them.
    _containers: list[Container] = field(default_factory=list, repr=False, compare=False)

    @property
    def spec_path(self) -> Path:
        """Where its spec stands."""
        return (*self.at, "spec")

    @property
    def context(self) -> Mapping[str, Any]:
        """The securityContext that containers take over."""
        return mapping(self.spec.get("securityContext"))

    @property
    def context_path(self) -> Path:
        """Where that stands, or would."""
        return (*self.spec_path, "securityContext")

    @property
    def annotations(self) -> Mapping[str, Any]:
        """Its annotations."""
        return mapping(self.metadata.get("annotations"))

    @property
    def is_windows(self) -> bool:
        """Whether it says that it is for Windows."""
        return mapping(self.spec.get("os")).get("name") == "windows"

    @property
    def has_own_users(self) -> bool:
        """Whether its users are not the host's: `hostUsers: false`."""
        return self.spec.get("hostUsers") is False

    def containers(self) -> Sequence[Container]:
        """Return its containers, init containers and ephemeral ones, as they stand."""
        if not self._containers:
            self._containers.extend(self._read_containers())
        return self._containers

    def _read_containers(self) -> Iterator[Container]:
        for key, kind in _KINDS.items():
            for index, body in enumerate(sequence(self.spec.get(key))):
                path = (*self.spec_path, key, index)
                found = mapping(body)
                yield Container(kind, text(found.get("name")), found, path)

    def volumes(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Yield its volumes, each with where it stands."""
        for index, body in enumerate(sequence(self.spec.get("volumes"))):
            yield (*self.spec_path, "volumes", index), mapping(body)


@dataclass(frozen=True, slots=True)
class Problem:
    """A field that is not as a rule asks: its value (None: not set), and what is *required*.

    *detail* is which of several things the rule looks at, where its consequences differ.
    """

    path: Path
    value: Any
    required: str
    container: Container | None = None
    detail: str = ""


def pod_at(node: object, at: Path) -> Pod:
    """Return the pod or template that stands in object *node* at the place *at*."""
    for part in at:
        node = mapping(node).get(str(part))
    found = mapping(node)
    return Pod(mapping(found.get("metadata")), mapping(found.get("spec")), at)


def mapping(value: object) -> Mapping[str, Any]:
    """Return *value* where it is a mapping, else an empty one."""
    # Asked for so often that what is nearly always there comes first.
    if isinstance(value, dict):
        return value
    return value if value is not None and isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """Return *value* where it is a list, else an empty one."""
    return value if isinstance(value, (list, tuple)) else ()


def text(value: object) -> str:
    """Return *value* where it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def field_of(path: Path) -> str:
    """Return *path* as people write it: `spec.containers[0].securityContext.privileged`."""
    words = ""
    for part in path:
        if isinstance(part, int):
            words += f"[{part}]"
        elif part and _PLAIN.issuperset(part):
            words += f".{part}" if words else part
        else:
            words += f"['{part}']"
    return words


_MAPPINGS = ("securityContext", "os")
_LISTS = (*_KINDS, "volumes")


def shape_problems(pod: Pod) -> Iterator[Problem]:
    """Yield what is of a type that no API server takes, and that rules could not look into."""
    if not pod.spec.get("containers"):
        yield Problem((*pod.spec_path, "containers"), None, "a list of at least one container")
    for key in _LISTS:
        value = pod.spec.get(key)
        if value is not None and not isinstance(value, list | tuple):
            yield Problem((*pod.spec_path, key), value, "a list")
        for index, each in enumerate(sequence(value)):
            if not isinstance(each, Mapping):
                yield Problem((*pod.spec_path, key, index), each, "a mapping")
    for key in _MAPPINGS:
        yield from _not_a_mapping(pod.spec, pod.spec_path, key)
    yield from _context_problems(pod.context, pod.context_path)
    for container in pod.containers():
        yield from _not_a_mapping(container.body, container.path, "securityContext")
        yield from _context_problems(container.context, container.context_path)
        yield from _container_problems(container)


def _not_a_mapping(node: Mapping[str, Any], path: Path, key: str) -> Iterator[Problem]:
    value = node.get(key)
    if value is not None and not isinstance(value, Mapping):
        yield Problem((*path, key), value, "a mapping")


def _context_problems(context: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for key in ("capabilities", "seccompProfile", "appArmorProfile", "seLinuxOptions",
                "windowsOptions"):  # fmt: skip
        yield from _not_a_mapping(context, path, key)
    for node, above, key in (
        (context, path, "sysctls"),
        (mapping(context.get("capabilities")), (*path, "capabilities"), "add"),
        (mapping(context.get("capabilities")), (*path, "capabilities"), "drop"),
    ):
        value = node.get(key)
        if value is not None and not isinstance(value, list | tuple):
            yield Problem((*above, key), value, "a list")


def _container_problems(container: Container) -> Iterator[Problem]:
    for key in ("ports", "env", "envFrom", "volumeMounts"):
        value = container.body.get(key)
        if value is not None and not isinstance(value, list | tuple):
            yield Problem((*container.path, key), value, "a list", container)
    for key in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        yield from _not_a_mapping(container.body, container.path, key)
