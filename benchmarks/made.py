"""Makes a recording of any size from a seed: many workloads with replicas, over a month.

The rows are what a recorder would write, in its tables, types and files; `make` says what of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ethogram.contracts.columns import batch_of
from ethogram.contracts.manifest import Clock, DataFile, Manifest, write_manifest
from ethogram.contracts.tables import ENUMS, TABLES

__all__ = ["Shape", "make"]

Columns = dict[str, Any]

_WINDOW_MS, _WINDOW_NS = 5000, 5 * 10**9
_BEGAN_NS = 1_767_225_600 * 10**9
_GROUP_ROWS = 1 << 18
_CALLS, _CALLS_A_WINDOW, _ALWAYS = 60, 12, 8
_FILES_A_WINDOW, _BASE_FILES, _NEW_SHARE = 4, 200, 0.02
_EXES = 5
_GRAMS = 400
_ADDRESSES = 50
_STARTUP, _STEADY = (ENUMS["phase"].index(name) for name in ("startup", "steady"))
_OUT, _IN = (ENUMS["direction"].index(name) for name in ("out", "in"))
_CAPABILITY = ENUMS["operation"].index("capability")


@dataclass(frozen=True, slots=True)
class Shape:
    """How much is made: about *rows* rows of *workloads* with *replicas* each, over *days*."""

    rows: int
    workloads: int = 200
    replicas: int = 3
    days: int = 30
    seed: int = 7

    @property
    def instances(self) -> int:
        return self.workloads * self.replicas

    @property
    def windows_a_day(self) -> int:
        """In how many windows each instance did something: each takes 20 rows an instance."""
        return max(2, round(self.rows / 20 / self.instances / self.days))


def make(path: Path, shape: Shape) -> int:
    """Write the recording of *shape* at *path*; return how many rows it has.

    60 % system calls, 20 % files, of which 2 % were never seen before each day and the others are
    drawn by Zipf's law, 10 % network, 10 % the rest. Half of the new files are temporary ones that
    the workload creates, half are read and have names of their own.
    """
    path.mkdir(mode=0o700)
    made = _Made(shape)
    files = [_written(path, name, 0, [columns]) for name, columns in made.fixed().items()]
    for day in range(shape.days):
        tables = made.day(day)
        files += [_written(path, name, day, [columns]) for name, columns in tables.items()]
    manifest = Manifest.model_validate(
        {
            "recording_id": f"MADE-{shape.rows}-{shape.seed}",
            "host_id": "0" * 32,
            "boot_id": "0" * 32,
            "started": datetime.fromtimestamp(_BEGAN_NS // 10**9, UTC),
            "ended": datetime.fromtimestamp(_BEGAN_NS // 10**9 + 86400 * shape.days, UTC),
            "clean_end": True,
            "window_ms": _WINDOW_MS,
            "kernel": "6.1.0",
            "arch": "x86_64",
            "loader": "core",
            "clock": Clock(utc_offset_ns=0, source="boottime"),
            "windows": shape.windows_a_day * shape.days,
            "files": tuple(files),
        }
    )
    write_manifest(path, manifest)
    return sum(file.rows for file in files)


def _written(path: Path, table: str, part: int, batches: list[Columns]) -> DataFile:
    """Write one file of *table* as the recorder does, and return how the manifest lists it."""
    rows = pa.Table.from_batches([batch_of(TABLES[table], columns) for columns in batches])
    file = path / f"{table}-{part:05d}.parquet"
    pq.write_table(rows, file, compression="zstd", row_group_size=_GROUP_ROWS)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    span: dict[str, int] = {}
    if "window" in rows.column_names and rows.num_rows and len(TABLES[table].key) != 1:
        windows = rows.column("window").to_numpy()
        span = {"first_window": int(windows.min()), "last_window": int(windows.max())}
    return DataFile(
        path=file.name,
        table=table,
        rows=rows.num_rows,
        sha256=digest,
        size_bytes=file.stat().st_size,
        **span,
    )


class _Made:
    """The rows of one day after the other; *known* are the files that each workload has."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.random = np.random.default_rng(shape.seed)
        self.known = np.full(shape.workloads, _BASE_FILES)
        self.calls = np.argsort(self.random.random((shape.workloads, 300)), axis=1)[:, :_CALLS]
        self.stride = 86400 * 1000 // _WINDOW_MS // shape.windows_a_day

    def fixed(self) -> dict[str, Columns]:
        """Return the tables that name what the others number."""
        shape = self.shape
        workload, instance = np.arange(shape.workloads), np.arange(shape.instances)
        exe = np.arange(1, shape.workloads * _EXES + 1)
        return {
            "workloads": {
                "workload": workload,
                "cluster": ["prod"] * shape.workloads,
                "namespace": [f"team-{number % 20}" for number in workload],
                "kind": ["Deployment"] * shape.workloads,
                "name": [f"service-{number}" for number in workload],
                "container": ["app"] * shape.workloads,
                "container_kind": ["main"] * shape.workloads,
                "image": [f"registry.example/service-{number}:1" for number in workload],
                "image_digest": [f"sha256:{number:064x}" for number in workload],
                "labels": [{"app": f"service-{number}"} for number in workload],
                "selector": [{"app": f"service-{number}"} for number in workload],
                "source": ["cri"] * shape.workloads,
                "state": ["resolved"] * shape.workloads,
            },
            "instances": {
                "instance": instance,
                "workload": instance // shape.replicas,
                "runtime_id": [f"{number:064x}" for number in instance],
                "cgroup_id": instance + 1000,
                "started": np.full(shape.instances, _BEGAN_NS),
                "runtime": ["runc"] * shape.instances,
                "seccomp_mode": np.zeros(shape.instances, np.uint8),
                "no_new_privs": [True] * shape.instances,
                "caps_bounding": np.zeros(shape.instances, np.uint64),
                "observed": ["live"] * shape.instances,
            },
            "executables": {
                "exe": exe,
                "path": [
                    b"/usr/bin/service-%d-%d" % divmod(number - 1, _EXES) for number in exe.tolist()
                ],
                "upper": [False] * len(exe),
            },
        }

    def day(self, day: int) -> dict[str, Columns]:
        """Return what was recorded on *day*."""
        windows = np.arange(self.shape.windows_a_day) + day * self.shape.windows_a_day
        tables = dict(self._every_window(windows))
        tables |= {name: made for name, made in self._now_and_then(windows) if made is not None}
        return tables

    def _keys(self, windows: np.ndarray, each: int = 1) -> Columns:
        """Return the key columns of *each* rows for every instance in every one of *windows*."""
        shape = self.shape
        instance = np.tile(np.repeat(np.arange(shape.instances), each), len(windows))
        position = np.repeat(windows, shape.instances * each)
        return {
            "window": position * self.stride,
            "workload": instance // shape.replicas,
            "instance": instance,
            "phase": np.where(position == 0, _STARTUP, _STEADY),
        }

    def _every_window(self, windows: np.ndarray) -> Iterator[tuple[str, Columns]]:
        shape, random = self.shape, self.random
        number = windows * self.stride
        start = _BEGAN_NS + number * _WINDOW_NS
        yield "windows", {"window": number, "start": start, "end": start + _WINDOW_NS}
        keys = self._keys(windows)
        rows = len(keys["window"])
        yield (
            "coverage",
            keys
            | {
                "observed_ns": np.full(rows, _WINDOW_NS, np.uint64),
                "calls": np.full(rows, 500, np.uint64),
                "execs": np.zeros(rows, np.uint64),
                "opens": np.full(rows, _FILES_A_WINDOW, np.uint64),
                "connects": np.ones(rows, np.uint64),
                "state": np.zeros(rows, np.int8),
            },
        )
        drawn = random.integers(0, _CALLS - _ALWAYS, rows)
        some = (drawn[:, None] + 13 * np.arange(_CALLS_A_WINDOW - _ALWAYS)) % (_CALLS - _ALWAYS)
        common = np.broadcast_to(np.arange(_ALWAYS), (rows, _ALWAYS))
        which = np.concatenate([common, some + _ALWAYS], axis=1).ravel()
        keys = self._keys(windows, _CALLS_A_WINDOW)
        yield (
            "syscalls",
            keys
            | {
                "arch": np.zeros(len(which), np.int8),
                "nr": self.calls[keys["workload"], which],
                "calls": random.integers(1, 1000, len(which)).astype(np.uint64),
            },
        )
        yield "files", self._files(self._keys(windows, _FILES_A_WINDOW))
        yield "network", self._network(self._keys(windows, 2))
        assert shape.rows

    def _files(self, keys: Columns) -> Columns:
        """Return opens: each instance four different files a window, some of them new."""
        random, workload = self.random, keys["workload"]
        rows = len(workload)
        draw = np.exp(random.random(rows) * np.log(self.known[workload])).astype(np.int64) - 1
        slot = np.tile(np.arange(_FILES_A_WINDOW), rows // _FILES_A_WINDOW)
        file = np.minimum(draw // _FILES_A_WINDOW * _FILES_A_WINDOW, _last(self.known)[workload])
        file += slot
        new = np.flatnonzero(random.random(rows) < _NEW_SHARE)
        order = new[np.argsort(workload[new], kind="stable")]
        added = np.bincount(workload[new], minlength=self.shape.workloads)
        rank = np.arange(len(order)) - np.repeat(np.cumsum(added) - added, added)
        file[order] = self.known[workload[order]] + rank
        self.known = self.known + added
        codes, distinct = pd.factorize(workload * (1 << 32) + file)
        paths = [_path(int(pair) >> 32, int(pair) & 0xFFFFFFFF) for pair in distinct]
        is_temporary = (file >= _BASE_FILES) & (file % 2 == 0)
        first = _BEGAN_NS + keys["window"] * _WINDOW_NS
        return keys | {
            "exe": workload * _EXES + 1 + file % _EXES,
            "path": pa.DictionaryArray.from_arrays(codes, pa.array(paths, pa.binary())),
            "dev": np.ones(rows, np.uint64),
            "ino": (workload * 10_000_000 + file).astype(np.uint64),
            "access": np.where(is_temporary, 0b1011, 0b1),
            "calls": random.integers(1, 20, rows).astype(np.uint64),
            "in_image": np.where(file < _BASE_FILES, 0, 1),
            "truncated": np.zeros(rows, bool),
            "first": first,
            "last": first + _WINDOW_NS // 2,
        }

    def _network(self, keys: Columns) -> Columns:
        """Return one peer that is connected to and one that comes, an instance and window."""
        random, rows = self.random, len(keys["window"])
        is_out = np.arange(rows) % 2 == 0
        peer = np.exp(random.random(rows) * np.log(_ADDRESSES)).astype(np.int64)
        addresses = pa.array([bytes([10, 0, 0, number]) for number in range(_ADDRESSES + 1)])
        first = _BEGAN_NS + keys["window"] * _WINDOW_NS
        return keys | {
            "exe": keys["workload"] * _EXES + 1,
            "direction": np.where(is_out, _OUT, _IN),
            "family": np.full(rows, 2),
            "type": np.ones(rows, np.int64),
            "protocol": np.full(rows, 6),
            "peer_addr": pa.DictionaryArray.from_arrays(peer, addresses),
            "local_port": pa.array(np.full(rows, 8080, np.uint16), mask=is_out),
            "peer_port": pa.array(np.where(peer % 2, 443, 5432).astype(np.uint16), mask=~is_out),
            "connections": np.ones(rows, np.uint64),
            "first": first,
            "last": first + _WINDOW_NS // 2,
        }

    def _now_and_then(self, windows: np.ndarray) -> Iterator[tuple[str, Columns | None]]:
        random = self.random
        for name, every, remainder in (
            ("errors", 2, 0),
            ("ngrams", 5, 0),
            ("dns", 5, 1),
            ("privileges", 20, 2),
            ("processes", 20, 2),
        ):
            chosen = windows[windows % every == remainder % every]
            if name == "processes" and windows[0] == 0:
                chosen = np.unique(np.append(chosen, 0))
            if not len(chosen):
                continue
            keys = self._keys(chosen)
            rows = len(keys["window"])
            ones = np.ones(rows, np.uint64)
            match name:
                case "errors":
                    nr = self.calls[keys["workload"], random.integers(0, 8, rows)]
                    yield name, keys | {"arch": np.zeros(rows, np.int8), "nr": nr,
                                        "errno": np.full(rows, 11), "calls": ones}  # fmt: skip
                case "ngrams":
                    seed = keys["workload"] * _GRAMS + random.integers(0, _GRAMS, rows)
                    gram = (seed[:, None] * 2654435761 >> np.arange(6) * 3) % 300
                    yield name, keys | {"arch": np.zeros(rows, np.int8),
                                        "gram": gram.astype("<u2"), "calls": ones}  # fmt: skip
                case "dns":
                    names = pa.array([b"db-%d.example" % number for number in range(40)])
                    yield (
                        name,
                        keys
                        | {
                            "exe": keys["workload"] * _EXES + 1,
                            "qname": pa.DictionaryArray.from_arrays(
                                random.integers(0, 40, rows), names
                            ),
                            "qtype": np.ones(rows, np.int64),
                            "rcode": np.zeros(rows, np.int64),
                            "answers": [[b"\x0a\0\0\1"]] * rows,
                            "ttl": np.full(rows, 30),
                            "resolver": [b"\x0a\0\0\2"] * rows,
                            "trusted": np.ones(rows, bool),
                        },
                    )
                case "privileges":
                    yield (
                        name,
                        keys
                        | {
                            "exec_id": _exec_ids(keys),
                            "operation": np.full(rows, _CAPABILITY),
                            "capability": np.full(rows, 10),
                            "granted": np.ones(rows, bool),
                            "untrusted_arg": np.zeros(rows, bool),
                            "calls": ones,
                        },
                    )
                case "processes":
                    yield name, self._processes(keys)

    def _processes(self, keys: Columns) -> Columns:
        rows = len(keys["window"])
        start = _BEGAN_NS + keys["window"] * _WINDOW_NS
        is_first = keys["window"] == 0
        return keys | {
            "exec_id": _exec_ids(keys),
            "tgid": np.arange(rows) % 30000 + 2,
            "exe": keys["workload"] * _EXES + 1 + np.where(is_first, 0, keys["window"] % _EXES),
            "argv": [[b"service", b"--run"]] * rows,
            "flags": np.zeros(rows, np.int64),
            "uid": np.full(rows, 1000),
            "gid": np.full(rows, 1000),
            "start": start,
            "end": [
                None if mask else end
                for mask, end in zip(is_first, (start + _WINDOW_NS // 2).tolist(), strict=True)
            ],
            "exit_code": pa.array(np.zeros(rows, np.int32), mask=is_first),
            "observed": ["live"] * rows,
        }


def _last(known: np.ndarray) -> np.ndarray:
    """Return the first file of the last whole set of four that each workload knows."""
    last: np.ndarray = (known // _FILES_A_WINDOW - 1) * _FILES_A_WINDOW
    return last


def _exec_ids(keys: Columns) -> list[str]:
    pairs = zip(keys["instance"].tolist(), keys["window"].tolist(), strict=True)
    return [f"{instance:08x}{window:016x}" for instance, window in pairs]


def _path(workload: int, file: int) -> bytes:
    """Return the path of a file of one workload."""
    if file < _BASE_FILES:
        return b"/usr/share/service/%d/part-%s.dat" % (workload, _word(file))
    if file % 2:
        return b"/srv/data/%s/%s.json" % (_word(file % 50), _word(file))
    return b"/var/lib/service/spool/job-%s.tmp" % _hex(workload, file)


def _word(number: int) -> bytes:
    """Return letters that stand for *number*, as no program would draw them."""
    letters = b"abcdefghijklmnopqrstuvwxyz"
    word = b""
    while number >= 0:
        word = bytes([letters[number % 26]]) + word
        number = number // 26 - 1
    return b"item" + word


def _hex(workload: int, file: int) -> bytes:
    return hashlib.blake2b(b"%d/%d" % (workload, file), digest_size=6).hexdigest().encode()
