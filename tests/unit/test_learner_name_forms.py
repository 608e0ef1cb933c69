"""What says by its form alone that the next run has another."""

import pytest

from ethogram.contracts.baseline import AnyValue, Dimension, FileValue
from learner.generalise import Origin, widened

pytestmark = pytest.mark.unit

UUID = "550e8400-e29b-41d4-a716-446655440000"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def pattern(path: str, access: str = "r", origin: Origin | None = None) -> str:
    (value,) = widened([("files", FileValue(path=path, access=access))], [origin])
    assert isinstance(value, FileValue)
    return value.path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/data/jobs/{UUID}/result.json", "/data/jobs/*-*-*-*-*/result.json"),
        (f"/data/jobs/{UUID}.json", "/data/jobs/*-*-*-*-*.json"),
        (f"/var/lib/kubelet/pods/{UUID}/volumes/x", "/var/lib/kubelet/pods/*-*-*-*-*/volumes/x"),
        (f"/sys/fs/cgroup/kubepods-pod{UUID.replace('-', '_')}.slice/cpu.max",
         "/sys/fs/cgroup/kubepods-pod*_*_*_*_*.slice/cpu.max"),
        (f"/var/cache/app/{SHA1}/blob", "/var/cache/app/*/blob"),
        (f"/var/cache/app/obj-{SHA1}", "/var/cache/app/obj-*"),
        ("/var/log/app/2026-11-23.log", "/var/log/app/20*-*-*.log"),
        ("/var/log/app/app_20261123.log", "/var/log/app/app_20*.log"),
        ("/var/log/app/2026-11-23T10:11:12.345Z.log", "/var/log/app/20*-*-*T*:*:*.*Z.log"),
        ("/proc/17/task/18/fd/3", "/proc/*/task/*/fd/*"),
        ("/dev/pts/7", "/dev/pts/*"),
        ("/etc/app/..2026_11_23_10_11_12.1234567/app.conf", "/etc/app/..*/app.conf"),
        ("/run/secrets/kubernetes.io/serviceaccount/..2026_11_23_10_11_12.1234567/token",
         "/run/secrets/kubernetes.io/serviceaccount/..*/token"),
    ],
)  # fmt: skip
def test_a_form_that_says_all_needs_no_second_name(path: str, expected: str) -> None:
    assert pattern(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/tmp/tmpx1_9abcd", "/tmp/tmp*"),
        ("/srv/app/tmpx1_9abcd.json", "/srv/app/tmp*.json"),
        ("/tmp/tmp.aB3dE6gH9j", "/tmp/tmp.*"),
        ("/tmp/ccAbXy12.s", "/tmp/cc*.s"),
        ("/var/lib/postgresql/base/pgsql_tmp/pgsql_tmp411.0",
         "/var/lib/postgresql/base/pgsql_tmp/pgsql_tmp*.*"),
        ("/data/pg_wal/00000001000000020000004F", "/data/pg_wal/00000001*"),
        ("/data/pg_wal/archive_status/00000001000000020000004F.done",
         "/data/pg_wal/archive_status/00000001*.done"),
        ("/data/base/5/16389", "/data/base/5/1*"),
        ("/data/base/5/24577_fsm", "/data/base/5/2*_fsm"),
        ("/data/base/16384/16389.12", "/data/base/16384/1*.*"),
        ("/d/pg_tblspc/16388/PG_15_202209061/5/16390", "/d/pg_tblspc/16388/PG_15_202209061/5/1*"),
        ("/data/base/5/2619", "/data/base/5/2619"),
        ("/data/other/5/16389", "/data/other/5/16389"),
        ("/data/aof/appendonly.aof.3.incr.aof", "/data/aof/appendonly.aof.*.incr.aof"),
        ("/data/aof/appendonly.aof.3.base.rdb", "/data/aof/appendonly.aof.*.base.rdb"),
        ("/tmp/backup-1795476728.sql.gz", "/tmp/backup-1*.sql.gz"),
        ("/tmp/part_1795476728123/x", "/tmp/part_1*/x"),
        ("/tmp/1795476728.M1P1.host", "/tmp/1795476728.M1P1.host"),
        ("/dev/shm/PostgreSQL.1234567", "/dev/shm/PostgreSQL.*"),
        ("/data/temp-17.rdb", "/data/temp-*.rdb"),
        ("/data/temp-rewriteaof-bg-17.aof", "/data/temp-rewriteaof-bg-*.aof"),
        ("/backup/dump-20261123T101112Z.sql", "/backup/dump-20*T*Z.sql"),
    ],
)  # fmt: skip
def test_what_known_programs_create_for_a_while_needs_none_either(path: str, expected: str) -> None:
    assert pattern(path, "rwc") == expected
    assert pattern(path, "r") in (path, expected if "/20" in expected else path)


@pytest.mark.parametrize(
    "path",
    [
        f"/usr/lib/app/{UUID}.so",
        f"/opt/app/{UUID}/x",
        f"/etc/app/{UUID}.conf",
        f"/var/lib/app/secrets/{UUID}",
        f"/home/app/.ssh/{SHA1}",
        f"/var/cache/app/{SHA1}",  # all that is left would be the directory
        f"/var/cache/app/{SHA1}.bin",
        f"/var/cache/app/{'1' * 40}/x",
        "/data/2026-11-23/x",  # no log, and only read
        "/var/log/app/2026-13-23.log",
        "/var/log/app/v20261123x",
        f"/tmp/{'e' * 64}/x",
        "/data/backup-1795476728.sql",  # no log, and only read
        "/var/log/app/17954767281.log",  # too long for seconds, too short for more
    ],
)
def test_everything_else_that_is_read_keeps_its_name(path: str) -> None:
    assert pattern(path) == path


def test_a_file_of_the_image_keeps_its_name_whoever_opened_it() -> None:
    path = f"/srv/app/{UUID}.html"
    assert pattern(path, "r", "image") == path
    seen: list[tuple[Dimension, AnyValue]] = [
        ("files", FileValue(path=path, access="r")),
        ("files", FileValue(path=path, access="rwc")),
    ]
    assert list(widened(seen, ["image", "own"])) == [value for _, value in seen]


def test_what_the_container_wrote_is_its_own_wherever_it_lies() -> None:
    path = f"/opt/app/cache/{UUID}.html"
    assert pattern(path, "r", "own") == "/opt/app/cache/*-*-*-*-*.html"
    assert pattern(path, "r") == path
