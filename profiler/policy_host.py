"""Looks at this host as policies need it: runtimes, libseccomp, kernel, kubelet, network plugin."""

from __future__ import annotations

import ctypes
import hashlib
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.policy_host import PolicyHost
from profiler.identity.runtimes import RUNTIMES, version_of

__all__ = ["look"]

_ENGINES = ("podman", "containerd", "dockerd", "crio")
_VERSION = re.compile(r"\bv?([0-9]+(?:\.[0-9]+)+[!-~]{0,32})")
_TIMEOUT_S = 5.0
_SECCOMP = Path("proc/sys/kernel/seccomp")
_KUBELET = Path("var/lib/kubelet")
_CNI = Path("etc/cni/net.d")
_LIMIT_BYTES = 16 * 1024 * 1024
_CONFIGURATIONS = frozenset({".conf", ".conflist", ".json"})
# `SCMP_ARCH_*` of seccomp.h for the machines that runtimes run on.
_TOKENS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_UNKNOWN = -1


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


def look(names: Iterable[str], profiles: Iterable[str], *, root: Path = Path("/")) -> PolicyHost:
    """Return this host: which of the calls *names* libseccomp knows, which *profiles* are there.

    *profiles* are paths below the kubelet's seccomp directory.
    """
    found = {name: version for name in RUNTIMES if (version := version_of(name)) is not None}
    version, known = _libseccomp(names)
    return PolicyHost(
        machine=platform.machine(),
        kernel=platform.release(),
        runtimes=found,
        engines={name: word for name in _ENGINES if (word := _version(name)) is not None},
        libseccomp=version,
        known_calls=known,
        actions=_words(root / _SECCOMP / "actions_avail"),
        actions_logged=_words(root / _SECCOMP / "actions_logged"),
        installed=_installed(root / _KUBELET, profiles),
        network_plugins=_plugins(root / _CNI),
    )


def _version(program: str) -> str | None:
    binary = shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin")
    if binary is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603  a fixed name in the system's directories
            [binary, "--version"],
            capture_output=True,
            check=False,
            cwd="/",
            env={},
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    match = _VERSION.search(answer.stdout[:4096].decode("utf-8", "replace"))
    return match[1] if match else "unknown"


def _libseccomp(names: Iterable[str]) -> tuple[str | None, frozenset[str] | None]:
    """Return the version of the system's libseccomp, and which of *names* it knows."""
    token = _TOKENS.get(platform.machine())
    try:
        library = ctypes.CDLL("libseccomp.so.2")
        resolve = library.seccomp_syscall_resolve_name_arch
        library.seccomp_version.restype = ctypes.POINTER(_Version)
        version = library.seccomp_version().contents
    except (OSError, AttributeError):
        return None, None
    if token is None:
        return None, None
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    resolve.restype = ctypes.c_int
    known = {name for name in names if _is_call(name) and resolve(token, name.encode()) != _UNKNOWN}
    return f"{version.major}.{version.minor}.{version.micro}", frozenset(known)


def _is_call(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _words(path: Path) -> frozenset[str] | None:
    try:
        return frozenset(path.read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return None


def _installed(kubelet: Path, profiles: Iterable[str]) -> Mapping[str, str | None] | None:
    if not kubelet.is_dir():
        return None
    return {name: _digest(kubelet / "seccomp" / name) for name in profiles}


def _digest(path: Path) -> str | None:
    try:
        with open_plain(path) as file:
            return hashlib.sha256(file.read(_LIMIT_BYTES)).hexdigest()
    except OSError:
        return None


def _plugins(directory: Path) -> tuple[str, ...] | None:
    """Return the types of plugins in the first configuration, which is the one that counts."""
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix in _CONFIGURATIONS)
    except OSError:
        return None
    for path in files:
        try:
            with open_plain(path) as file:
                document = json.loads(file.read(_LIMIT_BYTES))
        except (OSError, ValueError, RecursionError):
            continue
        return tuple(_types(document))
    return None


def _types(document: object) -> Iterator[str]:
    if not isinstance(document, dict):
        return
    plugins = document.get("plugins")
    for each in plugins if isinstance(plugins, list) else [document]:
        if isinstance(each, dict) and isinstance(each.get("type"), str):
            yield each["type"]
