"""What an exec changes of a process's credentials: as whom it ran before, and as whom after."""

import os
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import EventFlag
from ethogram.contracts.flags import ProcessFlag
from tests.bpf.conftest import Kernel
from tests.passable import passable
from tests.workloads import build_known, known

pytestmark = pytest.mark.bpf

NOBODY, NET_RAW = 65534, 1 << 13
_VFS_CAP_REVISION_2, _EFFECTIVE = 0x02000000, 1


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that anybody may execute."""
    program = passable(tmp_path) / "program"
    shutil.copy(build_known(), program)
    program.chmod(0o755)
    return program


def _as_nobody(program: Path, *options: str) -> list[str]:
    dropped = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *options]
    # setpriv itself keeps its capabilities until it executes.
    return [*dropped, "--", "env", str(program), "call", "110", "1"]


def _credentials(head: np.void) -> dict[str, int]:
    assert int(head["flags"]) & EventFlag.CREDENTIALS_BEFORE
    names = ("euid", "egid", "caps_effective", "caps_permitted")
    return {name: int(head[name]) for name in (*names, *(f"{name}_before" for name in names))}


def _last(kernel: Kernel, program: Path, argv: list[str]) -> np.void:
    executed = kernel.run(argv=argv).execs[-1]
    assert executed.path == str(program)
    return executed.head


def test_a_set_id_program_gains_what_its_owner_has(kernel: Kernel, program: Path) -> None:
    program.chmod(0o6755)
    head = _last(kernel, program, _as_nobody(program))
    found = _credentials(head)
    assert (int(head["uid"]), int(head["gid"])) == (NOBODY, NOBODY)
    assert (found["euid_before"], found["euid"]) == (NOBODY, 0)
    assert (found["egid_before"], found["egid"]) == (NOBODY, 0)
    assert (found["caps_effective_before"], found["caps_permitted_before"]) == (0, 0)
    assert found["caps_effective"] == found["caps_permitted"] != 0


def test_a_file_s_capabilities_are_gained(kernel: Kernel, program: Path) -> None:
    value = struct.pack("<5I", _VFS_CAP_REVISION_2 | _EFFECTIVE, NET_RAW, 0, 0, 0)
    os.setxattr(program, "security.capability", value)
    found = _credentials(_last(kernel, program, _as_nobody(program)))
    assert (found["euid_before"], found["euid"]) == (NOBODY, NOBODY)
    assert (found["caps_effective_before"], found["caps_effective"]) == (0, NET_RAW)
    assert (found["caps_permitted_before"], found["caps_permitted"]) == (0, NET_RAW)


def test_who_may_gain_nothing_gains_nothing(kernel: Kernel, program: Path) -> None:
    program.chmod(0o6755)
    head = _last(kernel, program, _as_nobody(program, "--no-new-privs"))
    found = _credentials(head)
    assert (found["euid_before"], found["euid"], found["caps_effective"]) == (NOBODY, NOBODY, 0)
    assert int(head["flags"]) & ProcessFlag.NO_NEW_PRIVS


def test_an_exec_that_changes_nothing_has_the_same_before(kernel: Kernel) -> None:
    head = kernel.run(["exec", "/bin/true"]).execs[-1].head
    found = _credentials(head)
    for name in ("euid", "egid", "caps_effective", "caps_permitted"):
        assert found[f"{name}_before"] == found[name]


def test_a_thread_executes_with_credentials_of_its_own(kernel: Kernel) -> None:
    # The C library changes those of every thread, the call alone those of one.
    code = (
        "import ctypes, os, threading\n"
        "def act():\n"
        f"    ctypes.CDLL(None).syscall(117, {NOBODY}, {NOBODY}, {NOBODY})\n"
        "    os.execv('/bin/true', ['true'])\n"
        "threading.Thread(target=act).start()\n"
    )
    found = _credentials(kernel.run(argv=[sys.executable, "-S", "-c", code]).execs[-1].head)
    assert (found["euid_before"], found["euid"]) == (NOBODY, NOBODY)


def test_a_failed_exec_changed_nothing(kernel: Kernel) -> None:
    failed = kernel.run(["spawn-fail", "/nonexistent"]).execs[-1].head
    assert not int(failed["flags"]) & EventFlag.CREDENTIALS_BEFORE


def test_all_sets_of_capabilities_are_told(kernel: Kernel) -> None:
    sets = ["--inh-caps=-all,+net_raw", "--ambient-caps=+net_raw", "--bounding-set=-all,+net_raw"]
    head = kernel.run(argv=["setpriv", *sets, "--", *known(["call", 110, 1])]).execs[-1].head
    assert int(head["caps_inheritable"]) == NET_RAW
    assert int(head["caps_ambient"]) == NET_RAW
    assert int(head["caps_bounding"]) == NET_RAW
    assert int(head["caps_permitted"]) == NET_RAW
