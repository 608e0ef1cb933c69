"""What records of processes say: a batch of them to one tuple each, and columns of `processes`.

Reading a field of one record takes as long as reading it of a hundred: each is read of all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ethogram.contracts.events import STRUCTS, EventFlag
from profiler.exec_ids import ExecIds
from profiler.ring import Records

__all__ = [
    "BEFORE",
    "COLUMNS",
    "FACTS",
    "NOTHING_BEFORE",
    "UNKNOWN",
    "Ended",
    "Executed",
    "Forked",
    "Own",
    "ended",
    "executed",
    "forked",
]

_NUMBERS = (
    "uid", "euid", "gid", "egid", "loginuid", "sessionid", "pgid", "sid", "ns_pgid", "ns_sid",
    "caps_effective", "caps_permitted", "caps_inheritable", "caps_ambient", "caps_bounding",
    "seccomp_mode", "seccomp_filters", "host_namespace_bits",
)  # fmt: skip
# What a process had until it executed, which no fork has, and what a fork has like its parent.
BEFORE = ("euid_before", "egid_before", "caps_effective_before", "caps_permitted_before")
FACTS = (*_NUMBERS, "stdio", "stdio_peers", "namespaces")
NOTHING_BEFORE: tuple[int | None, ...] = (None,) * len(BEFORE)
# Of a process of which nothing was recorded.
UNKNOWN: tuple[Any, ...] = tuple(0 if name in ("uid", "gid") else None for name in FACTS)
_SIZES = ("path_size", "cwd_size", "interpreter_size", "script_size", "peers_size", "argv_size")
_PEER = STRUCTS["stdio_peer"].dtype
_ADDRESS_SIZE = {2: 4, 10: 16}  # AF_INET, AF_INET6
_SIGNAL, _STATUS = 0x7F, 8  # bits of an exit code


class Own(NamedTuple):
    """The columns that a row has of its own from its beginning."""

    window: int
    exec_id: str
    parent_exec_id: str | None
    fork_parent_exec_id: str | None
    session_exec_id: str | None
    tgid: int
    ns_tgid: int
    exe: int
    start: int
    interpreter: bytes | None = None
    script: bytes | None = None
    cwd: bytes | None = None
    argv: Sequence[bytes] = ()
    flags: int = 0
    errno: int | None = None
    observed: str = "live"


COLUMNS = (*Own._fields, "end", "exit_code", "signal", *BEFORE, *FACTS)


class Executed(NamedTuple):
    """An exec, done or failed: its `process_record`."""

    head: np.void
    slot: int
    key: int
    tgid: int
    ns_tgid: int
    exec_id: str
    parent: str | None
    fork_parent: str | None
    session: str | None
    flags: int
    errno: int
    exe_key: int
    time_ns: int
    before: tuple[int | None, ...]
    facts: tuple[Any, ...]
    # path, working directory, interpreter, script, peers and arguments
    parts: tuple[bytes, bytes, bytes, bytes, bytes, bytes]


class Forked(NamedTuple):
    """A fork: its `fork_record`."""

    slot: int
    key: int
    tgid: int
    ns_tgid: int
    exec_id: str
    parent_key: int
    parent: str | None
    session: str | None
    exe_key: int
    time_ns: int


class Ended(NamedTuple):
    """The end of a process: its `exit_record`. Exit code or signal, the other is None."""

    key: int
    tgid: int
    time_ns: int
    exit_code: int | None
    signal: int | None


def executed(records: Records, ids: ExecIds) -> Iterator[Executed]:
    """Yield what each of *records* says."""
    heads = records.heads
    parts = list(_parts(heads, records.tails))
    yield from map(Executed._make, zip(
        heads,
        *_numbers(heads, "slot", "exec_key", "tgid", "ns_tgid"),
        ids.of_all(heads["exec_key"]),
        *(ids.maybe_all(heads[name]) for name in ("parent_key", "fork_parent_key", "session_key")),
        *_numbers(heads, "flags", "errnum", "exe_key", "time_ns"),
        _before(heads),
        _facts(heads, parts),
        parts,
        strict=True,
    ))  # fmt: skip


def forked(records: Records, ids: ExecIds) -> Iterator[Forked]:
    """Yield what each of *records* says."""
    heads = records.heads
    yield from map(Forked._make, zip(
        *_numbers(heads, "slot", "exec_key", "tgid", "ns_tgid"),
        ids.of_all(heads["exec_key"]),
        *_numbers(heads, "parent_key"),
        *(ids.maybe_all(heads[name]) for name in ("parent_key", "session_key")),
        *_numbers(heads, "exe_key", "time_ns"),
        strict=True,
    ))  # fmt: skip


def ended(records: Records, _: ExecIds) -> Iterator[Ended]:
    """Yield what each of *records* says."""
    numbers = _numbers(records.heads, "exec_key", "tgid", "time_ns", "exit_code")
    for key, tgid, time_ns, code in zip(*numbers, strict=True):
        if signal := code & _SIGNAL:
            yield Ended(key, tgid, time_ns, None, signal)
        else:
            yield Ended(key, tgid, time_ns, code >> _STATUS & 0xFF, None)


def _numbers(heads: np.ndarray, *names: str) -> Iterator[list[int]]:
    return (heads[name].tolist() for name in names)


def _parts(heads: np.ndarray, tails: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    sizes = np.stack([heads[name] for name in _SIZES], axis=1, dtype=np.int64)
    for tail, (a, b, c, d, e, f) in zip(tails, sizes.cumsum(axis=1).tolist(), strict=True):
        yield tail[:a], tail[a:b], tail[b:c], tail[c:d], tail[d:e], tail[e:f]


def _before(heads: np.ndarray) -> list[tuple[int | None, ...]]:
    known = (heads["flags"] & EventFlag.CREDENTIALS_BEFORE != 0).tolist()
    rows = zip(known, *_numbers(heads, *BEFORE), strict=True)
    return [tuple(row) if is_known else NOTHING_BEFORE for is_known, *row in rows]


def _facts(heads: np.ndarray, parts: Sequence[tuple[bytes, ...]]) -> list[tuple[Any, ...]]:
    peers = [list(_peers(part[4])) for part in parts]
    lists = heads["stdio"].tolist(), peers, heads["namespaces"].tolist()
    return list(zip(*_numbers(heads, *_NUMBERS), *lists, strict=True))


def _peers(raw: bytes) -> Iterator[dict[str, Any]]:
    position = 0
    while position + _PEER.itemsize <= len(raw):
        peer = np.frombuffer(raw, _PEER, 1, position)[0]
        position += _PEER.itemsize
        path = raw[position : position + int(peer["path_size"])]
        position += len(path)
        size = _ADDRESS_SIZE.get(int(peer["family"]))
        local = peer["local_addr"].tobytes()[:size] if size else None
        other = peer["peer_addr"].tobytes()[:size] if size and peer["peer_port"] else None
        yield {
            "fd": int(peer["fd"]),
            "family": int(peer["family"]),
            "type": int(peer["type"]),
            "local_addr": local,
            "local_port": int(peer["local_port"]) or None,
            "peer_addr": other,
            "peer_port": int(peer["peer_port"]) or None,
            # An abstract name begins with a NUL; that at the end of a path is none of it.
            "unix_path": (path if path[:1] == b"\0" else path.rstrip(b"\0")) or None,
        }
