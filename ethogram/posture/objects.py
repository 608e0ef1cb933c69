"""Kubernetes objects as rules see them: who each is, where it stands, and what is around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ethogram.posture.pods import TEMPLATES, Path, Pod, mapping, pod_at, sequence, text

__all__ = ["KubeObject", "Reference", "Source", "World", "objects_in"]

_LIST = "List"
_HASH = "pod-template-hash"
_DEEPEST = 8  # of owners, and of lists in lists
_DATED = re.compile(r"-[0-9]{8,12}$")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """Who an object is."""

    kind: str
    namespace: str
    name: str
    api_version: str = ""

    @property
    def group(self) -> str:
        """Its API group; empty for the core one."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return "/".join(part for part in (self.namespace, self.kind, self.name) if part)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was read: a file, which document of it, and the place in a list there."""

    file: str
    document: int = 0
    at: Path = ()


@dataclass(frozen=True, slots=True)
class KubeObject:
    """One object: *body* is of any shape."""

    who: Reference
    body: Mapping[str, Any]
    source: Source

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata."""
        return mapping(self.body.get("metadata"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec."""
        return mapping(self.body.get("spec"))

    @property
    def labels(self) -> Mapping[str, Any]:
        """Its labels."""
        return mapping(self.metadata.get("labels"))

    @property
    def template(self) -> Path | None:
        """Where it has a pod, or the template of one; None where it has none."""
        return TEMPLATES.get((self.who.group, self.who.kind))

    @property
    def pod(self) -> Pod | None:
        """Its pod, or the template of one."""
        at = self.template
        return None if at is None else pod_at(self.body, at)


def objects_in(document: object, source: Source, *, like: str = "") -> Iterator[KubeObject]:
    """Yield the objects of *document*: itself, or what is in it where it is a list.

    An item of a list such as `PodList` may leave out version and kind: *like* is both.
    """
    if not isinstance(document, Mapping):
        return
    node = mapping(document)
    kind, version = text(node.get("kind")), text(node.get("apiVersion"))
    if not kind and like:
        of_list, _, kind = like.rpartition(" ")
        version = version or of_list
    items = node.get("items")
    if kind.endswith(_LIST) and isinstance(items, list) and len(source.at) < 2 * _DEEPEST:
        of_items = "" if kind == _LIST else f"{version} {kind.removesuffix(_LIST)}"
        for index, item in enumerate(items):
            place = Source(source.file, source.document, (*source.at, "items", index))
            yield from objects_in(item, place, like=of_items)
    elif kind and version:
        metadata = mapping(node.get("metadata"))
        name = text(metadata.get("name")) or text(metadata.get("generateName"))
        who = Reference(kind, text(metadata.get("namespace")), name, version)
        yield KubeObject(who, node, source)


@dataclass(slots=True)
class World:
    """Everything that was read; *is_whole*: nothing is missing from it, as of a live cluster.

    *is_live*: it was asked for now.
    """

    objects: tuple[KubeObject, ...]
    is_whole: bool = False
    is_live: bool = False
    _known: dict[tuple[str, str, str], KubeObject] = field(default_factory=dict)
    _kinds: dict[str, list[KubeObject]] = field(default_factory=dict)
    # One label of a selector, by which a service is found without asking all of them.
    _services: dict[tuple[str, str, str], list[KubeObject]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.objects:
            self._known.setdefault((one.who.kind, one.who.namespace, one.who.name), one)
            self._kinds.setdefault(one.who.kind, []).append(one)
        for service in self.of_kind("Service"):
            for name, value in _selector(service)[:1]:
                key = (service.who.namespace, name, value)
                self._services.setdefault(key, []).append(service)

    def of_kind(self, *kinds: str) -> Iterator[KubeObject]:
        """Yield the objects of *kinds*."""
        return (one for kind in kinds for one in self._kinds.get(kind, ()))

    def find(self, kind: str, namespace: str, name: str) -> KubeObject | None:
        """Return an object by its name."""
        return self._known.get((kind, namespace, name))

    def owner_of(self, one: KubeObject) -> Reference:
        """Return who is at the top of the owners of *one*: itself where nobody owns it."""
        for _ in range(_DEEPEST):
            owner = _controller(one)
            if owner is None:
                return one.who
            above = self.find(owner.kind, owner.namespace, owner.name)
            if above is None:
                return _above_unseen(owner, one)
            one = above
        return one.who

    def services_of(self, namespace: str, labels: Mapping[str, Any]) -> Iterator[KubeObject]:
        """Yield the services that pick pods with *labels*."""
        for name, value in labels.items():
            for service in self._services.get((namespace, name, str(value)), ()):
                if all(labels.get(each) == wanted for each, wanted in _selector(service)):
                    yield service


def _selector(service: KubeObject) -> list[tuple[str, str]]:
    """Return the labels that *service* picks pods by; none where it says none, or no text."""
    found = mapping(service.spec.get("selector"))
    is_text = all(isinstance(value, str) for value in found.values())
    return sorted(found.items()) if is_text else []


def _controller(one: KubeObject) -> Reference | None:
    for owner in _mappings(sequence(one.metadata.get("ownerReferences"))):
        if owner.get("controller") is True and text(owner.get("kind")) and text(owner.get("name")):
            return Reference(text(owner["kind"]), one.who.namespace, text(owner["name"]),
                             text(owner.get("apiVersion")))  # fmt: skip
    return None


def _above_unseen(owner: Reference, owned: KubeObject) -> Reference:
    """Return who made *owner*, which was not read, as far as names tell."""
    hashed = text(owned.labels.get(_HASH))
    if owner.kind == "ReplicaSet" and hashed and owner.name.endswith(f"-{hashed}"):
        name = owner.name.removesuffix(f"-{hashed}")
        return Reference("Deployment", owner.namespace, name, owner.api_version)
    if owner.kind == "Job" and _DATED.search(owner.name):
        name = _DATED.sub("", owner.name)
        return Reference("CronJob", owner.namespace, name, owner.api_version)
    return owner


def _mappings(values: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    return (value for value in values if isinstance(value, Mapping))
