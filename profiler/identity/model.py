"""What a workload and one run of it are called, and where each name comes from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from ethogram.contracts.escape import escape
from ethogram.contracts.keys import workload_key

__all__ = [
    "ContainerKind",
    "Facts",
    "Identity",
    "Source",
    "State",
    "bounded",
    "bounded_mapping",
    "digest_of",
]

Source = Literal[
    "cri", "kubelet", "apiserver", "oci", "podman", "docker", "systemd", "command", "cgroup",
    "inventory",
]  # fmt: skip
State = Literal["resolved", "pending", "unresolved"]
ContainerKind = Literal["main", "init", "sidecar", "ephemeral", "none"]

_NAME_LIMIT = 512
_MAPPING_LIMIT = 128
_HASH_DIGITS = 16
# What does not decide whose baseline the run goes into.
_OF_THE_RUN = ("image", "labels", "runtime", "runtime_version", "init_pid", "bundle")
_DIGEST = re.compile(r"(?:^|@)(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$")


def bounded(text: str, limit: int = _NAME_LIMIT) -> str:
    r"""Return *text* on one line, without controls, in at most *limit* characters.

    What is not printable is written as `\xNN`. A text that is too long keeps its beginning and
    ends in `~` and digits of its SHA-256, so that two long names do not become one.
    """
    if len(text) <= limit and len(line := escape(text)) <= limit:
        return line
    mark = "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    line = escape(text[:limit])
    return line[: limit - len(mark)] + mark


def bounded_mapping(values: Mapping[Any, object]) -> dict[str, str]:
    """Return the text keys and values of *values*, sorted, each bounded, at most 128 of them."""
    texts = (
        (bounded(key), bounded(value))
        for key, value in values.items()
        if isinstance(key, str) and isinstance(value, str)
    )
    return dict(sorted(texts)[:_MAPPING_LIMIT])


def digest_of(reference: str | None) -> str | None:
    """Return the digest that ends an image *reference* or id, such as `nginx@sha256:...`."""
    found = _DIGEST.search(reference) if reference else None
    return found[1] if found else None


def _frozen(values: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(values))


@dataclass(frozen=True, slots=True)
class Identity:
    """The workload that a cgroup belongs to, and which run of it.

    `state` is `resolved` when the name is the one that the sources have for good, `pending` when
    a better one may still come (ask again), `unresolved` when none came. `reason` says in a
    sentence why a name is not resolved, or what it rests on where that is less than certain.
    `awaits_runtime`: the name is settled, but which runtime runs the container is still to come.
    `awaits_pod`: it is named, but the cluster has not told of its pod, and may.
    """

    kind: str
    name: str
    runtime_id: str
    source: Source
    state: State
    cluster: str | None = None
    namespace: str | None = None
    container: str | None = None
    container_kind: ContainerKind = "none"
    image: str | None = None
    image_digest: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    selector: Mapping[str, str] = field(default_factory=dict, hash=False)
    pod: str | None = None
    pod_uid: str | None = None
    container_id: str | None = None
    runtime: str | None = None
    runtime_version: str | None = None
    init_pid: int | None = None
    bundle: str | None = None
    reason: str | None = None
    awaits_runtime: bool = False
    awaits_pod: bool = False
    host_paths: tuple[str, ...] | None = None
    host_ports: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _frozen(self.labels))
        object.__setattr__(self, "selector", _frozen(self.selector))

    @property
    def is_provisional(self) -> bool:
        """Another name may come, and what was written under this one is of that."""
        return self.state == "pending" or self.awaits_pod

    @property
    def workload_key(self) -> str:
        """The name of the workload that holds across recordings, hosts and restarts."""
        return workload_key(
            self.cluster,
            self.namespace,
            self.kind,
            self.name,
            self.container,
            self.image_digest,
            container_kind=self.container_kind,
        )

    def completed_by(self, later: Identity) -> Identity:
        """Return this identity with what it lacks about its run as *later* has it.

        Its name stays, whatever *later* is called: rows may have been written under it.
        """
        if later.container_id != self.container_id:
            return replace(self, awaits_runtime=False)
        found = {name: getattr(self, name) or getattr(later, name) for name in _OF_THE_RUN}
        return replace(self, **found, awaits_runtime=later.awaits_runtime)


@dataclass(frozen=True, slots=True)
class Facts:
    """What one source says of one container; null is what it does not say.

    `cgroup_path` is the container's own cgroup as its runtime declares it, `cgroup_id` the id
    that this path had when it was read: a container id may be used again. `place` is the
    directory it was read from. `annotations` are those of the OCI bundle: under docker and podman
    their author may be anybody who can start a container.
    """

    source: Source
    container_id: str
    runtime: str | None = None
    init_pid: int | None = None
    bundle: str | None = None
    cgroup_path: str | None = None
    cgroup_id: int | None = None
    place: str | None = None
    name: str | None = None
    image: str | None = None
    image_digest: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def filled_from(self, others: Iterable[Facts]) -> Facts:
        """Return these facts with what is missing taken from *others*, the first that has it."""
        merged = {name: getattr(self, name) for name in Facts.__slots__}
        for other in others:
            for name, value in merged.items():
                if value is None or value == {}:
                    merged[name] = getattr(other, name)
        return Facts(**merged)
