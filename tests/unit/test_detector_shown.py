"""Rows of a window say what a summary of them would, and rows like others before are not asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from detector.library import Known
from detector.live import Live
from detector.lookups import Lookups
from detector.seen import Seen
from detector.shown import one_batch, shown
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import ENUMS
from learner.behaviour import BEHAVIOURS, Behaviour
from learner.context import context_of
from learner.extract import extract
from learner.taint import Taint
from tests.baselines import make_baseline
from tests.recordings import columns_of, make_manifest, shop_recording

pytestmark = pytest.mark.unit

TABLES = ("processes", "syscalls", "files", "network", "dns", "privileges")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording.open(shop_recording(tmp_path_factory.mktemp("shown") / "rec"))


def summarized(recording: Recording, behaviour: Behaviour) -> list[tuple[Any, ...]]:
    """Return what the learner makes of a table, in its order, without what findings lack."""
    context = context_of(recording)
    rows = extract(context, Taint((), context), behaviour)
    names = ("instance_key", "phase", "dimension", "arch", "key", "exe_path", "calls")
    columns = [rows.column(name).to_pylist() for name in names]
    columns += [rows.column(name).cast(pa.int64()).to_pylist() for name in ("first", "last")]
    word, phase, arch = ENUMS["dimension"], ENUMS["phase"], ENUMS["arch"]
    return [
        (one, phase[p], word[d], None if a is None else arch[a], key, exe, calls, first, last)
        for one, p, d, a, key, exe, calls, first, last in zip(*columns, strict=True)
        if word[d] not in ("mark", "quarantine", "loss")
    ]


@pytest.mark.parametrize("behaviour", [one for one in BEHAVIOURS if one.table in TABLES],
                         ids=lambda one: one.table)  # fmt: skip
def test_rows_show_what_a_summary_of_them_has(recording: Recording, behaviour: Behaviour) -> None:
    context = context_of(recording)
    table = recording.table(behaviour.table)
    found = [
        (context.instance_keys[one.instance], one.phase, one.dimension, one.arch, one.key,
         one.exe, one.count, one.first_ns, one.last_ns)
        for one in shown(context, behaviour, one_batch(table))
    ]  # fmt: skip
    assert found
    assert sorted(found, key=repr) == sorted(summarized(recording, behaviour), key=repr)


def file_row(path: bytes, **columns: Any) -> dict[str, Any]:
    return {
        "window": 0,
        "workload": 1,
        "instance": 1,
        "exe": 0,
        "path": path,
        "access": 1,
    } | columns


class Days:
    """Windows of one instance with one baseline, and which rows of files are new in each."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.known = Known.of(Path("x.baseline.yaml"), make_baseline())
        self.live = Live(make_manifest(), self._judge)
        self.instances: list[dict[str, Any]] = [{"instance": 1, "workload": 1, "runtime_id": "a"}]
        self.found: list[tuple[int, str]] = []
        self.others: list[bytes] = []
        self.kept: tuple[str, ...] = ()
        self.executed: list[str] = []

    def _judge(self, live: Live, _between: object) -> None:
        context = context_of(live)
        others = self.seen.others(live, context, {1: self.known})
        self.seen.passed(context, self.found, self.kept)
        paths, names = (
            others[table].column(name).to_pylist() if table in others else []
            for table, name in (("files", "path"), ("processes", "exec_id"))
        )
        self.others, self.executed = paths, names

    def window(self, *rows: dict[str, Any]) -> list[bytes]:
        if self.instances:
            self.live.append("instances", columns_of("instances", self.instances))
            self.instances = []
        self._end("files", rows)
        return self.others

    def execs(self, *rows: dict[str, Any]) -> list[str]:
        """Play a window with processes; return those that are judged."""
        self._end("processes", rows)
        return self.executed

    def _end(self, table: str, rows: tuple[dict[str, Any], ...]) -> None:
        self.live.append(table, columns_of(table, list(rows)))
        self.live.flush()


def exec_row(name: str, **columns: Any) -> dict[str, Any]:
    return {
        "window": 0,
        "workload": 1,
        "instance": 1,
        "exec_id": name,
        "parent_exec_id": "first",
        "exe": 0,
        "argv": [b"sh", b"-c", b"true"],
        "stdio": ["file", "file", "file"],
        "start": 1,
    } | columns


def test_a_process_like_one_before_is_not_judged_again() -> None:
    days = Days()
    assert days.execs(exec_row("a")) == ["a"]
    own = {"start": 5, "end": 9, "tgid": 7, "exit_code": 1}
    assert days.execs(exec_row("b", **own), exec_row("c", argv=[b"sh"])) == ["c"]
    assert days.execs(exec_row("d", uid=1), exec_row("e", argv=[b"sh"])) == ["d"]


def test_who_started_a_process_decides_and_whether_it_is_the_first() -> None:
    days = Days()
    days.live.append("executables", columns_of("executables", [{"exe": 1, "path": b"/bin/nginx"}]))
    assert days.execs(exec_row("nginx", exe=1)) == ["nginx"]
    assert days.execs(exec_row("a", parent_exec_id="nginx")) == ["a"]
    assert days.execs(exec_row("b", parent_exec_id="nginx")) == []
    assert days.execs(exec_row("c"), exec_row("d", session_exec_id="d")) == ["c", "d"]


def test_who_writes_is_judged_beside_a_shell_that_takes_commands_from_a_pipe() -> None:
    days = Days()
    writes, reads = {"stdio": ["file", "pipe", "file"]}, {"stdio": ["pipe", "file", "file"]}
    assert days.execs(exec_row("a", **writes)) == ["a"]
    assert days.execs(exec_row("b", **writes)) == []
    assert days.execs(exec_row("c", **writes), exec_row("d", **reads)) == ["c", "d"]
    assert days.execs(exec_row("e", **writes), exec_row("f", **reads)) == []
    days.kept = ("g",)
    assert days.execs(exec_row("g", argv=[b"sh"], **reads)) == ["g"]
    assert days.execs(exec_row("h", argv=[b"sh"], **reads), exec_row("i", **writes)) == ["h", "i"]


def test_a_process_that_others_may_belong_to_is_judged_each_time() -> None:
    days = Days()
    days.kept = ("a", "b")
    assert days.execs(exec_row("a")) == ["a"]
    days.kept = ()
    assert days.execs(exec_row("b")) == ["b"]
    days.found = [(1, "execs")]
    assert days.execs(exec_row("c", uid=1)) == ["c"]
    assert days.execs(exec_row("d", uid=1)) == ["d"]


def test_a_row_like_one_before_is_not_judged_again() -> None:
    days = Days()
    assert days.window(file_row(b"/a"), file_row(b"/b")) == [b"/a", b"/b"]
    assert days.window(file_row(b"/b", window=1, calls=7), file_row(b"/c")) == [b"/c"]
    assert days.window(file_row(b"/b", access=2)) == [b"/b"]


def test_what_was_found_is_judged_each_time() -> None:
    days = Days()
    days.found = [(1, "files")]
    assert days.window(file_row(b"/a")) == [b"/a"]
    assert days.window(file_row(b"/a")) == [b"/a"]


def test_another_baseline_and_a_changed_instance_are_asked_anew() -> None:
    days = Days()
    days.window(file_row(b"/a"))
    days.known = Known.of(Path("y.baseline.yaml"), make_baseline())
    assert days.window(file_row(b"/a")) == [b"/a"]
    assert days.window(file_row(b"/a")) == []
    days.instances = [{"instance": 1, "workload": 1, "runtime_id": "a", "runtime": "runc"}]
    assert days.window(file_row(b"/a")) == [b"/a"]


def test_what_an_unknown_executable_did_is_judged_each_time() -> None:
    days = Days()
    assert days.window(file_row(b"/a", exe=7)) == [b"/a"]
    assert days.window(file_row(b"/a", exe=7)) == [b"/a"]


def test_lookups_are_kept_until_what_rows_refer_to_changes() -> None:
    lookups, contexts = Lookups(), []
    live = Live(make_manifest(), lambda live, _: contexts.append(lookups.of(live)))
    live.append("executables", columns_of("executables", [{"exe": 1, "path": b"/a"}]))
    live.flush()
    live.append("processes", columns_of("processes", [{"exec_id": "a", "instance": 1, "exe": 1}]))
    live.flush()
    live.append("executables", columns_of("executables", [{"exe": 2, "path": b"/b"}]))
    live.flush()
    assert contexts[0].path_of_exe is contexts[1].path_of_exe
    assert contexts[1].processes[0].to_pylist() == ["a"]
    assert contexts[2].paths == (b"/a", b"/b")
