"""Rows completed with what other tables say of them."""

from __future__ import annotations

import pytest

from ethogram.contracts.tables import TABLES
from ethogram.indicators.rows import completed, refused_operations
from tests.unit.indicators.judging import CONTAINER, UNIT, UNKNOWN, seen, table

pytestmark = pytest.mark.unit


def test_a_row_knows_its_executable() -> None:
    rows = seen("files", {"exe_path": b"/bin/a", "exe_upper": True}, {"exe_path": b"/bin/b"})
    assert rows.column("exe_path").to_pylist() == [b"/bin/a", b"/bin/b"]
    assert rows.column("exe_upper").to_pylist() == [True, None]
    assert rows.column("exe_memfd").to_pylist() == [False, False]


def test_an_executable_that_the_recording_lacks_is_null() -> None:
    huge = table("files", {"exe": 2**32 - 1}, {"exe": 0})
    rows = completed(huge, table("executables"), table("instances"))
    for name in ("exe_path", "exe_upper", "exe_memfd"):
        assert rows.column(name).to_pylist() == [None, None]


def test_a_process_knows_what_started_it() -> None:
    executables = table(
        "executables", {"exe": 1, "path": b"/sbin/init"}, {"exe": 2, "path": b"/bin/sh"}
    )
    rows = table(
        "processes",
        {"exec_id": "a", "exe": 1},
        {"exec_id": "b", "exe": 2, "parent_exec_id": "a"},
        {"exec_id": "c", "exe": 2, "parent_exec_id": "gone"},
    )
    found = completed(rows, executables, table("instances"))
    assert found.column("parent_path").to_pylist() == [None, b"/sbin/init", None]
    before = table("processes", {"exec_id": "gone", "exe": 1})
    found = completed(rows, executables, table("instances"), before)
    assert found.column("parent_path").to_pylist() == [None, None, b"/sbin/init"]


def test_a_privilege_knows_the_executable_of_its_process() -> None:
    row = {"operation": "mount", "exe_path": b"/bin/mount", "exec_id": "a"}
    assert seen("privileges", row).column("exe_path").to_pylist() == [b"/bin/mount"]
    alone = completed(
        table("privileges", {"exec_id": "a"}), table("executables"), table("instances")
    )
    assert alone.column("exe_path").to_pylist() == [None]


def test_a_row_knows_what_its_instance_shares_with_the_host() -> None:
    rows = seen("files", *({"instance": number} for number in (CONTAINER, UNIT, UNKNOWN, 9)))
    assert rows.column("instance_namespace_bits").to_pylist() == [0b1010_0000, 0xFF, None, None]
    assert rows.column("instance_is_container").to_pylist() == [True, False, True, None]


def test_a_container_is_known_by_its_runtime_its_id_or_what_it_shares() -> None:
    unit = {"runtime_id": "d" * 32}
    instances = [
        unit | {"runtime": "runc"},
        {"runtime_id": "p0d/" + "a" * 64},
        unit | {"host_namespaces": ["net", "time"]},
        unit | {"host_namespaces": ["pid", "net", "uts", "ipc", "user", "cgroup", "time"]},
        unit | {"host_namespaces": []},
        unit,
    ]
    numbered = [row | {"instance": number} for number, row in enumerate(instances)]
    rows = table("files", *({"instance": number} for number in range(len(instances))))
    found = completed(rows, table("executables"), table("instances", *numbered))
    expected = [True, True, True, False, False, False]
    assert found.column("instance_is_container").to_pylist() == expected


def test_nothing_is_added_that_was_there() -> None:
    rows = seen("dns", {"qname": b"x"})
    names = [column.name for column in TABLES["dns"].columns]
    assert rows.column_names[: len(names)] == names


def test_a_call_that_a_filter_refused_is_an_operation_that_failed() -> None:
    call = {"exec_id": "a", "action": "errno", "errno": 1, "calls": 3}
    denied = table(
        "denied",
        call | {"nr": 165},
        call | {"nr": 175, "action": "kill", "errno": None},
        call | {"nr": 40, "arch": "aarch64"},
        call | {"nr": 1},
        call | {"nr": 4_000_000_000},
    )
    rows = refused_operations(denied)
    assert rows.schema.equals(TABLES["privileges"].arrow_schema())
    wanted = [("mount", 1, 3), ("load_module", None, 3), ("mount", 1, 3)]
    columns = (rows.column(name).to_pylist() for name in ("operation", "errno", "calls"))
    assert list(zip(*columns, strict=True)) == wanted
    assert rows.column("granted").to_pylist() == [False] * 3
    assert rows.column("exec_id").to_pylist() == ["a"] * 3


def test_a_call_that_a_filter_does_not_know_is_no_operation() -> None:
    clone3, clone = 435, 56
    denied = table(
        "denied",
        {"nr": clone3, "action": "errno", "errno": 38},
        {"nr": clone, "action": "errno", "errno": 1},
    )
    assert refused_operations(denied).column("operation").to_pylist() == ["clone_namespace"]


def test_no_refused_call_is_no_operation() -> None:
    assert refused_operations(table("denied")).num_rows == 0
