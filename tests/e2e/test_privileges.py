"""Privileges that are dropped, in a process of its own each: there is no way back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
FIRST = """
import ctypes, errno, json, os, threading
from pathlib import Path
from profiler import privileges
from profiler.libbpf import library

KEPT = frozenset({"CAP_KILL", "CAP_SYS_PTRACE"})
said = {}

def status(thread="self"):
    lines = Path(f"/proc/{thread}/status").read_text().splitlines()
    return dict(line.split(":\\t", 1) for line in lines if line.startswith(("Cap", "NoNewPrivs")))

def load():  # r0 = 0; exit, as a raw tracepoint
    code = (ctypes.c_uint64 * 2)(0xb7, 0x95)
    fd = library().bpf_prog_load(17, b"nothing", b"GPL", code, ctypes.c_size_t(2), None)
    return 0 if fd >= 0 else -fd
"""
LAST = "\nprint(json.dumps(said))"


def run(source: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", FIRST + source + LAST], cwd=ROOT, text=True, check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def dropped() -> dict[str, Any]:
    return run(
        """
before = status()
said["loaded_before"] = load()
said["map"] = library().bpf_map_create(2, b"numbers", 4, 8, 1, None)
said["threads_before"] = len(os.listdir("/proc/self/task"))
said["names"] = privileges.drop(KEPT)
said["before"], said["after"] = before, status()
said["loaded_after"] = load()
room = ctypes.create_string_buffer(8)
said["read"] = library().bpf_map_lookup_elem(said["map"], bytes(4), room)
said["missing"] = privileges.missing(["CAP_BPF", "CAP_KILL", "CAP_SYS_ADMIN"])
said["beyond"] = privileges.threads_beyond(KEPT)
"""
    )


def test_what_is_left_is_what_was_to_be_kept(dropped):
    kept = f"{1 << 5 | 1 << 19:016x}"
    after = dropped["after"]
    assert (after["CapPrm"], after["CapEff"], after["CapBnd"]) == (kept, kept, kept)
    assert (after["CapInh"], after["CapAmb"]) == ("0" * 16, "0" * 16)
    assert after["NoNewPrivs"] == "1"


def test_the_names_are_those_that_were_given_up(dropped):
    gone = int(dropped["before"]["CapPrm"], 16) & ~(1 << 5 | 1 << 19)
    assert len(dropped["names"]) == gone.bit_count()
    assert {"CAP_BPF", "CAP_SYS_ADMIN", "CAP_SYS_MODULE"} <= set(dropped["names"])
    assert not {"CAP_KILL", "CAP_SYS_PTRACE"} & set(dropped["names"])
    assert dropped["missing"] == ["CAP_BPF", "CAP_SYS_ADMIN"]


def test_programs_can_no_longer_be_loaded_but_maps_still_read(dropped):
    assert dropped["loaded_before"] == 0
    assert dropped["loaded_after"] == 1  # EPERM
    assert dropped["map"] >= 0
    assert dropped["read"] == 0


def test_the_profiler_has_one_thread_when_it_drops_and_none_beyond(dropped):
    assert dropped["threads_before"] == 1
    assert dropped["beyond"] == []


def test_a_thread_that_keeps_its_own_is_named_and_nothing_called_dropped():
    said = run(
        """
done, ready = threading.Event(), threading.Event()
def wait():
    ready.set()
    done.wait()
thread = threading.Thread(target=wait)
thread.start()
ready.wait()
said["names"] = privileges.drop(KEPT)
said["beyond"], said["thread"] = privileges.threads_beyond(KEPT), thread.native_id
done.set()
thread.join()
said["at_last"] = privileges.threads_beyond(KEPT)
"""
    )
    assert said["names"] == []
    assert said["beyond"] == [said["thread"]]
    assert said["at_last"] == []


def test_a_thread_that_is_started_later_has_what_is_left():
    said = run(
        """
privileges.drop(KEPT)
def look():
    said["beyond"] = privileges.threads_beyond(KEPT)
thread = threading.Thread(target=look)
thread.start()
thread.join()
"""
    )
    assert said["beyond"] == []


def test_who_has_no_privileges_drops_none():
    said = run(
        """
os.setresuid(65534, 65534, 65534)
said["names"] = privileges.drop(KEPT)
said["after"] = status()
"""
    )
    assert said["names"] == []
    assert said["after"]["CapEff"] == "0" * 16


def test_the_environment_is_left_as_it_was():
    source = "import os; b = dict(os.environ); import profiler.journal; assert os.environ == b"
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, env={"PATH": os.environ["PATH"],
                   "OPENBLAS_NUM_THREADS": "2"}, check=True)  # fmt: skip
