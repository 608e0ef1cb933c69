"""Directories as programs fill them, run by run: what the truth about their names is known of.

Each maker returns the files of one run: path, letters of access, and where the file comes from.
Whatever a run draws by chance or takes from the clock, the next run draws anew.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from learner.generalise import Origin

__all__ = ["KINDS", "File"]

File: TypeAlias = "tuple[str, str, Origin | None]"
_CREATED = "rwc"
_LETTERS = string.ascii_letters + string.digits
_PYTHON = string.ascii_lowercase + string.digits + "_"
_BEGAN = datetime(2026, 11, 23, 14, 50, tzinfo=UTC)


def _drawn(chance: random.Random, length: int, letters: str = _LETTERS) -> str:
    return "".join(chance.choices(letters, k=length))


def _hex(chance: random.Random, length: int) -> str:
    return _drawn(chance, length, "0123456789abcdef")


def _uuid(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))


def _created(paths: list[str], origin: Origin | None = "own") -> list[File]:
    return [(path, _CREATED, origin) for path in paths]


def _tempfile(chance: random.Random, _run: int) -> list[File]:
    return _created([f"/tmp/tmp{_drawn(chance, 8, _PYTHON)}" for _ in range(12)])


def _mkstemp(chance: random.Random, _run: int) -> list[File]:
    names = [f"/var/lib/app/state.{_drawn(chance, 6)}" for _ in range(12)]
    return [*_created(names), ("/var/lib/app/state", "rwc", "own")]


def _compiler(chance: random.Random, _run: int) -> list[File]:
    return _created([f"/tmp/cc{_drawn(chance, 6)}{end}" for end in (".s", ".o", ".res") * 2])


def _sessions(chance: random.Random, _run: int) -> list[File]:
    letters = string.ascii_lowercase + string.digits
    return _created([f"/var/lib/php/sessions/sess_{_drawn(chance, 26, letters)}" for _ in range(9)])


def _postgresql(chance: random.Random, run: int) -> list[File]:
    base, first = "/var/lib/postgresql/data", 100 * run
    pid = chance.randrange(100, 30000)
    paths = [f"{base}/base/pgsql_tmp/pgsql_tmp{pid + n}.{n % 3}" for n in range(8)]
    paths += [f"{base}/pg_wal/{2**64 + first + n:024X}" for n in range(24)]
    paths += [f"{base}/base/16384/{16384 + first + 3 * n}" for n in range(24)]
    paths += [
        f"{base}/global/pg_internal.init.{pid}",
        f"/dev/shm/PostgreSQL.{chance.getrandbits(32)}",
    ]
    fixed = [f"{base}/global/pg_control", f"{base}/postmaster.pid", f"{base}/pg_wal/archive_status"]
    return _created([*paths, *fixed], None)


def _nginx(_chance: random.Random, run: int) -> list[File]:
    first = 40 * run
    paths = [f"/var/lib/nginx/body/{first + n:010}" for n in range(20)]
    for n in range(20):
        number = f"{first + n:010}"
        paths.append(f"/var/lib/nginx/proxy/{number[-1]}/{number[-3:-1]}/{number}")
    return _created([*paths, "/var/log/nginx/access.log", "/run/nginx.pid"])


def _redis(chance: random.Random, run: int) -> list[File]:
    pid = chance.randrange(10, 9999)
    paths = [f"/data/temp-{pid}.rdb", f"/data/temp-rewriteaof-bg-{pid + 1}.aof", "/data/dump.rdb"]
    paths += [f"/data/appendonlydir/appendonly.aof.{6 * run + n}.incr.aof" for n in range(1, 7)]
    return _created(paths, None)


def _java(chance: random.Random, _run: int) -> list[File]:
    pid = chance.randrange(10, 30000)
    return [
        *_created([f"/tmp/hsperfdata_app/{pid}"]),
        ("/usr/lib/jvm/lib/server/libjvm.so", "rx", None),
    ]


def _volumes(chance: random.Random, run: int) -> list[File]:
    made = (_BEGAN + timedelta(hours=7 * run)).strftime("..%Y_%m_%d_%H_%M_%S")
    secret = f"/run/secrets/kubernetes.io/serviceaccount/{made}.{chance.randrange(10**9)}"
    config = f"/etc/app/{made}.{chance.randrange(10**9)}"
    return [(f"{secret}/token", "r", None), (f"{secret}/ca.crt", "r", None),
            (f"{config}/app.yaml", "r", None)]  # fmt: skip


def _jobs(chance: random.Random, _run: int) -> list[File]:
    paths = [f"/data/jobs/{_uuid(chance)}" for _ in range(3)]
    return [*_created([f"{path}/result.json" for path in paths], None),
            *((f"{path}/order.json", "r", None) for path in paths)]  # fmt: skip


def _logs(_chance: random.Random, run: int) -> list[File]:
    days = [(_BEGAN + timedelta(days=run + n)).strftime("%Y-%m-%d") for n in range(2)]
    return [
        *_created([f"/var/log/app/app-{day}.log" for day in days], None),
        *((f"/var/log/audit/{day.replace('-', '')}.txt", "r", None) for day in days),
    ]


def _backups(_chance: random.Random, run: int) -> list[File]:
    time = _BEGAN + timedelta(hours=25 * run)
    return _created([time.strftime("/backup/orders-%Y%m%dT%H%M%SZ.sql")], None)


def _shards(_chance: random.Random, run: int) -> list[File]:
    paths = [f"/data/index/shard-{n}-of-64.db" for n in range(8 * run, 8 * run + 8)]
    paths += [f"/data/tenants/{1000 + 9 * run + n}/settings.db" for n in range(9)]
    return _created(paths, None)


def _cache(chance: random.Random, _run: int) -> list[File]:
    names = [_hex(chance, 40) for _ in range(60)]
    return _created([f"/var/cache/app/{name[:2]}/{name}.blob" for name in names])


def _engine(chance: random.Random, _run: int) -> list[File]:
    name = _hex(chance, 64)
    return [(f"/run/runc/{name}/state.json", "r", None),
            (f"/sys/fs/cgroup/kubepods/pod{_uuid(chance)}/{name}/cpu.max", "r", None)]  # fmt: skip


def _mail(chance: random.Random, run: int) -> list[File]:
    seconds = int(_BEGAN.timestamp()) + 86400 * run
    return _created(
        [
            f"/var/mail/app/new/{seconds + 60 * n}.M{chance.randrange(10**6)}P{n}.host"
            for n in range(9)
        ]
    )


def _site(_chance: random.Random, _run: int) -> list[File]:
    # Of what an image has, nothing is anybody's temporary file, however it is called.
    names = [f"/srv/site/item/{n}.html" for n in range(12)] + [
        f"/srv/site/{n:032x}.js" for n in range(9)
    ]
    libraries = [f"/usr/lib/x86_64-linux-gnu/libx-{n}.so" for n in range(9)]
    return [*((path, "r", "image") for path in names), *((path, "r", None) for path in libraries)]


KINDS: Mapping[str, Callable[[random.Random, int], list[File]]] = MappingProxyType(
    {
        "Python's tempfile": _tempfile,
        "mkstemp beside a file": _mkstemp,
        "a compiler": _compiler,
        "sessions of PHP": _sessions,
        "PostgreSQL": _postgresql,
        "nginx": _nginx,
        "Redis": _redis,
        "a JVM": _java,
        "volumes of a pod": _volumes,
        "jobs by UUID": _jobs,
        "logs by the day": _logs,
        "backups by the second": _backups,
        "numbered shards": _shards,
        "a cache by digest": _cache,
        "an engine": _engine,
        "a maildir": _mail,
        "an image": _site,
    }
)
