"""Which process is which: its name is its own, and its ancestry stays, whatever becomes of it."""

import errno
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ethogram.contracts.events import EventFlag, RecordKind
from profiler.clock import BootClock
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from profiler.processes import ExecIds, Executables, Processes
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen
from tests.workloads import known

pytestmark = pytest.mark.bpf


def _heads(seen: Seen, kind: RecordKind) -> list[np.void]:
    return [head for batch in seen.drained.records.get(kind, []) for head in batch.heads]


def _python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


class _Anything:
    """A registry in which every slot is wanted."""

    class _Slots:
        def get(self, number: int) -> Any:
            return self

        verdict, workload, number, phase = "wanted", 0, 0, 3

        @property
        def instance(self) -> Any:
            return self

    slots = _Slots()


def _rows(seen: Seen) -> list[dict[str, Any]]:
    """Return the rows of `processes` that the window makes."""
    clock = BootClock(0)
    processes = Processes(
        _Anything(),  # type: ignore[arg-type]
        Executables(clock),
        ExecIds("host", "boot"),
        clock,
        redact=lambda argv: (list(argv), 0),
    )
    kinds = (RecordKind.EXEC, RecordKind.EXEC_FAILED, RecordKind.FORK, RecordKind.EXIT)
    records = [(kind, batch) for kind in kinds for batch in seen.drained.records.get(kind, [])]
    processes.take(records, 0)
    _, columns = processes.take_rows()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


# --- threads -------------------------------------------------------------------------------------


_EXEC_BY_THREAD = """
import os, threading
threading.Thread(target=lambda: os.execv("/bin/true", ["true"])).start()
threading.Event().wait()
"""


def test_a_thread_that_executes_takes_its_process_s_place(kernel: Kernel) -> None:
    seen = kernel.run(argv=_python(_EXEC_BY_THREAD))
    first, second = (one.head for one in seen.execs)
    assert first["tgid"] == second["tgid"]
    assert first["session_key"] == second["session_key"]
    (ended,) = _heads(seen, RecordKind.EXIT)
    assert (ended["exec_key"], ended["exit_code"]) == (second["exec_key"], 0)
    before, after = _rows(seen)
    assert (before["end"], before["exit_code"], before["signal"]) == (after["start"], None, None)


_LEADER_LEAVES = """
import ctypes, os, threading
def last():
    while os.path.exists(f"/proc/self/task/{os.getpid()}/cwd"): pass
    pid = os.fork()
    if not pid: os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)
    os._exit(5)
threading.Thread(target=last).start()
ctypes.CDLL(None).syscall(60, 0)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of exit is x86's")
def test_a_process_ends_with_its_last_thread(kernel: Kernel) -> None:
    seen = kernel.run(argv=_python(_LEADER_LEAVES))
    python, true = (one.head for one in seen.execs)
    ends = {int(head["exec_key"]): head for head in _heads(seen, RecordKind.EXIT)}
    assert int(ends[int(python["exec_key"])]["exit_code"]) >> 8 == 5
    assert ends[int(python["exec_key"])]["time_ns"] > true["time_ns"]
    assert true["fork_parent_key"] == python["exec_key"]


# --- execs in a row ------------------------------------------------------------------------------


def test_execs_in_place_have_names_of_their_own(kernel: Kernel) -> None:
    seen = kernel.run(
        argv=["/usr/bin/env", "/usr/bin/env", "/usr/bin/env", *known(["call", 110, 1])]
    )
    heads = [one.head for one in seen.execs]
    assert len({int(head["exec_key"]) for head in heads}) == 4
    assert len({int(head["tgid"]) for head in heads}) == 1
    rows = _rows(seen)
    assert [row["end"] for row in rows[:3]] == [row["start"] for row in rows[1:]]


def test_a_child_of_vfork_names_its_parent(kernel: Kernel) -> None:
    seen = kernel.run(["vfork", "/bin/true"])
    parent, child = (one.head for one in seen.execs)
    assert child["parent_key"] == child["fork_parent_key"] == parent["exec_key"]
    assert len(_heads(seen, RecordKind.FORK)) == 1


_REUSED = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def child(wanted):
    room = (ctypes.c_int * 1)(wanted)
    # struct clone_args: flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid
    # set_tid_size cgroup
    given = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(room), 1, 0)
    pid = libc.syscall(435, given, 88)
    if pid == 0: os.execv("/bin/true", ["true", str(wanted)])
    if pid < 0: return False
    os.waitpid(pid, 0)
    return True
for _ in range(50):
    pid = os.fork()
    if not pid: os._exit(0)
    os.waitpid(pid, 0)
    if child(pid) and child(pid): break
"""


def test_two_processes_with_one_number_have_two_names(kernel: Kernel) -> None:
    seen = kernel.run(argv=_python(_REUSED))
    first, second = (one.head for one in seen.execs[-2:])
    assert first["tgid"] == second["tgid"]
    assert first["exec_key"] != second["exec_key"]
    assert first["fork_parent_key"] == second["fork_parent_key"]
    rows = [row for row in _rows(seen) if row["tgid"] == int(first["tgid"]) and row["argv"][1:]]
    assert len({row["exec_id"] for row in rows}) == len(rows)
    assert all(row["exit_code"] == 0 for row in rows)


# --- ancestry ------------------------------------------------------------------------------------


_DAEMON = """
import ctypes, os
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) # PR_SET_CHILD_SUBREAPER
top = os.getpid()
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        while os.getppid() != top: pass
        os.execv("/bin/true", ["true"])
    os._exit(3)
os.wait(), os.wait()
"""


def test_who_forked_it_stays_known_when_another_takes_it_over(kernel: Kernel) -> None:
    seen = kernel.run(argv=_python(_DAEMON))
    top, daemon = (one.head for one in seen.execs)
    between = next(h for h in _heads(seen, RecordKind.FORK) if h["parent_key"] == top["exec_key"])
    assert daemon["parent_key"] == top["exec_key"]
    assert daemon["fork_parent_key"] == between["exec_key"]
    assert daemon["session_key"] == top["exec_key"]
    by_id = {row["exec_id"]: row for row in _rows(seen)}
    last = next(row for row in by_id.values() if row["argv"] == [b"true"])
    forked = by_id[last["fork_parent_exec_id"]]
    assert forked["exit_code"] == 3
    assert by_id[forked["fork_parent_exec_id"]]["exec_id"] == last["parent_exec_id"]


_FORKED_BEFORE_IT_EXECUTED = """
import os
if os.fork() == 0:
    if os.fork() == 0: os.execv("/bin/true", ["true"])
    os.wait()
    os.execv("/bin/true", ["true", "too"])
os.wait()
"""


def test_a_fork_that_has_children_is_a_row_though_it_executes(kernel: Kernel) -> None:
    rows = _rows(kernel.run(argv=_python(_FORKED_BEFORE_IT_EXECUTED)))
    named = {row["exec_id"] for row in rows}
    child = next(row for row in rows if row["argv"] == [b"true"])
    assert {child["fork_parent_exec_id"], child["parent_exec_id"]} <= named
    too = next(row for row in rows if row["argv"] == [b"true", b"too"])
    forked = next(row for row in rows if row["exec_id"] == child["fork_parent_exec_id"])
    assert (forked["tgid"], forked["end"]) == (too["tgid"], too["start"])


_FAMILY = """
import os, subprocess, sys
sys.stdin.readline()
child = subprocess.Popen(["sh", "-c", "read line; exec sleep 1000"], stdin=subprocess.PIPE)
print(os.getpid(), child.pid, flush=True)
sys.stdin.readline()
child.kill()
"""


def test_what_was_there_before_has_its_ancestry(kernel: Kernel) -> None:
    del kernel  # its programs must not see this one: another loader looks at what already runs
    mount = Hierarchy().mount
    assert mount is not None
    cgroup = mount / f"ethogram-test-{secrets.token_hex(4)}"
    cgroup.mkdir()
    process = subprocess.Popen(
        _python(_FAMILY), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    loader = CoreLoader(KernelConfig(record_by_default=False, recorder_tgid=os.getpid()))
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        (cgroup / "cgroup.procs").write_text(f"{process.pid}")
        print(flush=True, file=process.stdin)
        parent, child = map(int, process.stdout.readline().split())
        loader.attach(lambda: loader.set_target(cgroup.stat().st_ino, is_recorded=True))
        loader.arm()
        seen = Seen(loader.end_window())
    finally:
        loader.close()
        process.communicate("\n", timeout=60)
        cgroup.rmdir()
    heads = {int(one.head["tgid"]): one.head for one in seen.execs}
    assert heads.keys() == {parent, child}
    assert all(int(head["flags"]) & EventFlag.SNAPSHOT for head in heads.values())
    assert heads[child]["parent_key"] == heads[parent]["exec_key"]
    assert heads[child]["fork_parent_key"] == 0
    assert (int(heads[child]["pgid"]), int(heads[child]["sid"])) == (os.getpgid(0), os.getsid(0))


# --- what failed ---------------------------------------------------------------------------------


def test_a_failed_exec_says_where_it_was_asked_for(kernel: Kernel, tmp_path: Path) -> None:
    failed = kernel.run(["chdir", str(tmp_path)], ["spawn-fail", "./absent"]).execs[-1]
    assert (failed.path, failed.errno) == ("./absent", errno.ENOENT)
    size = int(failed.head["path_size"])
    cwd = failed.tail[size : size + int(failed.head["cwd_size"])]
    assert cwd.decode() == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "flags", "path"),  # 0x1000 is AT_EMPTY_PATH
    [("absent", 0, "{0}/absent"), ("", 0x1000, "{0}"), ("/absent", 0, "/absent")],
)
def test_a_failed_exec_in_a_directory_has_its_path(
    kernel: Kernel, tmp_path: Path, name: str, flags: int, path: str
) -> None:
    code = (
        f"import ctypes, os; fd = os.open({str(tmp_path)!r}, os.O_PATH)\n"
        f"ctypes.CDLL(None).execveat(fd, {name.encode()!r}, None, None, {flags})"
    )
    failed = kernel.run(argv=_python(code)).execs[-1]
    assert failed.path == path.format(tmp_path)
    assert failed.errno == (errno.EACCES if flags else errno.ENOENT)


_EXEC_BY_INT_80 = """
import ctypes, mmap
room = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
# push rbx; mov ebx, edi; xor ecx, ecx; xor edx, edx; mov eax, 11; int 0x80; pop rbx; ret
code = bytes.fromhex("53 89fb 31c9 31d2 b80b000000 cd80 5b c3")
room[: len(code)] = code
room[256:264] = b"/absent\\0"
at = ctypes.addressof(ctypes.c_char.from_buffer(room))
ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint)(at)(at + 256)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is x86's")
def test_a_failed_exec_by_another_table_is_one_too(kernel: Kernel) -> None:
    failed = kernel.run(argv=_python(_EXEC_BY_INT_80)).execs[-1]
    assert (failed.path, failed.errno) == ("/absent", errno.ENOENT)
