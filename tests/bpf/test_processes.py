"""Execs, failed execs, forks and exits: the tree is whole and each has its own name."""

import errno
import sys
from collections import Counter
from pathlib import Path

import pytest

from ethogram.contracts.events import EventFlag, RecordKind
from ethogram.contracts.flags import ProcessFlag
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen
from tests.workloads import build_known, known

pytestmark = pytest.mark.bpf


def test_an_exec_has_its_path_and_arguments(kernel: Kernel) -> None:
    first, second = kernel.run(["spawn", "/bin/true", "one", "", "two words"]).execs
    assert first.path == str(build_known())
    assert Path(second.path).name == "true"
    assert second.argv == ["/bin/true", "one", "", "two words"]


def test_a_failed_exec_keeps_its_errno(kernel: Kernel) -> None:
    _, failed = kernel.run(["spawn-fail", "/nonexistent"]).execs
    assert (failed.path, failed.errno) == ("/nonexistent", errno.ENOENT)


def test_no_exec_is_lost_or_doubled(kernel: Kernel) -> None:
    assert len(kernel.run(["storm-exec", 230, "/bin/true"]).execs) == 231


def _heads(seen: Seen, kind: RecordKind) -> list:
    return [head for batch in seen.drained.records.get(kind, []) for head in batch.heads]


def test_a_child_names_its_parent(kernel: Kernel) -> None:
    seen = kernel.run(["spawn", "/bin/true"])
    parent, child = (one.head for one in seen.execs)
    (fork,) = _heads(seen, RecordKind.FORK)
    assert child["parent_key"] == parent["exec_key"]
    assert child["fork_parent_key"] == parent["exec_key"]
    assert child["session_key"] == parent["exec_key"] == parent["session_key"]
    assert fork["parent_key"] == parent["exec_key"]
    assert fork["exec_key"] not in (child["exec_key"], parent["exec_key"])


def test_an_exit_says_how(kernel: Kernel) -> None:
    seen = kernel.run(["fork", 1, [["exit", 7]]], ["exit", 3])
    assert sorted(int(head["exit_code"]) >> 8 for head in _heads(seen, RecordKind.EXIT)) == [3, 7]


_ENDING_AT_ONCE = """
import hashlib, os, threading
without_the_lock = ("sha256", b"", b"", 1 << 30)
for _ in range(151):
    if os.fork() == 0:
        for _ in range(2):
            threading.Thread(
                target=hashlib.pbkdf2_hmac, args=without_the_lock, daemon=True
            ).start()
        os.kill(os.getpid(), 9)
    os.wait()
"""


def test_a_process_whose_threads_all_end_at_once_ends_once(kernel: Kernel) -> None:
    seen = kernel.run(argv=[sys.executable, "-S", "-c", _ENDING_AT_ONCE])
    ends = Counter(int(head["tgid"]) for head in _heads(seen, RecordKind.EXIT))
    assert (len(ends), set(ends.values())) == (152, {1})


def test_an_exec_in_place_is_a_new_exec_of_the_same_process(kernel: Kernel) -> None:
    seen = kernel.run(["exec", "/bin/true"])
    first, second = (one.head for one in seen.execs)
    assert first["tgid"] == second["tgid"]
    assert first["exec_key"] != second["exec_key"]


def test_a_memfd_is_flagged(kernel: Kernel) -> None:
    executed = kernel.run(["memfd-exec", build_known(), "call", 110, 1]).execs[-1]
    flags = int(executed.head["flags"])
    assert flags & ProcessFlag.MEMFD
    assert flags & ProcessFlag.DELETED
    assert executed.path.startswith("memfd:")


def test_a_script_has_interpreter_and_script(kernel: Kernel, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    seen = kernel.run(["spawn", script])
    head = seen.execs[1].head
    assert int(head["flags"]) & ProcessFlag.INTERPRETED
    (batch,) = seen.drained.records[RecordKind.EXEC][-1:]
    assert str(script).encode() in batch.tails[-1]


def test_arguments_that_are_too_long_are_cut_and_flagged(kernel: Kernel) -> None:
    seen = kernel.run(argv=["/bin/true", "x" * 100_000])
    (executed,) = seen.execs
    assert int(executed.head["flags"]) & ProcessFlag.ARGV_TRUNCATED
    assert not [one for one in seen.losses if one[:2] == ("truncated", "processes")]


def test_the_first_exec_in_a_cgroup_is_its_entrypoint(kernel: Kernel) -> None:
    seen = kernel.run(argv=known(["call", 110, 23]))
    assert not int(seen.execs[0].head["flags"]) & EventFlag.SNAPSHOT
    assert set(seen.phase_of.values()) == {"runtime", "startup"}
    assert seen.calls("startup")["getppid"] == 23


def test_the_workload_is_steady_once_it_listens(kernel: Kernel) -> None:
    seen = kernel.run(["call", 110, 5], ["listen", 0, "127.0.0.1"], ["call", 110, 23])
    assert seen.calls("startup")["getppid"] == 5
    assert seen.calls("steady")["getppid"] == 23


def test_a_termination_signal_to_the_entrypoint_begins_the_shutdown(kernel: Kernel) -> None:
    seen = kernel.run(["handle", 15], ["call", 110, 5], ["raise", 15], ["call", 110, 23])
    assert seen.calls("startup")["getppid"] == 5
    assert seen.calls("shutdown")["getppid"] == 23


def test_one_that_floods_with_execs_loses_its_own_and_leaves_its_neighbour_complete(
    kernel: Kernel,
) -> None:
    code = (
        "import ctypes; execve = ctypes.CDLL(None).execve\n"
        "for _ in range(51_000): execve(b'/nonexistent', None, None)"
    )
    seen = kernel.run_each(
        [sys.executable, "-S", "-c", code], known(["storm-exec", 230, "/bin/true"])
    )
    assert len(seen.execs) == 50_000 + 231
    assert [loss[:2] for loss in seen.losses_of(0)] == [("quota", "processes")]
    assert seen.losses_of(1) == []


def test_a_signal_that_the_workload_sends_itself_and_ignores_ends_nothing(
    kernel: Kernel,
) -> None:
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "for _ in range(23): os.getppid()"
    )
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    assert seen.calls("startup")["getppid"] == 23


def test_a_script_s_path_that_is_cut_says_so(kernel: Kernel, tmp_path: Path) -> None:
    script = tmp_path / ("d" * 200) / "s" / ("f" * 100)
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    seen = kernel.run(["spawn", script])
    assert int(seen.execs[1].head["flags"]) & ProcessFlag.PATH_TRUNCATED
    assert ("truncated", "processes", 1) in seen.losses
