"""State directories of OCI runtimes: which containers there are, their cgroup, pid and bundle.

Both runtimes write the state before they let the container's own program start, and remove it
when the container is deleted; what was read once is kept, because a container may live shorter
than it takes to ask for it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from profiler.identity.cgroups import is_inside
from profiler.identity.cri import known_annotations
from profiler.identity.model import Facts, bounded
from profiler.identity.reading import Signature, below, read_object, signature

__all__ = ["STATE_ROOTS", "StateStore", "is_container_id", "read_bundle"]

# Where containers' state is when nobody chose another place with `--root`; `*` is a namespace of
# containerd. Nothing below /run/user is here: an ordinary user could declare any cgroup there.
STATE_ROOTS = (
    "/run/runc",
    "/run/crun",
    "/run/containerd/runc/*",
    "/run/docker/runtime-runc/*",
)
_CONTAINER_ID = re.compile(r"[A-Za-z0-9_+.-]{1,1024}")
_MOUNTS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_KEPT = 8192

IdOfCgroup = Callable[[str], int | None]


def is_container_id(text: str) -> bool:
    """Return whether *text* may be an OCI container id, and so one component of a path."""
    return bool(_CONTAINER_ID.fullmatch(text)) and text not in (".", "..")


def read_bundle(directory: Path, container_id: str) -> Facts | None:
    """Return what the bundle in *directory* says; None if it has no readable `config.json`."""
    config = read_object(directory / "config.json")
    if config is None:
        return None
    return Facts("oci", container_id, annotations=known_annotations(config.get("annotations")))


class StateStore:
    """What the runtimes below *root* say of their containers, by id and by cgroup.

    *id_of_cgroup* gives the id of a cgroup path now. The last 8,192 containers are kept.
    """

    def __init__(self, root: Path, id_of_cgroup: IdOfCgroup) -> None:
        self._root = root
        self._id_of_cgroup = id_of_cgroup
        self._read: dict[Path, Signature] = {}
        self._known: OrderedDict[tuple[Path, int | None], Facts] = OrderedDict()

    def scan(self) -> None:
        """Read the state of every container that is new or has changed."""
        for directory in self._state_roots():
            for entry in _entries(directory):
                self._load(entry)

    def load(self, directory: Path) -> Facts | None:
        """Read the state of the container that *directory* is of; None if there is none now."""
        self._load(directory)
        found = [facts for (place, _), facts in self._known.items() if place == directory]
        return found[-1] if found else None

    def of_id(self, container_id: str) -> list[Facts]:
        """Return what the runtimes say of *container_id*, the latest first.

        Containers that are gone are among them, and earlier ones that had the same id.
        """
        if not is_container_id(container_id):
            return []
        for directory in self._state_roots():
            self._load(directory / container_id)
        return [
            facts for facts in reversed(self._known.values()) if facts.container_id == container_id
        ]

    def of_cgroup(self, path: str) -> list[Facts]:
        """Return the containers that declare *path* or a cgroup above it, the nearest first."""
        self.scan()
        declared = [
            facts
            for facts in reversed(self._known.values())
            if facts.cgroup_path is not None and is_inside(path, facts.cgroup_path)
        ]
        return sorted(declared, key=lambda facts: -len(facts.cgroup_path or ""))

    def bundles(self) -> dict[str, str | None]:
        """Return the bundle of every container seen so far, by its id."""
        return {facts.container_id: facts.bundle for facts in self._known.values()}

    def _state_roots(self) -> Iterator[Path]:
        for pattern in STATE_ROOTS:
            parent, star, _ = pattern.partition("/*")
            directory = below(self._root, parent)
            yield from _entries(directory) if star else [directory]

    def _load(self, directory: Path) -> None:
        if not is_container_id(directory.name):
            return
        for file, parse in _FILES:
            written = signature(directory / file)
            if written is None:
                continue
            if self._read.get(directory) == written:
                return
            state = read_object(directory / file)
            facts = parse(directory, state) if state is not None else None
            if facts is not None:
                self._keep(directory, written, facts)
            return

    def _keep(self, directory: Path, written: Signature, facts: Facts) -> None:
        cgroup_id = self._id_of_cgroup(facts.cgroup_path) if facts.cgroup_path else None
        bundle = below(self._root, facts.bundle) if facts.bundle else None
        more = [read_bundle(directory, facts.container_id)]
        more += [read_bundle(bundle, facts.container_id)] if bundle else []
        own = Facts("oci", facts.container_id, cgroup_id=cgroup_id, place=str(directory))
        facts = facts.filled_from([own, *(found for found in more if found is not None)])
        self._read[directory] = written
        self._known.pop((directory, cgroup_id), None)
        self._known[directory, cgroup_id] = facts
        while len(self._known) > _KEPT:
            (oldest, _), _ = self._known.popitem(last=False)
            self._read.pop(oldest, None)


def _runc_facts(directory: Path, state: Mapping[str, object]) -> Facts | None:
    config = state.get("config")
    config = config if isinstance(config, dict) else {}
    paths = state.get("cgroup_paths")
    unified = paths.get("") if isinstance(paths, dict) else None
    # Annotations come first in this list, each as `key=value`, the bundle last: an annotation
    # that is called `bundle` must not be taken for it.
    labels = config.get("labels")
    texts = [text for text in labels if isinstance(text, str)] if isinstance(labels, list) else []
    bundle = next((text[7:] for text in reversed(texts) if text.startswith("bundle=")), None)
    annotations = {key: value for key, _, value in (text.partition("=") for text in texts)}
    return Facts(
        "oci",
        directory.name,
        runtime="runc",
        init_pid=_pid(state.get("init_process_pid")),
        bundle=_text(bundle),
        cgroup_path=_cgroup_path(unified),
        annotations=known_annotations(annotations),
    )


def _crun_facts(directory: Path, state: Mapping[str, object]) -> Facts | None:
    return Facts(
        "oci",
        directory.name,
        runtime="crun",
        init_pid=_pid(state.get("pid")),
        bundle=_text(state.get("bundle")),
        cgroup_path=_cgroup_path(state.get("cgroup-path")),
    )


def _made_facts(directory: Path, config: Mapping[str, object]) -> Facts | None:
    """Return what crun wrote before anything else, of a container that it is about to make."""
    linux = config.get("linux")
    cgroup = linux.get("cgroupsPath") if isinstance(linux, dict) else None
    # With systemd's driver it is `SLICE:PREFIX:NAME` and no path.
    path = cgroup if isinstance(cgroup, str) and cgroup.startswith("/") else None
    return Facts("oci", directory.name, runtime="crun", cgroup_path=_cgroup_path(path))


_FILES = (("state.json", _runc_facts), ("status", _crun_facts), ("config.json", _made_facts))


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (OSError, ValueError):
        return []


def _cgroup_path(value: object) -> str | None:
    """Return *value* relative to the mount of the hierarchy; None where it names no cgroup."""
    if not isinstance(value, str):
        return None
    for mount in _MOUNTS:
        if value == mount or value.startswith(mount + "/"):
            value = value.removeprefix(mount)
            break
    return "/" + value.strip("/") if value.strip("/") else None


def _text(value: object) -> str | None:
    return bounded(value, 4096) if isinstance(value, str) and value else None


def _pid(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value < 1 << 31 else None
