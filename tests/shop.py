"""The rows of a small shop in staging: an nginx with two replicas, and its load generator."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ethogram.contracts.flags import Access, ProcessFlag
from ethogram.contracts.syscall_names import number_of

__all__ = ["SHOP_TABLES", "START_NS", "WINDOW_NS"]

START_NS = int(datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()) * 10**9
WINDOW_NS = 5 * 10**9
_WINDOWS = 8
_CHECKOUT, _LOADGEN = 1, 2
_REPLICAS, _CLIENT = (1, 2), 3
_RUNC, _NGINX, _SH, _LS, _CURL = 1, 2, 3, 4, 5
_DEV = 0x2B
_UNSET = 4294967295
_INET, _STREAM, _DGRAM, _TCP, _UDP = 2, 1, 2, 6, 17

Row = dict[str, Any]

_WORKLOADS: list[Row] = [
    {
        "workload": number,
        "cluster": "staging",
        "namespace": "shop-staging",
        "kind": "Deployment",
        "name": name,
        "container": container,
        "image": f"docker.io/library/{image}",
        "image_digest": f"sha256:{digest * 64}",
        "labels": {"app": name, "tier": "web"},
        "selector": {"app": name},
        "source": "cri",
    }
    for number, name, container, image, digest in (
        (_CHECKOUT, "checkout", "nginx", "nginx:1.27", "a"),
        (_LOADGEN, "loadgen", "curl", "curl:8.5.0", "b"),
    )
]

_ADDRESS = {1: bytes([10, 0, 0, 11]), 2: bytes([10, 0, 0, 12]), 3: bytes([10, 0, 0, 21])}
_SERVICE = bytes([10, 96, 0, 40])
_RESOLVER = bytes([10, 96, 0, 10])
_REDIS = bytes([10, 0, 0, 31])

_INSTANCES: list[Row] = [
    {
        "instance": number,
        "workload": _LOADGEN if number == _CLIENT else _CHECKOUT,
        "runtime_id": f"{number:064x}",
        "pod_uid": f"00000000-0000-4000-8000-{number:012x}",
        "cgroup_id": 4000 + number,
        "mntns": 4026532000 + number,
        "netns": 4026532100 + number,
        "started": START_NS,
        "ended": START_NS + _WINDOWS * WINDOW_NS - 1,
        "runtime": "runc",
        "runtime_version": "1.1.5",
        "caps_bounding": 0xA80425FB,
        "no_new_privs": False,
        "seccomp_mode": 0,
        "host_namespaces": [],
    }
    for number in (*_REPLICAS, _CLIENT)
]

_EXECUTABLES: list[Row] = [
    {"exe": exe, "path": path, "dev": _DEV, "ino": 9000 + exe, "nlink": nlink, "upper": False}
    | {"memfd": nlink == 0}
    for exe, path, nlink in (
        (_RUNC, b"/memfd:runc_cloned:/proc/self/exe", 0),
        (_NGINX, b"/usr/sbin/nginx", 1),
        (_SH, b"/usr/bin/dash", 1),
        (_LS, b"/usr/bin/ls", 1),
        (_CURL, b"/usr/bin/curl", 1),
    )
]


def _at(window: int, offset_ms: int = 0) -> int:
    return START_NS + window * WINDOW_NS + offset_ms * 10**6


def _key(window: int, instance: int, phase: str) -> Row:
    workload = _LOADGEN if instance == _CLIENT else _CHECKOUT
    return {"window": window, "workload": workload, "instance": instance, "phase": phase}


def _phases(instance: int) -> Iterator[tuple[int, str]]:
    """Yield (window, phase) of what *instance* did."""
    if instance == _CLIENT:
        yield 1, "startup"
        yield from ((window, "steady") for window in range(1, 7))
        return
    yield 0, "runtime"
    yield 0, "startup"
    yield from ((window, "steady") for window in range(1, 7))
    if instance == _REPLICAS[0]:
        yield 4, "exec"
    yield 7, "shutdown"


_SERVE = {"epoll_wait": 120, "accept4": 40, "recvfrom": 40, "openat": 40, "sendfile": 40}
_CALLS: dict[str, dict[str, int]] = {
    "runtime": {"execve": 1, "prctl": 4, "setresuid": 1, "capset": 2, "openat": 9, "mount": 12},
    "startup": {
        "brk": 3,
        "mmap": 30,
        "openat": 14,
        "socket": 2,
        "bind": 1,
        "listen": 1,
        "clone": 2,
    },
    "steady": _SERVE | {"writev": 40, "close": 80, "connect": 2},
    "exec": {"execve": 2, "openat": 8, "read": 12, "write": 3, "getdents64": 2, "exit_group": 2},
    "shutdown": {"rt_sigsuspend": 1, "close": 12, "exit_group": 3, "unlink": 1},
}
_CLIENT_CALLS = {
    "startup": {"execve": 1, "mmap": 24, "openat": 6},
    "steady": {"socket": 40, "connect": 40, "sendto": 40, "recvfrom": 44, "close": 40, "poll": 60},
}


def _calls(instance: int, phase: str) -> dict[str, int]:
    return (_CLIENT_CALLS if instance == _CLIENT else _CALLS)[phase]


def _steps() -> Iterator[tuple[int, int, str]]:
    for instance in (*_REPLICAS, _CLIENT):
        for window, phase in _phases(instance):
            yield window, instance, phase


_SYSCALLS: list[Row] = [
    _key(window, instance, phase)
    | {"arch": "x86_64", "nr": number_of("x86_64", name), "name": name, "calls": calls}
    for window, instance, phase in _steps()
    for name, calls in _calls(instance, phase).items()
]

_COVERAGE: list[Row] = [
    _key(window, instance, phase)
    | {
        "observed_ns": WINDOW_NS,
        "calls": sum(_calls(instance, phase).values()),
        "execs": _calls(instance, phase).get("execve", 0),
        "opens": _calls(instance, phase).get("openat", 0),
        "connects": _calls(instance, phase).get("connect", 0),
    }
    for window, instance, phase in _steps()
]


def _grams() -> Iterator[Row]:
    for window, instance, phase in _steps():
        numbers = [number_of("x86_64", name) or 0 for name in _calls(instance, phase)]
        around = [65535] * 5 + numbers * 3
        for index in range(len(numbers) + 5):
            gram = struct.pack("<6H", *around[index : index + 6])
            yield _key(window, instance, phase) | {"gram": gram, "calls": None}


_ERRORS: list[Row] = [
    _key(window, instance, phase) | {"nr": nr, "errno": errno, "calls": calls}
    for window, instance, phase in _steps()
    for nr, errno, calls in (
        ((257, 2, 3),) if phase == "startup" else ((45, 11, 40),) if phase == "steady" else ()
    )
]

_ARGUMENTS: list[Row] = [
    _key(window, instance, phase) | {"nr": nr, "index": 0, "value": value, "calls": calls}
    for window, instance, phase in _steps()
    for of, nr, value, calls in (
        ("startup", 41, 2, 1), ("startup", 41, 1, 1), ("startup", 56, 0, 2),
        ("runtime", 157, 38, 4),
    )
    if phase == of and instance != _CLIENT
]  # fmt: skip

_R, _RW = int(Access.READ), int(Access.READ | Access.WRITE)
_LOG = int(Access.WRITE | Access.CREATE | Access.APPEND)
_FILES_OF: dict[str, tuple[tuple[int, bytes, int, str, int | None], ...]] = {
    "runtime": ((_RUNC, b"/proc/self/fd", _R | int(Access.DIRECTORY), "unknown", None),),
    "startup": (
        (_NGINX, b"/etc/nginx/nginx.conf", _R, "yes", None),
        (_NGINX, b"/etc/nginx/mime.types", _R, "yes", None),
        (_NGINX, b"/usr/lib/x86_64-linux-gnu/libc.so.6", _R, "yes", None),
        (_NGINX, b"/etc/nginx/conf.d/missing.conf", _R, "unknown", 2),
        (_NGINX, b"/run/nginx.pid", _RW | int(Access.CREATE), "no", None),
        (_NGINX, b"/var/log/nginx/access.log", _LOG, "no", None),
    ),
    "steady": (
        (_NGINX, b"/usr/share/nginx/html/index.html", _R, "yes", None),
        (_NGINX, b"/var/cache/nginx/caf\xe9.tmp", _RW | int(Access.CREATE), "no", None),
    ),
    "exec": ((_LS, b"/etc", _R | int(Access.DIRECTORY), "yes", None),),
    "shutdown": (),
}

_FILES: list[Row] = [
    _key(window, instance, phase)
    | {"exe": exe, "path": path, "access": access, "in_image": in_image, "errno": errno}
    | {"dev": 0 if errno else _DEV, "ino": 0 if errno else 100 + len(path), "calls": 4}
    | {"first": _at(window, 100), "last": _at(window, 4900)}
    for window, instance, phase in _steps()
    if instance != _CLIENT
    for exe, path, access, in_image, errno in _FILES_OF[phase]
] + [
    _key(1, _CLIENT, "startup")
    | {"exe": _CURL, "path": b"/etc/ssl/certs/ca-certificates.crt", "access": _R, "calls": 1}
    | {"dev": _DEV, "ino": 77, "first": _at(1, 50), "last": _at(1, 50), "in_image": "yes"}
]


def _flow(window: int, instance: int, phase: str, direction: str, **columns: Any) -> Row:
    base = {"family": _INET, "type": _STREAM, "protocol": _TCP, "connections": 40}
    times = {"first": _at(window, 10), "last": _at(window, 4990)}
    exe = _CURL if instance == _CLIENT else _NGINX
    return (
        _key(window, instance, phase)
        | {"direction": direction, "exe": exe}
        | base
        | times
        | columns
    )


def _network() -> Iterator[Row]:
    for instance in _REPLICAS:
        yield _flow(
            0, instance, "startup", "listen", local_port=80, local_addr=bytes(4), connections=1
        )
        for window in range(1, 7):
            yield _flow(
                window, instance, "steady", "in", local_port=80, local_addr=_ADDRESS[instance],
                peer_addr=_ADDRESS[_CLIENT], tx_bytes=24480, rx_bytes=3200,
            )  # fmt: skip
            yield _flow(
                window, instance, "steady", "out", peer_addr=_REDIS, peer_port=6379, connections=2,
                name="redis.shop-staging.svc.cluster.local", name_trust="resolver", cookie=window,
            )  # fmt: skip
    for window in range(1, 7):
        yield _flow(
            window, _CLIENT, "steady", "out", peer_addr=_SERVICE, peer_port=80,
            nat_addr=_ADDRESS[1 + window % 2], nat_port=80, tx_bytes=3200, rx_bytes=24480,
            name="checkout.shop-staging.svc.cluster.local", name_trust="resolver",
        )  # fmt: skip
        yield _flow(
            window, _CLIENT, "steady", "out", type=_DGRAM, protocol=_UDP, peer_addr=_RESOLVER,
            peer_port=53, connections=1,
        )  # fmt: skip


_DNS: list[Row] = [
    _key(window, instance, "steady")
    | {"exe": exe, "qname": name, "qtype": 1, "answers": [answer], "ttl": 30}
    | {"resolver": _RESOLVER, "trusted": True}
    for window in range(1, 7)
    for instance, exe, name, answer in (
        (1, _NGINX, b"redis.shop-staging.svc.cluster.local", _REDIS),
        (2, _NGINX, b"redis.shop-staging.svc.cluster.local", _REDIS),
        (_CLIENT, _CURL, b"checkout.shop-staging.svc.cluster.local", _SERVICE),
    )
]


def _process(
    window: int, instance: int, phase: str, name: str, parent: str | None, exe: int, *argv: bytes
) -> Row:
    exec_id = f"{instance}-{name}"
    session = f"{instance}-sh" if phase == "exec" else f"{instance}-main"
    is_entered = phase == "exec" and name == "sh"
    return _key(window, instance, phase) | {
        "exec_id": exec_id,
        "parent_exec_id": None if parent is None else f"{instance}-{parent}",
        "fork_parent_exec_id": None if parent is None else f"{instance}-{parent}",
        "session_exec_id": session,
        "tgid": 5000 + 100 * instance + len(name),
        "ns_tgid": 1 if name == "main" else len(name),
        "exe": exe,
        "cwd": b"/",
        "argv": list(argv),
        "flags": int(ProcessFlag.ENTERED if is_entered else 0),
        "loginuid": _UNSET,
        "sessionid": _UNSET,
        "caps_effective": 0xA80425FB,
        "stdio": ["pipe"] * 3 if phase == "exec" else ["null", "pipe", "pipe"],
        "start": _at(window, 5),
    }


def _processes() -> Iterator[Row]:
    for instance in _REPLICAS:
        argv = (b"nginx", b"-g", b"daemon off;")
        main = _process(0, instance, "startup", "main", None, _NGINX, *argv)
        worker = _process(0, instance, "startup", "worker", "main", _NGINX, *argv)
        worker |= {"flags": int(ProcessFlag.FORKED), "uid": 101, "euid": 101, "caps_effective": 0}
        yield from (main, worker)
        # When a process ends its row is written again; the later row stands.
        yield from (row | {"end": _at(7, 900), "exit_code": 0} for row in (main, worker))
    shell = _process(4, 1, "exec", "sh", None, _SH, b"sh")
    listing = _process(4, 1, "exec", "ls", "sh", _LS, b"ls", b"/etc", b"caf\xe9")
    yield from (shell | {"end": _at(4, 900), "exit_code": 0}, listing | {"end": _at(4, 800)})
    yield _process(1, _CLIENT, "startup", "main", None, _CURL, b"curl", b"-s", b"http://checkout/")


_ADDRESSES: list[Row] = [
    {"addr": addr, "kind": "pod", "workload": workload, "name": f"shop-staging/{pod}"}
    | {"labels": {"app": owner, "tier": "web"}, "namespace": "shop-staging"}
    | {"owner_kind": kind, "owner_name": owner, "selector": {"app": owner}, "source": "inventory"}
    for addr, workload, pod, kind, owner in (
        (_ADDRESS[1], _CHECKOUT, "checkout-6d4c9-aaaaa", "Deployment", "checkout"),
        (_ADDRESS[2], _CHECKOUT, "checkout-6d4c9-bbbbb", "Deployment", "checkout"),
        (_ADDRESS[3], _LOADGEN, "loadgen-7b8f5-ccccc", "Deployment", "loadgen"),
        (_REDIS, None, "redis-0", "StatefulSet", "redis"),
    )
] + [
    {"addr": addr, "kind": kind, "name": f"{namespace}/{name}", "namespace": namespace}
    | {"selector": selector, "source": "inventory"}
    | {"ports": [{"port": port, "target": str(port), "protocol": protocol}]}
    for addr, kind, namespace, name, selector, port, protocol in (
        (_SERVICE, "service", "shop-staging", "checkout", {"app": "checkout"}, 80, "TCP"),
        (_RESOLVER, "dns", "kube-system", "kube-dns", {"k8s-app": "kube-dns"}, 53, "UDP"),
    )
]  # fmt: skip

_PRIVILEGES: list[Row] = [
    _key(0, instance, "startup")
    | {"exec_id": f"{instance}-main", "operation": "capability", "capability": number}
    | {"granted": True, "calls": calls}
    for instance in _REPLICAS
    for number, calls in ((10, 1), (7, 1), (6, 1))
] + [
    _key(0, instance, "runtime")
    | {"exec_id": f"{instance}-runc", "operation": "mount", "target": b"/proc", "granted": True}
    | {"untrusted_arg": True, "calls": 1}
    for instance in _REPLICAS
]  # fmt: skip

SHOP_TABLES: dict[str, list[Row]] = {
    "workloads": _WORKLOADS,
    "instances": _INSTANCES,
    "coverage": _COVERAGE,
    "executables": _EXECUTABLES,
    "processes": list(_processes()),
    "syscalls": _SYSCALLS,
    "errors": _ERRORS,
    "arguments": _ARGUMENTS,
    "denied": [],
    "ngrams": list({tuple(row.values()): row for row in _grams()}.values()),
    "files": _FILES,
    "network": list(_network()),
    "dns": _DNS,
    "addresses": _ADDRESSES,
    "privileges": _PRIVILEGES,
    "losses": [],
}
