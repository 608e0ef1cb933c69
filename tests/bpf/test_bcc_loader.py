"""The BCC loader sees calls, execs and connections, and says what it cannot know."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.events import EventFlag, RecordKind
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from ethogram.errors import CaptureError, PreflightError
from profiler.identity.hierarchy import Hierarchy
from profiler.libbpf import library
from profiler.loaders.base import KernelConfig
from profiler.loaders.bcc import UNKNOWN, BccLoader
from profiler.loaders.bcc_host import bcc_module, kernel_source
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen
from tests.e2e.command_line import ethogram
from tests.workloads import build_known, known

pytestmark = pytest.mark.bpf

GETPPID = 110
TRACEFS = Path("/sys/kernel/tracing")


@pytest.fixture(scope="module", autouse=True)
def _tracefs() -> Iterator[None]:
    """Mount tracefs, which systemd does and a container's host may not, and leave it as it was."""
    try:
        bcc_module()
        with kernel_source():
            pass
    except PreflightError as error:
        pytest.skip(f"{error.message}; {error.hint}")
    if (TRACEFS / "events").is_dir():
        yield
        return
    subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACEFS)], check=True)
    yield
    subprocess.run(["umount", str(TRACEFS)], check=True)


def attached(tier: str = "full") -> Kernel:
    mount = Hierarchy().mount
    assert mount is not None
    loader = BccLoader(
        KernelConfig(record_by_default=False, recorder_tgid=os.getpid(), tier=tier)
    )  # fmt: skip
    loader.attach(lambda: None)
    loader.arm()
    return Kernel(loader, mount)


@pytest.fixture(scope="module")
def kernel(_tracefs: None) -> Iterator[Kernel]:
    kernel = attached()
    yield kernel
    kernel.loader.close()


def heads(seen: Seen, kind: RecordKind) -> list:
    return [head for batch in seen.drained.records.get(kind, []) for head in batch.heads]


# --- system calls ---------------------------------------------------------------------------------


def test_every_program_attaches(kernel: Kernel) -> None:
    assert {program.state for program in kernel.loader.programs} == {"attached"}


def test_twenty_three_calls_in_are_exactly_twenty_three_calls_out(kernel: Kernel) -> None:
    seen = kernel.run(["call", GETPPID, 23])
    assert seen.calls()["getppid"] == 23
    assert seen.losses == []


def test_no_call_of_many_threads_is_lost_or_doubled(kernel: Kernel) -> None:
    seen = kernel.run(["thread", 7, [["call", GETPPID, 2300]]])
    assert seen.calls()["getppid"] == 7 * 2300


def test_a_window_has_its_own_calls_alone(kernel: Kernel) -> None:
    assert kernel.run(["call", GETPPID, 23]).calls()["getppid"] == 23
    assert kernel.run(["call", GETPPID, 5]).calls()["getppid"] == 5


def test_a_call_keeps_its_own_architecture(kernel: Kernel) -> None:
    seen = kernel.run(["int80", 64, 7], ["x32", GETPPID, 5], ["call", GETPPID, 3])
    assert seen.calls(arch="i386")["getppid"] == 7
    assert seen.calls(arch="x32")["getppid"] == 5
    assert seen.calls()["getppid"] == 3


def test_a_cgroup_that_no_target_names_is_left_out(kernel: Kernel) -> None:
    kernel.loader.end_window()
    subprocess.run(known(["call", GETPPID, 23]), check=True)
    drained = kernel.loader.end_window()
    assert len(drained.calls) == 0
    assert drained.records.keys() <= {RecordKind.CGROUP}


def test_a_cgroup_that_is_silenced_counts_no_further(kernel: Kernel) -> None:
    mount = Hierarchy().mount
    assert mount is not None
    cgroup = mount / f"ethogram-test-{secrets.token_hex(4)}"
    cgroup.mkdir()
    identifier = cgroup.stat().st_ino
    join = cgroup / "cgroup.procs"

    def calls() -> int:
        subprocess.run(
            known(["call", GETPPID, 23]), preexec_fn=lambda: join.write_text("0") and None,
            check=True,
        )  # fmt: skip
        return Seen(kernel.loader.end_window()).calls()["getppid"]

    try:
        kernel.loader.set_target(identifier, is_recorded=True)
        assert calls() == 23
        kernel.loader.silence(identifier, [])
        assert calls() == 0
    finally:
        cgroup.rmdir()
        kernel.loader.forget(identifier, 0, [])


# --- processes ------------------------------------------------------------------------------------


def test_an_exec_has_its_path_and_arguments(kernel: Kernel) -> None:
    first, second = kernel.run(["spawn", "/bin/true", "one", "", "two words"]).execs
    assert first.path == str(build_known())
    assert second.path == "/bin/true"
    assert second.argv == ["/bin/true", "one", "", "two words"]


def test_arguments_are_whole_where_the_environment_is_empty(kernel: Kernel) -> None:
    (first,) = kernel.run(argv=[str(build_known()), "call", "110", "1"], env={}).execs
    assert first.argv == [str(build_known()), "call", "110", "1"]


def test_an_exec_of_a_script_has_the_interpreter_s_arguments(
    kernel: Kernel, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/true\n")
    script.chmod(0o755)
    (first,) = kernel.run(argv=[str(script), "word"]).execs
    assert first.path == str(script)
    assert first.argv == ["/bin/true", str(script), "word"]


def test_long_arguments_are_cut_and_say_so(kernel: Kernel) -> None:
    seen = kernel.run(argv=["/bin/true", "x" * 5000])
    (first,) = seen.execs
    assert int(first.head["flags"]) & ProcessFlag.ARGV_TRUNCATED
    assert int(first.head["argv_size"]) == 4095
    assert not [one for one in seen.losses if one[:2] == ("truncated", "processes")]


def test_a_failed_exec_keeps_its_errno(kernel: Kernel) -> None:
    _, failed = kernel.run(["spawn-fail", "/nonexistent"]).execs
    assert (failed.path, failed.errno) == ("/nonexistent", errno.ENOENT)


def test_no_exec_is_lost_or_doubled(kernel: Kernel) -> None:
    seen = kernel.run(["storm-exec", 230, "/bin/true"])
    assert len(seen.execs) == 231
    assert len({int(one.head["exec_key"]) for one in seen.execs}) == 231
    assert seen.losses == []


def test_a_child_names_its_parent_and_its_end(kernel: Kernel) -> None:
    seen = kernel.run(["spawn", "/bin/true"])
    parent, child = (one.head for one in seen.execs)
    (fork,) = heads(seen, RecordKind.FORK)
    assert fork["parent_key"] == parent["exec_key"]
    assert fork["tgid"] == child["tgid"]
    assert child["parent_key"] == child["fork_parent_key"] == parent["exec_key"]
    assert child["exec_key"] != fork["exec_key"]
    ends = {int(head["exec_key"]) for head in heads(seen, RecordKind.EXIT)}
    assert ends == {int(parent["exec_key"]), int(child["exec_key"])}


def test_a_thread_is_no_process(kernel: Kernel) -> None:
    seen = kernel.run(["thread", 3, [["call", GETPPID, 1]]])
    assert heads(seen, RecordKind.FORK) == []
    assert len(heads(seen, RecordKind.EXIT)) == 1


def test_one_executable_has_one_key(kernel: Kernel) -> None:
    seen = kernel.run(["spawn", "/bin/true"], ["spawn", "/bin/true"], ["spawn", "/bin/false"])
    keys = [int(one.head["exe_key"]) for one in seen.execs[1:]]
    assert keys[0] == keys[1] != keys[2]


# --- network, cgroups -----------------------------------------------------------------------------


def test_connections_and_listeners_are_the_caller_s(kernel: Kernel) -> None:
    seen = kernel.run(
        ["listen", 0], ["connect", "127.0.0.1", 9], ["connect6", "::1", 9],
        ["connect6", "::ffff:127.0.0.1", 9],
    )  # fmt: skip
    listened = [flow for flow in seen.flows if flow[0] == "listen"]
    assert [flow[1] for flow in listened] == ["0.0.0.0"]
    assert listened[0][2]
    assert [flow for flow in seen.flows if flow[0] == "out"] == [
        ("out", "0" * 31 + "1", None, 9, 1),
        ("out", "127.0.0.1", None, 9, 2),
    ]
    keys, _ = seen.drained.sets["flows"]
    assert set(keys["exe_key"].tolist()) == {int(seen.execs[0].head["exe_key"])}


def test_a_cgroup_is_told_when_it_comes_and_when_it_goes(kernel: Kernel) -> None:
    mount = Hierarchy().mount
    assert mount is not None
    kernel.loader.end_window()
    cgroup = mount / f"ethogram-test-{secrets.token_hex(4)}"
    cgroup.mkdir()
    identifier = cgroup.stat().st_ino
    cgroup.rmdir()
    batches = kernel.loader.end_window().records[RecordKind.CGROUP]
    told = [
        (bool(head["flags"] & EventFlag.REMOVED), tail[: int(head["path_size"])])
        for batch in batches
        for head, tail in zip(batch.heads, batch.tails, strict=True)
        if int(head["cgroup_id"]) == identifier
    ]
    assert told == [(False, f"/{cgroup.name}".encode()), (True, f"/{cgroup.name}".encode())]


# --- what it cannot know --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_what_is_unknown_is_a_table_or_a_column_that_may_be_null(name: str) -> None:
    table, _, column = name.partition(".")
    nullable = {one.name for one in TABLES[table].columns if one.is_nullable}
    assert not column or column in nullable


def test_sets_of_unknown_tables_are_empty_and_have_their_types(kernel: Kernel) -> None:
    sets = kernel.run(["openat", "/etc/hostname", "r"]).drained.sets
    names = {"arguments", "errors", "denials", "grams", "files", "unix_flows", "privileges"}
    assert sets.keys() == names | {"flows"}
    for name in names:
        assert len(sets[name][0]) == len(sets[name][1]) == 0
        assert "slot" in (sets[name][0].dtype.names or ())


def test_every_phase_is_unknown(kernel: Kernel) -> None:
    seen = kernel.run(["listen", 0], ["call", GETPPID, 1])
    assert set(seen.phase_of.values()) == {"unknown"}


def test_a_recording_through_it_is_null_where_it_cannot_know(tmp_path: Path) -> None:
    target = tmp_path / "recording"
    words = known(["call", GETPPID, 23], ["connect", "127.0.0.1", 9], ["openat", "/etc/hosts", "r"])
    done = ethogram("record", "--loader", "bcc", "-o", target, "--", *words)
    assert done.returncode == 0, done.stderr
    recording = Recording.open(target)
    assert recording.manifest.loader == "bcc"
    calls = {row["name"]: row["calls"] for row in recording.table("syscalls").to_pylist()}
    assert calls["getppid"] == 23
    (process,) = recording.table("processes").to_pylist()
    assert process["argv"] == [word.encode() for word in words]
    for name in UNKNOWN:
        table, _, column = name.partition(".")
        rows = recording.table(table)
        assert rows.column(column).null_count == len(rows) if column else len(rows) == 0, name
    (flow,) = recording.table("network").to_pylist()
    assert (flow["peer_addr"], flow["peer_port"]) == (bytes([127, 0, 0, 1]), 9)


# --- coming and going -----------------------------------------------------------------------------


def test_the_light_tier_has_processes_and_connections_alone() -> None:
    kernel = attached("light")
    try:
        seen = kernel.run(["call", GETPPID, 23], ["connect", "127.0.0.1", 9])
        assert len(seen.drained.calls) == 0
        assert [one.path for one in seen.execs] == [str(build_known())]
        assert seen.flows == [("out", "127.0.0.1", None, 9, 1)]
        assert {"syscalls", "processes.argv"} <= kernel.loader.unknown
    finally:
        kernel.loader.close()


def _kernel_objects() -> dict[str, str]:
    """Return what this process holds of BPF and perf events: descriptor -> its `fdinfo`."""
    held = {}
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the directory's own
            if str(path.readlink()).startswith(("anon_inode:bpf", "anon_inode:[perf")):
                held[path.name] = Path("/proc/self/fdinfo", path.name).read_text()
    return held


def _is_loaded(program_id: int) -> bool:
    descriptor = library().bpf_prog_get_fd_by_id(program_id)
    if descriptor >= 0:
        os.close(descriptor)
    return bool(descriptor >= 0)


def test_nothing_is_left_attached_after_it_closed() -> None:
    before = _kernel_objects()
    loader = BccLoader(KernelConfig(record_by_default=True, recorder_tgid=os.getpid()))
    loader.attach(lambda: None)
    loader.arm()
    held = _kernel_objects()
    programs = {
        int(line.split()[1])
        for descriptor in held.keys() - before.keys()
        for line in held[descriptor].splitlines()
        if line.startswith("prog_id:")
    }
    assert len(programs) == len(loader.programs)
    assert all(map(_is_loaded, programs))
    loader.close()
    assert _kernel_objects() == before
    # The kernel frees a program after a grace period.
    limit = time.monotonic() + 10
    while any(map(_is_loaded, programs)) and time.monotonic() < limit:
        select.select([], [], [], 0.01)
    assert not any(map(_is_loaded, programs))


def test_headers_that_do_not_fit_are_told_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "include/linux").mkdir(parents=True)
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(tmp_path))
    before = _kernel_objects()
    loader = BccLoader(KernelConfig(record_by_default=False, recorder_tgid=os.getpid()))
    with pytest.raises(CaptureError, match="did not compile") as failure:
        loader.attach(lambda: None)
    loader.close()
    assert "error" in (failure.value.log or "")
    assert "BCC_KERNEL_SOURCE" in (failure.value.hint or "")
    assert _kernel_objects() == before
