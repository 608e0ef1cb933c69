"""Starts the pods of `deploy/` as a kubelet would: words, mounts, users, rights and profiles."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

from demo.oci import Spec, bind
from profiler.identity.hierarchy import unified_mount
from profiler.own_cgroup import PARENT
from tests.deployment import DEPLOY, ROOT, container_of

__all__ = ["image_of", "pod_spec", "status_of", "within"]

Made = TypeVar("Made")

# What stands for the image: the interpreter, its libraries, and the packages that run the test.
_IMAGE = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
_OURS = tuple(sorted(path.parent for path in ROOT.glob("*/__init__.py")))
_START = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ethogram.cli import main; main()"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_DEFAULT = Path("/usr/share/containers/seccomp.json")  # of podman: containerd's has the same origin
_HOST = frozenset({"cgroup", "machine-id"})
# What moto wants of who reads an object; nobody looks at the signature.
_NAMED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
_CLONE_NEWNET = 0x40000000


def image_of(directory: Path) -> Path:
    """Return a root file system, in *directory*, that has nothing but what a process must have."""
    (directory / "image/etc").mkdir(parents=True)
    for name in ("passwd", "group", "ld.so.cache", "nsswitch.conf"):
        (directory / "image/etc" / name).write_bytes(Path("/etc", name).read_bytes())
    return directory / "image"


def pod_spec(
    workload: Mapping[str, Any], places: Mapping[str, Path], env: Mapping[str, str], netns: Path
) -> Spec:
    """Return the container of *workload* as runc takes it, with the arguments that it has there.

    *places* are directories of the test for its volumes, by name, and for its `account`. Those of
    the host that it only reads are the host's own.
    """
    pod, container = workload["spec"]["template"]["spec"], container_of(workload)
    security = pod["securityContext"] | container["securityContext"]
    mounts = [bind(Path(path).resolve(), path) for path in _IMAGE if Path(path).is_dir()]
    mounts += [bind(path, str(path)) for path in (*_OURS, *_installed())]
    mounts += _volumes(pod, container, places)
    if pod["automountServiceAccountToken"]:
        mounts.append(bind(places["account"], _ACCOUNT))
    words = [_expanded(word, env) for word in container["args"]]
    return Spec(
        (sys.executable, "-P", "-c", _START, *words),
        netns=netns,
        env={"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **env},
        uid=security["runAsUser"],
        gid=security["runAsGroup"],
        capabilities=[f"CAP_{one}" for one in security["capabilities"].get("add", ())],
        no_new_privileges=not security["allowPrivilegeEscalation"],
        seccomp=_profile(workload, security["seccompProfile"]),
        read_only=security["readOnlyRootFilesystem"],
        host_namespaces=("pid",) if pod.get("hostPID") else (),
        # What lies within another comes after it.
        mounts=sorted(mounts, key=lambda one: len(Path(one["destination"]).parts)),
    )


def _volumes(
    pod: Mapping[str, Any], container: Mapping[str, Any], places: Mapping[str, Path]
) -> list[dict[str, Any]]:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = []
    for mount in container["volumeMounts"]:
        name, path = mount["name"], mount["mountPath"]
        source = places.get(name)
        if name in _HOST:
            source = Path(volumes[name]["hostPath"]["path"])
        elif name == "own-cgroup":  # beside version 1 the hierarchy is elsewhere
            source = unified_mount() / PARENT
            source.mkdir(exist_ok=True)
            path = str(source)
        elif source is None:
            assert volumes[name]["configMap"]["optional"], name
            continue
        made = bind(source, path, writable=not mount.get("readOnly", False))
        mounts.append(made | {"options": [one.replace("bind", "rbind") for one in made["options"]]})
    return mounts


def _installed() -> list[Path]:
    """Return the directories outside the system's own that the interpreter has its packages in."""
    wanted = {Path(sys.prefix), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    return sorted(path for path in wanted if not any(path.is_relative_to(top) for top in _IMAGE))


def _expanded(word: str, env: Mapping[str, str]) -> str:
    for name, value in env.items():
        word = word.replace(f"$({name})", value)
    assert "$(" not in word, word
    return word


def _profile(workload: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    if named["type"] == "RuntimeDefault":
        return _runtime_default()
    place = workload["metadata"]["name"].removeprefix("ethogram-")
    path = DEPLOY / "kubernetes" / place / Path(named["localhostProfile"]).name
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _runtime_default() -> dict[str, Any]:
    """Return what a runtime allows a container without capabilities by default."""
    document = json.loads(_DEFAULT.read_text())
    rules = [
        {key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)}
        for rule in document["syscalls"]
        if not rule["includes"].get("caps")
        and "amd64" in rule["includes"].get("arches", ["amd64"])
        and "amd64" not in rule["excludes"].get("arches", [])
    ]
    (architecture,) = (
        one for one in document["archMap"] if one["architecture"] == "SCMP_ARCH_X86_64"
    )
    return {
        "defaultAction": document["defaultAction"],
        "defaultErrnoRet": document["defaultErrnoRet"],
        "architectures": [architecture["architecture"], *architecture["subArchitectures"]],
        "syscalls": rules,
    }


def within(netns: Path, work: Callable[[], Made]) -> Made:
    """Return what *work* returns, done by a thread that is in *netns*: sockets are made there."""

    def entered() -> Made:
        descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(descriptor, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(descriptor)
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(entered).result()


def status_of(netns: Path, port: int, path: str) -> tuple[int, str]:
    """Return the status and the text of `GET path` on *port* of *netns*; 0 where nobody is."""

    def ask() -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", path, headers={"Authorization": _NAMED})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:  # nobody listens yet, or any more
            return 0, ""
        finally:
            connection.close()

    return within(netns, ask)
