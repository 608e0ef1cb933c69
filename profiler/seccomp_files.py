"""Seccomp profiles below a kubelet's directory: named by content, so only ever added.

A pod names a profile by its file; a container that starts again reads it again. So a new version is
a new file, and an old one goes only when no pod of the node names it any more.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethogram.contracts.durable import replace_file
from ethogram.contracts.exports import read_index
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.policy_seccomp import read_profile
from ethogram.errors import EthogramError, UsageError

__all__ = [
    "KUBELET_SECCOMP",
    "PREFIX",
    "Held",
    "held_profiles",
    "install_profile",
    "profiles_in",
    "profiles_of_pods",
    "remove_unused",
]

KUBELET_SECCOMP = Path("/var/lib/kubelet/seccomp")
PREFIX = "ethogram"
_NAME = re.compile(r"ethogram/(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*"
                   r"-([0-9a-f]{12})\.json")  # fmt: skip
_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """What a node holds: *names* below the kubelet's directory; *damaged* are not what they say."""

    names: tuple[str, ...]
    damaged: tuple[str, ...] = ()


def profiles_in(directory: Path, *, may_be_empty: bool = False) -> dict[str, bytes]:
    """Return the profiles in *directory*, of an export or of files alone, by what they install as.

    `UsageError` where one is no seccomp profile, or is not named by its content.
    """
    if not directory.is_dir():  # any more, where this is done again: that is not empty
        raise UsageError(f"there is no directory `{directory}`", hint="nothing was put or deleted")
    if (directory / "index.json").is_file():
        entries = [entry for entry in read_index(directory) if entry.target == "seccomp"]
        named = {
            entry.installs_as: directory / entry.path for entry in entries if entry.installs_as
        }
    else:
        named = {f"{PREFIX}/{path.name}": path for path in sorted(directory.glob("*.json"))}
    if not named and not may_be_empty:
        raise UsageError(
            f"`{directory}` holds no seccomp profile",
            hint="`ethogram export BASELINES --to seccomp -o DIR` writes some",
        )
    return {name: _checked(name, path) for name, path in sorted(named.items())}


def install_profile(root: Path, name: str, content: bytes) -> bool:
    """Make file *name* below *root* hold *content*; False where it did already."""
    path = root / name
    _refuse_links(root, path)
    if path.is_file() and _read(path) == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content, mode=0o644)
    path.chmod(0o644)  # whatever our umask is: who reads it is the runtime
    return True


def held_profiles(root: Path) -> Held:
    """Return what is below *root* that `install_profile` wrote, and what of it is not whole."""
    names: list[str] = []
    damaged: list[str] = []
    for name in _ours(root):
        match = _NAME.fullmatch(name)
        assert match is not None
        try:
            is_whole = _digest(_read(root / name)) == match[1]
        except OSError:
            is_whole = False
        (names if is_whole else damaged).append(name)
    return Held(tuple(names), tuple(damaged))


def remove_unused(root: Path, used: Iterable[str]) -> list[str]:
    """Delete our files below *root* that are none of *used*, and directories left empty."""
    keep = frozenset(used)
    gone = [name for name in _ours(root) if name not in keep]
    for name in gone:
        (root / name).unlink()
    for parent in sorted({place for name in gone for place in (root / name).parents}, reverse=True):
        if parent.is_relative_to(root / PREFIX):
            try:
                parent.rmdir()
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
                    raise
    return gone


def profiles_of_pods(pods: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the profiles of the node that *pods*, objects of the API, name anywhere."""
    found: set[str] = set()
    for pod in pods:
        spec = pod.get("spec")
        if not isinstance(spec, dict):
            continue
        containers: list[Any] = [spec]
        for kind in ("containers", "initContainers", "ephemeralContainers"):
            listed = spec.get(kind)
            containers += listed if isinstance(listed, list) else []
        for one in containers:
            match one:
                case {"securityContext": {"seccompProfile": {"localhostProfile": str(name)}}}:
                    found.add(name)
    return frozenset(found)


def _ours(root: Path) -> Iterator[str]:
    """Yield the names of our files below *root*; links and what others put there are not ours."""
    for directory, _, files in os.walk(root / PREFIX):
        for file in sorted(files):
            path = Path(directory) / file
            name = str(path.relative_to(root))
            if _NAME.fullmatch(name) and path.is_file() and not path.is_symlink():
                yield name


def _checked(name: str, path: Path) -> bytes:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(
            f"`{path}` would be `{name}`, which is no name of a profile of ours",
            hint="a name ends in the first 12 digits of the file's sha256: `NAME-DIGEST.json`",
        )
    try:
        content = _read(path)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    if _digest(content) != match[1]:
        raise UsageError(
            f"`{path}` is not what its name says: its sha256 begins `{_digest(content)}`",
            hint="export it again: a profile that was changed is another profile",
        )
    try:
        read_profile(json.loads(content))
    except (ValueError, RecursionError, EthogramError) as error:
        raise UsageError(f"`{path}` is no seccomp profile: {error}") from error
    return content


def _read(path: Path) -> bytes:
    with open_plain(path) as file:
        content = file.read(_LIMIT_BYTES + 1)
    if len(content) > _LIMIT_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _refuse_links(root: Path, path: Path) -> None:
    """Refuse a place that a link leads out of: we are root there."""
    for place in (path, *path.parents):
        if place == root:
            return
        if place.is_symlink():
            raise UsageError(f"`{place}` is a link", hint="remove it: links are not followed")
