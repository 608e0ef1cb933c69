"""The open window as a source of rows, and the process tree that outlives it."""

from typing import Any

import pytest

from detector.live import Live
from detector.processes import ProcessTree
from ethogram.contracts.flags import ProcessFlag
from tests.recordings import START_NS, columns_of, make_manifest

pytestmark = pytest.mark.unit

EXECUTABLES = [{"exe": 1, "path": b"/usr/sbin/nginx"}, {"exe": 2, "path": b"/bin/sh"}]


def process(exec_id: str, **columns: Any) -> dict[str, Any]:
    return {"exec_id": exec_id, "tgid": 7, "instance": 1, "exe": 1, "start": START_NS} | columns


class Eye:
    """Keeps what each window showed."""

    def __init__(self) -> None:
        self.new: list[list[str]] = []
        self.known: list[list[str]] = []
        self.changed: list[int] = []
        self.live = Live(make_manifest(), self.judge)

    def judge(self, live: Live, between: Any) -> None:
        between()
        self.new.append(live.window("processes").column("exec_id").to_pylist())
        self.known.append(sorted(live.table("processes").column("exec_id").to_pylist()))
        self.changed.append(live.changed_processes().num_rows)

    def window(self, **tables: list[dict[str, Any]]) -> None:
        for name, rows in tables.items():
            self.live.append(name, columns_of(name, rows))
        self.live.flush()


def test_a_process_is_new_once_and_known_until_a_window_after_its_end() -> None:
    eye = Eye()
    eye.window(processes=[process("a")])
    eye.window(processes=[process("b")])
    eye.window(processes=[process("a", end=START_NS + 1)])
    eye.window()
    eye.window()
    assert eye.new == [["a"], ["b"], [], [], []]
    assert eye.known == [["a"], ["a", "b"], ["a", "b"], ["a", "b"], ["b"]]
    assert eye.changed == [1, 1, 1, 0, 0]


def test_a_later_row_replaces_the_one_with_its_key() -> None:
    eye = Eye()
    instance = {"instance": 1, "workload": 1, "runtime_id": "a"}
    eye.window(workloads=[{"workload": 1, "kind": "Container", "name": "x"}], instances=[instance])
    eye.window(workloads=[{"workload": 1, "kind": "Deployment", "name": "shop"}])
    rows = eye.live.table("workloads").to_pylist()
    assert [(row["workload"], row["name"]) for row in rows] == [(1, "shop")]


def test_the_rows_of_a_window_are_gone_with_it() -> None:
    eye = Eye()
    eye.window(files=[{"path": b"/x", "workload": 1, "instance": 1}])
    assert list(eye.live.batches("files")) == []
    assert eye.live.window("files").num_rows == 0


def kept(eye: Eye, table: str, column: str) -> list[Any]:
    return eye.live.table(table).column(column).to_pylist()


def test_a_failed_exec_is_forgotten_with_its_window() -> None:
    eye = Eye()
    eye.window(processes=[process("failed", errno=2)])
    assert eye.new == [["failed"]]
    assert kept(eye, "processes", "exec_id") == []


def test_what_is_kept_does_not_break_into_ever_more_pieces() -> None:
    eye = Eye()
    for number in range(23):
        eye.window(processes=[process(f"{number}")], executables=[{"exe": number}])
    assert len(kept(eye, "processes", "exec_id")) == 23
    assert {rows.column(0).num_chunks for rows in eye.live._kept.values()} <= {0, 1}


def window(second: int, **columns: Any) -> dict[str, Any]:
    start = START_NS + second * 10**9
    return {"window": second, "start": start, "end": start + 10**9} | columns


def test_an_instance_leaves_a_while_after_it_ended_and_its_workload_with_it() -> None:
    eye = Eye()
    row = {"instance": 4, "workload": 1, "runtime_id": "a"}
    eye.window(
        workloads=[{"workload": 1, "kind": "Job", "name": "x"}],
        instances=[row],
        windows=[window(0)],
    )
    eye.window(instances=[row | {"ended": START_NS + 10**9}], windows=[window(1)])
    eye.window(windows=[window(20)])
    assert (kept(eye, "instances", "instance"), kept(eye, "workloads", "name")) == ([4], ["x"])
    eye.window(windows=[window(100)])
    assert (kept(eye, "instances", "instance"), kept(eye, "workloads", "name")) == ([], [])
    eye.window(instances=[row | {"instance": 5}], windows=[window(101)])
    assert kept(eye, "workloads", "name") == ["x"]


def test_the_times_of_windows_are_known_for_a_while() -> None:
    eye = Eye()
    for second in range(1100):
        eye.window(windows=[window(second)])
    assert kept(eye, "windows", "window") == list(range(100, 1100))


def test_rows_that_the_table_cannot_hold_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="has no column `colour`"):
        Eye().live.append("files", {"colour": ["red"]})


def tree_of(*rows: dict[str, Any], limit: int = 100) -> ProcessTree:
    tree, eye = ProcessTree(limit), Eye()
    eye.live.append("executables", columns_of("executables", EXECUTABLES))
    for row in rows:
        eye.live.append("processes", columns_of("processes", [row]))
        tree.take(eye.live.changed_processes(), eye.live.table("executables"))
        eye.live.flush()
    return tree


def test_ancestors_are_told_the_nearest_first_and_end_with_the_instance() -> None:
    tree = tree_of(
        process("runtime", instance=9),
        process("main", parent_exec_id="runtime"),
        process("worker", fork_parent_exec_id="main", flags=int(ProcessFlag.FORKED)),
        process("shell", parent_exec_id="worker", exe=2, argv=[b"sh", b"-i\n"]),
    )
    shell = tree.get("shell")
    assert shell is not None
    described = tree.described(shell)
    assert described.exe == "/bin/sh"
    assert described.argv == ("sh", "-i\\x0a")
    assert [one.exec_id for one in described.ancestry] == ["worker", "main"]


def test_a_circle_of_parents_ends() -> None:
    tree = tree_of(process("a", parent_exec_id="b"), process("b", parent_exec_id="a"))
    first = tree.get("a")
    assert first is not None
    assert [one.exec_id for one in tree.described(first).ancestry] == ["b"]


def doer(tree: ProcessTree, exe: bytes | None, *, instance: int = 1, at: int = 6) -> str | None:
    found = tree.doer(instance, exe, START_NS + at, START_NS + at)
    return found.exec_id if found else None


def test_the_newest_that_runs_it_did_it_and_a_fork_only_if_nobody_else() -> None:
    forked = process("forked", start=START_NS + 5, flags=int(ProcessFlag.FORKED))
    tree = tree_of(process("old"), process("new", start=START_NS + 1), forked)
    assert doer(tree, b"/usr/sbin/nginx") == "new"
    assert doer(tree, b"/bin/sh") is None
    assert doer(tree, None) is None
    assert doer(tree, b"/usr/sbin/nginx", instance=2) is None


def test_who_ran_when_it_was_seen_did_it() -> None:
    first = process("first", end=START_NS + 3)
    tree = tree_of(first, process("second", start=START_NS + 4, end=START_NS + 5))
    assert doer(tree, b"/usr/sbin/nginx", at=2) == "first"
    assert doer(tree, b"/usr/sbin/nginx", at=4) == "second"


def test_who_ended_before_the_window_did_nothing_in_it_and_is_still_an_ancestor() -> None:
    tree = tree_of(process("gone"), process("gone", end=START_NS + 1))
    tree.forget_ended(START_NS + 2)
    assert doer(tree, b"/usr/sbin/nginx") is None
    assert tree.get("gone") is not None


def test_a_failed_exec_is_no_process() -> None:
    assert tree_of(process("failed", errno=13)).get("failed") is None


def test_of_too_many_those_that_ended_are_forgotten_first() -> None:
    ended = [process(f"ended{number}", end=START_NS + 1) for number in range(30)]
    tree = tree_of(process("main"), *ended, limit=20)
    assert tree.get("main") is not None
    assert tree.get("ended0") is None
    assert tree.get("ended29") is not None
