"""A command recorded by the command line: what coverage and the light tier say of it."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dns.message
import dns.rrset
import pytest

from ethogram.contracts.baseline import load_baselines
from ethogram.contracts.recording import Recording
from profiler.identity.hierarchy import unified_mount
from profiler.libbpf import Object, library
from profiler.loaders.core import object_path
from profiler.loaders.optional import OPTIONAL_PROGRAMS
from tests.e2e.command_line import ethogram
from tests.workloads import known

pytestmark = pytest.mark.e2e

BPF_CGROUP_INET4_CONNECT = 10
IOCTL, I386_IOCTL, FIONREAD = 16, 54, 0x541B


def recorded(tmp_path: Path, *options: str) -> Recording:
    words = known(["call", 110, 23], ["storm-exec", 22, "/bin/true"], ["open", "/etc/passwd", "r"])
    done = ethogram("record", "-o", tmp_path / "rec", *options, "--", *words)
    assert done.returncode == 0, done.stderr
    return Recording.open(tmp_path / "rec")


def test_arguments_are_of_the_calls_that_were_counted(tmp_path: Path) -> None:
    words = known(["call", IOCTL, 23, 0, FIONREAD], ["int80", I386_IOCTL, 2, 0, FIONREAD])
    done = ethogram("record", "-o", tmp_path / "rec", "--", *words)
    assert done.returncode == 0, done.stderr
    recording = Recording.open(tmp_path / "rec")
    rows = [row for row in recording.table("arguments").to_pylist() if row["phase"] == "startup"]
    assert {(row["arch"], row["nr"], row["value"]): row["calls"] for row in rows} == {
        ("x86_64", IOCTL, FIONREAD): 23, ("i386", I386_IOCTL, None): 2,
    }  # fmt: skip
    assert recording.manifest.arguments is True


def test_coverage_counts_what_the_tables_hold(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    (row,) = (row for row in recording.table("coverage").to_pylist() if row["phase"] == "startup")
    calls = recording.table("syscalls").to_pylist()
    assert row["calls"] == sum(one["calls"] for one in calls if one["phase"] == "startup")
    assert row["execs"] == 23
    assert row["opens"] == sum(
        one["calls"] for one in recording.table("files").to_pylist() if one["errno"] is None
    )
    assert row["state"] == "complete"


def test_the_light_tier_counts_execs_and_says_what_it_cannot_know(tmp_path: Path) -> None:
    recording = recorded(tmp_path, "--tier", "light")
    (row,) = recording.table("coverage").to_pylist()
    assert (row["execs"], row["calls"], row["opens"]) == (23, None, None)
    assert recording.table("syscalls").num_rows == 0
    assert recording.table("arguments").num_rows == 0
    assert recording.manifest.arguments is None


def test_calls_alone_are_counted_and_nothing_of_their_results(tmp_path: Path) -> None:
    recording = recorded(tmp_path, "--tier", "calls")
    (row,) = (row for row in recording.table("coverage").to_pylist() if row["phase"] == "startup")
    assert (row["execs"], row["opens"]) == (23, None)
    rows = [one for one in recording.table("syscalls").to_pylist() if one["phase"] == "startup"]
    calls = {one["name"]: one["calls"] for one in rows}
    assert row["calls"] == sum(calls.values())
    assert (calls["getppid"], calls["execve"]) == (23, 22)
    assert recording.table("ngrams").num_rows
    empty = ("errors", "files", "privileges")
    assert [name for name in empty if recording.table(name).num_rows] == []
    assert recording.manifest.file_changes is None
    assert recording.manifest.arguments is True


LEFT_OUT = {
    "calls": "files, capabilities and operations",
    "light": "system calls, files, capabilities and operations",
}


@pytest.mark.parametrize("tier", LEFT_OUT)
def test_what_a_tier_does_not_look_at_is_nowhere_taken_for_undone(
    tier: str, tmp_path: Path
) -> None:
    recorded(tmp_path, "--tier", tier)
    directory = tmp_path / "baselines"
    assert f"not looked at: {LEFT_OUT[tier]}" in ethogram("show", tmp_path / "rec").stdout
    done = ethogram("learn", "--allow", "thin", tmp_path / "rec", "-o", directory)
    ((file, baseline),) = load_baselines(directory)
    assert baseline.observation.state == "partial", done.stderr
    unknown = baseline.observation.not_observed or ()
    assert {"files", "capabilities", "operations"} <= set(unknown)
    assert set(unknown).isdisjoint(baseline.coverage)
    assert f"not looked at: {LEFT_OUT[tier]}" in ethogram("show", file).stdout
    words = ("--to", "seccomp", "--allow", "thin", "-o", tmp_path / "policies")
    done = ethogram("export", directory, *words)
    assert done.returncode == (6 if tier == "light" else 0), done.stderr
    assert ("without a look at system calls" in done.stderr) is (tier == "light")
    assert (tmp_path / "policies").exists() is (tier == "calls")
    # What the baseline knows nothing of does not stray, and who does not look says so.
    words = known(["call", 110, 23], ["storm-exec", 22, "/bin/true"], ["open", "/etc/shadow", "r"])
    for options in ([], ["--tier", tier]):
        found = tmp_path / f"findings-{len(options)}"
        done = ethogram("watch", "--baseline", directory, "--format", "jsonl", *options, "--",
                        *words)  # fmt: skip
        found.write_text(done.stdout)
        assert done.returncode == 0, done.stderr
        assert "deviation-files" not in done.stdout
        assert (f"`--tier {tier}` {LEFT_OUT[tier]} are not watched" in done.stderr) is bool(options)


CLIENT = """
import socket, sys
import dns.message
asked = dns.message.make_query("shop.test", "A").to_wire()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
    resolver.settimeout(10)
    resolver.sendto(asked, ("127.0.0.1", 53))
    resolver.recv(512)
socket.create_connection(("127.0.0.9", int(sys.argv[1])), timeout=10).close()
"""


def test_a_peer_has_the_name_that_the_workload_asked_for(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver,
        socket.create_server(("127.0.0.9", 0)) as shop,
    ):
        resolver.bind(("127.0.0.1", 53))
        answering = threading.Thread(target=answer_once, args=(resolver,))
        answering.start()
        port = shop.getsockname()[1]
        words = [sys.executable, "-c", CLIENT, str(port)]
        done = ethogram("record", "-o", tmp_path / "rec", "--", *words)
        answering.join()
    assert "the command exited with status 0" in done.stderr
    recording = Recording.open(tmp_path / "rec")
    (reply,) = recording.table("dns").to_pylist()
    assert (reply["qname"], reply["qtype"], reply["rcode"]) == (b"shop.test", 1, 0)
    assert reply["answers"] == [bytes([127, 0, 0, 9])]
    assert reply["resolver"] == bytes([127, 0, 0, 1])
    peers = {row["peer_port"]: row for row in recording.table("network").to_pylist()}
    assert peers[port]["name"] == "shop.test"
    # It answers, but no resolv.conf of the command names it, unless this host's own does.
    is_configured = b"nameserver 127.0.0.1\n" in Path("/etc/resolv.conf").read_bytes()
    assert peers[port]["name_trust"] == ("resolver" if is_configured else "untrusted")
    assert reply["trusted"] is is_configured


def answer_once(resolver: socket.socket) -> None:
    resolver.settimeout(30)
    asked, client = resolver.recvfrom(512)
    query = dns.message.from_wire(asked)
    reply = dns.message.make_response(query)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "127.0.0.9"))
    resolver.sendto(reply.to_wire(), client)


OPENER = """
import os, time
end, count = time.monotonic() + 4, 0
while time.monotonic() < end:
    count += 1
    try:
        os.open(f"/nonexistent/{count % 20_000}", os.O_RDONLY)
    except FileNotFoundError:
        pass
"""


def test_what_a_window_holds_was_seen_within_it_and_stands_there_once(tmp_path: Path) -> None:
    words = [sys.executable, "-S", "-c", OPENER]
    done = ethogram("record", "-o", tmp_path / "rec", "--window", "1s", "--", *words)
    assert done.returncode == 0, done.stderr
    recording = Recording.open(tmp_path / "rec")
    windows = {row["window"]: row for row in recording.table("windows").to_pylist()}
    columns = ["window", "path", "first", "last"]
    rows = [
        row
        for row in recording.table("files").select(columns).to_pylist()
        if row["path"].startswith(b"/nonexistent/")
    ]
    assert len({row["window"] for row in rows}) > 2
    slip = timedelta(milliseconds=5)  # the clock is read before the kernel side is told
    assert not [
        row
        for row in rows
        if row["first"] < windows[row["window"]]["start"] - slip
        or row["last"] > windows[row["window"]]["end"] + slip
    ]
    assert len({(row["window"], row["path"]) for row in rows}) == len(rows)


@pytest.fixture
def held_root() -> Iterator[None]:
    """The cgroup root's connect hook, held by a program that shares with nobody."""
    lib, held = library(), Object(object_path())
    for name, program in held.programs.items():
        program.set_autoload(name == "socket_connect4")
    held.load()
    program = held.programs["socket_connect4"]
    root = os.open(unified_mount(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert lib.bpf_prog_attach(program.fd, root, BPF_CGROUP_INET4_CONNECT, 0) == 0
        yield
    finally:
        lib.bpf_prog_detach2(program.fd, root, BPF_CGROUP_INET4_CONNECT)
        os.close(root)
        held.close()


@pytest.mark.usefixtures("held_root")
def test_a_hook_that_another_program_holds_is_named_and_nothing_is_called_complete(
    tmp_path: Path,
) -> None:
    recording = recorded(tmp_path)
    refused = {p.name: p for p in recording.manifest.programs if p.state == "refused"}
    assert set(refused) - OPTIONAL_PROGRAMS == {"socket_connect4"}
    assert "EPERM" in (refused["socket_connect4"].error or "")
    states = {row["state"] for row in recording.table("coverage").to_pylist()}
    assert states == {"blind"}
    done = ethogram(
        "learn", "--allow", "thin,lossy", tmp_path / "rec", "-o", tmp_path / "baselines"
    )
    ((_, baseline),) = load_baselines(tmp_path / "baselines")
    assert baseline.observation.state == "partial", done.stderr
