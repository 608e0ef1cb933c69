"""What a finding says of a process: its ancestors, where its tree came in, and as whom it ran."""

from __future__ import annotations

from typing import Any

import pytest

from detector.live import Live
from detector.processes import ProcessTree
from ethogram.contracts.finding_parts import FindingProcess
from ethogram.contracts.flags import ProcessFlag
from tests.recordings import START_NS, columns_of, make_manifest

pytestmark = pytest.mark.unit

UNSET = 4294967295
EXECUTABLES = [
    {"exe": 1, "path": b"/usr/sbin/sshd", "dev": 43, "ino": 9001, "nlink": 1, "upper": False,
     "ctime": START_NS, "sha256": "a" * 64},
    {"exe": 2, "path": b"/bin/sh\n", "nlink": 0, "memfd": True, "upper": True},
]  # fmt: skip


def row(exec_id: str, parent: str | None = None, **columns: Any) -> dict[str, Any]:
    number = int(exec_id.strip("abcdefghijklmnopqrstuvwxyz") or 7)
    return {
        "exec_id": exec_id, "parent_exec_id": parent, "fork_parent_exec_id": parent,
        "session_exec_id": "e1", "tgid": number, "ns_tgid": number, "instance": 1, "exe": 2,
        "start": START_NS, "uid": 0, "gid": 0, "loginuid": UNSET, "sessionid": UNSET,
    } | columns  # fmt: skip


def tree_of(*rows: dict[str, Any]) -> ProcessTree:
    tree = ProcessTree()
    live = Live(make_manifest(), lambda *_: None)
    live.append("executables", columns_of("executables", EXECUTABLES))
    live.append("processes", columns_of("processes", rows))
    tree.take(live.changed_processes(), live.table("executables"))
    return tree


def told(tree: ProcessTree, exec_id: str, kind: str = "Deployment") -> FindingProcess:
    process = tree.get(exec_id)
    assert process is not None
    return tree.described(process, kind)


def ancestors(process: FindingProcess) -> list[str]:
    return [one.exec_id for one in process.ancestry]


def test_a_daemon_keeps_the_ancestors_that_it_left_by_forking_twice() -> None:
    tree = tree_of(
        row("e1"),
        row("e2", "e1"),
        row("e3", "e2", flags=int(ProcessFlag.FORKED), end=START_NS + 5),
        # Its parent had ended when it executed: process 1 had become it.
        row("e4", "e1", fork_parent_exec_id="e3"),
    )
    process = told(tree, "e4")
    assert ancestors(process) == ["e3", "e2", "e1"]
    assert [one.is_fork for one in process.ancestry] == [True, None, None]
    assert (process.parent_exec_id, process.fork_parent_exec_id) == ("e1", "e3")


def test_who_forked_it_and_was_not_recorded_leaves_its_parent() -> None:
    tree = tree_of(row("e1"), row("e4", "e1", fork_parent_exec_id="lost"))
    assert ancestors(told(tree, "e4")) == ["e1"]


def test_a_chain_that_is_too_long_says_how_much_is_left_out() -> None:
    rows = [row("e1"), *(row(f"e{number}", f"e{number - 1}") for number in range(2, 60))]
    process = told(tree_of(*rows), "e59")
    assert len(process.ancestry) == 32
    assert process.more_ancestors == 58 - 32
    assert process.entry is not None
    assert (process.entry.type, process.entry.exec_id) == ("service", "e1")


def test_what_entered_a_container_is_told_with_where_it_came_in() -> None:
    entered = {"session_exec_id": "e5", "flags": int(ProcessFlag.ENTERED)}
    tree = tree_of(
        row("e1", exe=1),
        row("e5", None, **entered, stdio=["tty", "tty", "tty"], sid=5),
        row("e6", "e5", **entered, sid=5),
    )
    process = told(tree, "e6")
    assert process.entry is not None
    assert (process.entry.type, process.entry.exec_id, process.entry.pid) == ("exec", "e5", 5)
    assert ancestors(process) == ["e5"]
    assert process.session_leader is not None
    assert process.session_leader.exec_id == "e5"
    assert told(tree, "e5").has_tty
    root = tree.root(1)
    assert root is not None
    assert (root.exec_id, root.exe) == ("e1", "/usr/sbin/sshd")


def test_a_login_is_where_its_session_began() -> None:
    login = {"loginuid": 1000, "sessionid": 3}
    tree = tree_of(
        row("e1", exe=1), row("e2", "e1", exe=1), row("e3", "e2", **login), row("e4", "e3", **login)
    )
    process = told(tree, "e4")
    assert process.entry is not None
    assert (process.entry.type, process.entry.exec_id) == ("login", "e3")
    assert (process.loginuid, process.sessionid) == (1000, 3)
    daemon = told(tree, "e2")
    assert daemon.loginuid is None
    assert daemon.entry is not None
    assert daemon.entry.type == "service"


def test_a_container_that_somebody_logged_in_has_started_is_no_login() -> None:
    login = {"loginuid": 1000, "sessionid": 3}
    tree = tree_of(row("e1", **login), row("e2", "e1", **login))
    entry = told(tree, "e2", "Container").entry
    assert entry is not None
    assert entry.type == "service"


@pytest.mark.parametrize(("kind", "word"), [("Unit", "unit"), ("Command", "command")])
def test_outside_of_containers_the_entry_is_named_by_what_it_is(kind: str, word: str) -> None:
    entry = told(tree_of(row("e1"), row("e2", "e1")), "e2", kind).entry
    assert entry is not None
    assert (entry.type, entry.exec_id) == (word, "e1")


def test_all_that_is_known_of_it_is_told_and_what_it_chose_is_escaped() -> None:
    tree = tree_of(
        row("e1", exe=1, uid=33, euid=0, gid=33, egid=34, pgid=1, sid=1, cwd=b"/a\x1b",
            script=b"/x.sh", interpreter=b"/bin/sh", stdio=["null", "socket", "pipe"],
            end=START_NS + 10**9, exit_code=3, observed="snapshot"),
    )  # fmt: skip
    process = told(tree, "e1")
    assert (process.uid, process.euid, process.gid, process.egid) == (33, 0, 33, 34)
    assert (process.cwd, process.script, process.interpreter) == ("/a\\x1b", "/x.sh", "/bin/sh")
    assert (process.stdio, process.has_tty) == (("null", "socket", "pipe"), False)
    assert (process.exit_code, process.was_there_before) == (3, True)
    assert process.file is not None
    assert (process.file.dev, process.file.ino, process.file.in_image) == (43, 9001, True)
    assert process.file.sha256 == "a" * 64


def test_a_deleted_executable_in_memory_says_so() -> None:
    file = told(tree_of(row("e1")), "e1").file
    assert file is not None
    assert (file.nlink, file.memfd, file.in_image) == (0, True, False)


def test_one_that_ended_is_still_told_with_its_end() -> None:
    tree = tree_of(row("e1"), row("e2", "e1"))
    live = Live(make_manifest(), lambda *_: None)
    live.append("processes", columns_of("processes", [row("e2", "e1", end=START_NS + 1, signal=9)]))
    tree.take(live.changed_processes(), live.table("executables"))
    tree.forget_ended(START_NS + 10**9)
    process = told(tree, "e2")
    assert (process.signal, process.ended is None) == (9, False)


def test_where_several_ran_the_same_it_says_of_how_many_one_did_it() -> None:
    tree = tree_of(row("e1", exe=1), row("e2", "e1"), row("e3", "e1"),
                   row("e4", "e1", start=START_NS + 50))  # fmt: skip
    process = tree.doer(1, b"/bin/sh\n", START_NS + 1, START_NS + 2)
    assert process is not None
    assert tree.candidates(process, START_NS + 1, START_NS + 2) == 2


def test_what_the_runtime_forks_into_a_container_is_not_its_first_process() -> None:
    runc = {"session_exec_id": "runc", "flags": int(ProcessFlag.FORKED)}
    tree = tree_of(row("e9", "runc", **runc), row("e1"), row("e2", "e1"))
    root = tree.root(1)
    assert root is not None
    assert root.exec_id == "e1"
    assert told(tree, "e9").entry is None
