"""Each indicator on rows as a recording has them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ethogram.contracts.columns import batch_of
from ethogram.contracts.flags import Access, ProcessFlag
from ethogram.contracts.tables import TABLES
from ethogram.indicators.protocol import Indicator
from ethogram.indicators.registry import indicators
from ethogram.indicators.rows import with_executables
from tests.recordings import columns_of

pytestmark = pytest.mark.unit


def table(name: str, *rows: dict[str, Any]) -> pa.Table:
    batch = batch_of(TABLES[name], columns_of(name, list(rows)))
    return pa.Table.from_batches([batch])


def completed(name: str, *rows: dict[str, Any], **executables: Any) -> pa.Table:
    """Return rows of table *name*; each may say its executable as `path` of `exe_path`."""
    paths = [row.pop("exe_path", b"/bin/true") for row in rows]
    memfds = [row.pop("exe_memfd", False) for row in rows]
    known = table(
        "executables",
        *(
            {"exe": index + 1, "path": path, "memfd": memfd}
            for index, (path, memfd) in enumerate(zip(paths, memfds, strict=True))
        ),
    )
    numbered = [row | {"exe": index + 1} for index, row in enumerate(rows)]
    return with_executables(table(name, *numbered), known)


def judged(name: str, rows: pa.Table) -> tuple[list[bool], list[bool]]:
    rule = indicators()[name]
    return rule.matches(rows).to_pylist(), rule.taints(rows).to_pylist()


@pytest.mark.parametrize("rule", indicators().values(), ids=list(indicators()))
def test_an_indicator_says_what_it_is(rule: Indicator) -> None:
    metadata = rule.metadata
    assert metadata.table in TABLES
    assert metadata.attack
    assert all(technique.version for technique in metadata.attack)
    assert metadata.title[0].isupper()
    assert not metadata.reason.endswith(".")


@pytest.mark.parametrize("rule", indicators().values(), ids=list(indicators()))
def test_an_indicator_takes_no_rows(rule: Indicator) -> None:
    none = table("executables")
    rows = with_executables(TABLES[rule.metadata.table].arrow_schema().empty_table(), none)
    assert rule.matches(rows).to_pylist() == []
    assert rule.taints(rows).to_pylist() == []


@pytest.mark.parametrize("rule", indicators().values(), ids=list(indicators()))
def test_what_taints_also_matches(rule: Indicator) -> None:
    rows = completed(
        rule.metadata.table,
        {"exe_path": b"/bin/sh"} | _bad(rule.metadata.table),
        {"exe_path": b"/usr/sbin/nginx"} | _bad(rule.metadata.table),
        {"exe_path": b"/usr/sbin/nginx"},
    )
    matches, taints = judged(rule.metadata.id, rows)
    assert matches[0]
    assert not matches[2]
    assert all(match or not taint for match, taint in zip(matches, taints, strict=True))


def _bad(name: str) -> dict[str, Any]:
    if name == "files":
        return {"path": b"/etc/shadow", "access": int(Access.READ)}
    return {"stdio": ["socket"] * 3, "flags": int(ProcessFlag.MEMFD)}


def test_a_shell_that_reads_a_socket_fires() -> None:
    socket = {"stdio": ["socket", "socket", "socket"]}
    rows = completed(
        "processes",
        {"exe_path": b"/bin/sh"} | socket,
        {"exe_path": b"/usr/bin/bash"} | socket,
        {"exe_path": b"/usr/bin/python3.11"} | socket,
        {"exe_path": b"busybox"} | socket,
        {"exe_path": b"/usr/sbin/nginx"} | socket,
        {"exe_path": b"/opt/notsh"} | socket,
        {"exe_path": b"/bin/sh/x"} | socket,
        {"exe_path": b"/bin/sh", "errno": 13} | socket,
    )
    expected = [True, True, True, True, False, False, False, False]
    assert judged("shell-on-socket", rows) == (expected, expected)


def test_a_service_of_systemd_with_its_output_on_the_journal_does_not_fire() -> None:
    rows = completed(
        "processes",
        {"exe_path": b"/bin/sh", "stdio": ["null", "socket", "socket"]},
        {"exe_path": b"/bin/sh", "stdio": []},
        {"exe_path": b"/bin/sh", "stdio": ["pipe"]},
    )
    assert judged("shell-on-socket", rows)[0] == [False, False, False]


def test_an_executable_that_no_file_holds_fires() -> None:
    rows = completed(
        "processes",
        {"flags": int(ProcessFlag.MEMFD)},
        {"flags": int(ProcessFlag.DELETED)},
        {"exe_memfd": True},
        {},
        {"flags": int(ProcessFlag.UPPER_LAYER)},
    )
    assert judged("fileless-executable", rows)[0] == [True, True, True, False, False]


def test_the_runtime_may_run_from_memory_and_a_workload_may_not() -> None:
    entered = {"exe_memfd": True, "phase": "exec", "flags": int(ProcessFlag.ENTERED)}
    first = {"exec_id": "a", "session_exec_id": "a"}
    rows = completed(
        "processes",
        {"exe_memfd": True, "phase": "runtime"},
        entered | first | {"host_namespace_bits": 1},
        entered | first,
        entered | {"exec_id": "b", "session_exec_id": "a", "host_namespace_bits": 1},
        {"exe_memfd": True, "flags": int(ProcessFlag.FORKED)},
    )
    assert judged("fileless-executable", rows)[0] == [False, False, True, True, False]


READ = {"access": int(Access.READ)}


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/shadow", b"/etc/shadow-", b"/etc/gshadow", b"/host/etc/shadow",
        b"/root/.ssh/id_ed25519", b"/etc/ssh/ssh_host_rsa_key", b"/home/x/.ssh/identity",
        b"/var/lib/kubelet/pki/kubelet.key", b"/etc/kubernetes/pki/etcd/ca.key",
        b"/etc/kubernetes/admin.conf",
    ],
)  # fmt: skip
def test_a_secret_file_fires_whoever_reads_it(path: bytes) -> None:
    rows = completed(
        "files",
        {"exe_path": b"/usr/sbin/sshd", "path": path} | READ,
        {"exe_path": b"/usr/bin/cat", "path": path} | READ,
    )
    assert judged("sensitive-file-read", rows) == ([True, True], [False, True])


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/passwd", b"/etc/shadowed", b"/etc/ssh/ssh_host_rsa_key.pub", b"/srv/shadow",
        b"/root/.ssh/id_ed25519.pub", b"/root/.ssh/known_hosts", b"/etc/kubernetes/pki/ca.crt",
        b"/etc/shadow\n/x",
    ],
)  # fmt: skip
def test_its_neighbour_does_not(path: bytes) -> None:
    rows = completed("files", {"exe_path": b"/usr/bin/cat", "path": path} | READ)
    assert judged("sensitive-file-read", rows)[0] == [False]


def test_a_token_fires_only_where_a_tool_reads_it() -> None:
    token = b"/run/secrets/kubernetes.io/serviceaccount/..2026_01_01/token"
    rows = completed(
        "files",
        {"exe_path": b"/app/server", "path": token} | READ,
        {"exe_path": b"/usr/bin/python3", "path": token} | READ,
        {"exe_path": b"/usr/bin/dash", "path": b"/var" + token} | READ,
        {"exe_path": b"/usr/bin/curl", "path": token} | READ,
    )
    assert judged("sensitive-file-read", rows)[0] == [False, False, True, True]


def test_a_secret_that_was_not_read_does_not_fire() -> None:
    rows = completed(
        "files",
        {"path": b"/etc/shadow", "access": int(Access.WRITE)},
        {"path": b"/etc/shadow", "access": int(Access.READ), "errno": 13},
        {"path": b"/etc/shadow", "access": int(Access.PATH_ONLY)},
    )
    assert judged("sensitive-file-read", rows)[0] == [False, False, False]


def test_an_executable_that_the_recording_lacks_is_no_tool() -> None:
    rows = table("files", {"exe": 7, "path": b"/etc/shadow"} | READ)
    assert judged("sensitive-file-read", with_executables(rows, table("executables"))) == (
        [True],
        [False],
    )
