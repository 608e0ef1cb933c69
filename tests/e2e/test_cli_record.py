"""`doctor`, `record` and `try` on this kernel: what they print, write and exit with."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.recording import Recording
from profiler.identity.hierarchy import Hierarchy
from tests.e2e.cgroups import end_all
from tests.e2e.command_line import ethogram, running

pytestmark = pytest.mark.e2e


def manifest_of(recording: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((recording / "manifest.json").read_text())
    return document


def calls_of(recording: Path) -> dict[str, int]:
    calls: dict[str, int] = {}
    for row in Recording.open(recording).table("syscalls").to_pylist():
        calls[row["name"]] = calls.get(row["name"], 0) + row["calls"]
    return calls


def test_doctor_says_that_this_host_can_record() -> None:
    done = ethogram("doctor", "--format", "json")
    document = json.loads(done.stdout)
    assert document["schema"] == "ethogram.doctor/1"
    assert [check for check in document["checks"] if check["ok"] is False] == []
    assert document["can_record"] is True
    assert (done.returncode, "this host can record" in done.stderr) == (0, True)


def test_doctor_says_what_is_missing_without_root() -> None:
    done = ethogram("doctor", user=65534, group=65534, extra_groups=[])
    assert done.returncode == 3
    assert "error: this host cannot record: " in done.stderr
    assert "hint: " in done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("words", [["record", "-o", "r", "--all"], ["try", "--", "true"]])
def test_recording_without_root_is_refused(words: list[str], tmp_path: Path) -> None:
    done = ethogram(*words, user=65534, group=65534, extra_groups=[], cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr == "error: recording needs root\n\nhint: run it with `sudo`\n"
    assert list(tmp_path.iterdir()) == []


def test_a_command_is_recorded_with_its_exit_status(tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    done = ethogram("record", "-o", recording, "--", "sh", "-c", "echo said; exit 3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "said\n"
    assert "the command exited with status 3\n" in done.stderr
    assert "nothing lost\n" in done.stderr
    assert done.stderr.endswith(
        f"next: `ethogram learn {recording} -o baselines --allow thin` "
        f"(or `ethogram show {recording}`)\n"
    )
    manifest = manifest_of(recording)
    assert manifest["command"] == {"argv": ["sh", "-c", "echo said; exit 3"], "exit_status": 3}
    assert manifest["clean_end"] is True
    assert calls_of(recording)["exit_group"] == 1


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -TERM $$", 143), ("true", 0)])
def test_the_exit_status_is_passed_on_where_it_is_asked_for(
    script: str, code: int, tmp_path: Path
) -> None:
    words = ["record", "--exit-code", "-o", tmp_path / "r", "--", "sh", "-c", script]
    assert ethogram(*words).returncode == code


def test_a_recording_is_for_its_owner_alone(tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    assert ethogram("record", "-o", recording, "--", "true").returncode == 0
    assert stat.S_IMODE(recording.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in recording.rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_an_interruption_keeps_what_was_seen(tmp_path: Path) -> None:
    recording, ready = tmp_path / "recording", tmp_path / "ready"
    words = ["record", "-o", recording, "--", "sh", "-c", "echo begun; exec sleep 1000"]
    with running(*words, ready=ready) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert "next: `ethogram learn" in printed
    assert manifest_of(recording)["clean_end"] is True
    assert calls_of(recording)["write"] >= 1


@pytest.fixture
def tidy_cgroups() -> Iterator[None]:
    """End and remove what a recorder that was killed could not."""
    mount = Hierarchy().mount
    assert mount is not None
    before = set(mount.glob("ethogram/*/"))
    yield
    for cgroup in set(mount.glob("ethogram/*/")) - before:
        end_all(cgroup)
        cgroup.rmdir()


@pytest.mark.usefixtures("tidy_cgroups")
def test_a_recorder_that_is_killed_leaves_a_readable_recording(tmp_path: Path) -> None:
    recording, ready = tmp_path / "recording", tmp_path / "ready"
    script = "while :; do echo on; cat /etc/hostname >/dev/null; done"
    words = ["record", "--window", "100ms", "-o", recording, "--", "sh", "-c", script]
    with running(*words, ready=ready) as process:
        assert process.stdout is not None
        journal = recording / "journal"
        while not any(path.stat().st_size > 4096 for path in journal.glob("syscalls*")):
            assert process.stdout.readline() == "on\n"
        process.kill()
        process.wait()
    shown = ethogram("show", recording)
    assert shown.returncode == 0, shown.stderr
    assert "/usr/bin/dash" in shown.stdout
    assert "killed" in shown.stdout
    assert calls_of(recording)["openat"] >= 1


def test_a_recording_is_not_replaced_unasked(tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    assert ethogram("record", "-o", recording, "--", "true").returncode == 0
    first = manifest_of(recording)["recording_id"]
    refused = ethogram("record", "-o", recording, "--", "true")
    assert refused.returncode == 2
    assert "holds a recording" in refused.stderr
    assert manifest_of(recording)["recording_id"] == first
    assert ethogram("record", "--force", "-o", recording, "--", "true").returncode == 0
    assert manifest_of(recording)["recording_id"] != first


@pytest.mark.parametrize(
    ("target", "code", "cause"),
    [
        (["--container", "0123456789abcdef"], 2, "0123456789abcdef"),
        (["--unit", "no-such.service"], 2, "no-such.service"),
        (["--cgroup", "/no/such/cgroup"], 2, "/no/such/cgroup"),
        (["--", "no-such-command"], 2, "there is no command `no-such-command`"),
        (["--", "/etc/passwd"], 2, "`/etc/passwd` cannot be run"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_written(
    target: list[str], code: int, cause: str, tmp_path: Path
) -> None:
    done = ethogram("record", "-o", tmp_path / "r", *target)
    assert (done.returncode, cause in done.stderr) == (code, True), done.stderr
    assert "\nhint: " in done.stderr
    assert not (tmp_path / "r").exists()


def test_what_force_is_to_replace_stays_where_the_new_recording_cannot_begin(
    tmp_path: Path,
) -> None:
    recording = tmp_path / "r"
    assert ethogram("record", "-o", recording, "--", "true").returncode == 0
    before = {path.name: path.read_bytes() for path in recording.iterdir()}
    words = ["record", "--force", "-o", recording, "--ready-file", "/proc/self/ready"]
    done = ethogram(*words, "--", "true")
    assert done.returncode == 2
    assert "`/proc/self/ready` cannot be written" in done.stderr
    assert {path.name: path.read_bytes() for path in recording.iterdir()} == before


def test_files_are_rotated_and_the_oldest_let_go_while_it_records(tmp_path: Path) -> None:
    recording = tmp_path / "r"
    words = ["record", "--window", "100ms", "--rotate-every", "200ms", "--retain", "1s"]
    script = "while :; do cat /etc/hostname; done"
    words += ["-o", str(recording), "--", "sh", "-c", script]
    with running(*words, ready=tmp_path / "ready") as process:
        assert process.stdout is not None
        while not manifest_of(recording).get("dropped"):
            assert process.stdout.readline()
        seen = Recording.open(recording)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "nothing lost" in said) == (0, True), said
    assert seen.manifest.ended is None
    found = Recording.open(recording)
    found.verify()
    dropped = found.manifest.dropped
    assert dropped is not None
    windows = sorted(found.table("windows").column("window").to_pylist())
    assert windows == list(range(dropped.windows, dropped.windows + len(windows)))
    assert set(found.table("coverage").column("window").to_pylist()) <= set(windows)
    assert set(found.table("syscalls").column("window").to_pylist()) <= set(windows)
    assert len({file.path for file in found.manifest.files if file.table == "windows"}) > 1
    assert ethogram("learn", "--allow", "thin", recording, "-o", tmp_path / "b").returncode == 0
    assert "retained 1s: " in ethogram("show", recording).stdout


def test_the_live_summary_is_drawn_on_a_terminal_alone(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = ["record", "--all", "--window", "100ms", "--duration", "500ms", "-o", tmp_path / "r"]
    with running(*words, ready=tmp_path / "ready", stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 65536):
                seen += part
        except OSError:  # the end of a terminal whose other side is closed
            pass
        process.wait(60)
    os.close(ours)
    assert process.returncode == 0
    assert b"Ctrl-C ends it and keeps what was seen" in seen
    assert b"so far" in seen


def test_try_shows_what_a_command_did_and_the_profile_it_needs(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    words = ["--enforce", "--runtime", "none", "-o", profile, "--", "cat", "/etc/hostname"]
    done = ethogram("try", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(Path("/etc/hostname").read_text())
    assert "/etc/hostname r" in done.stdout
    assert "nothing lost" in done.stdout
    assert "the command exited with status 0" in done.stdout
    document = json.loads(profile.read_text())
    printed = done.stdout[done.stdout.index("{") :]
    assert json.loads(printed) == document
    assert document["defaultAction"] == "SCMP_ACT_ERRNO"
    assert "openat" in document["syscalls"][0]["names"]
    assert "mount" not in document["syscalls"][0]["names"]
    assert [path.name for path in tmp_path.iterdir()] == ["profile.json"]


def test_try_keeps_the_recording_where_it_is_asked_to(tmp_path: Path) -> None:
    done = ethogram("try", "--keep", tmp_path / "kept", "--", "true")
    assert done.returncode == 0, done.stderr
    assert calls_of(tmp_path / "kept")["execve"] >= 1
    learn = f"ethogram learn {tmp_path / 'kept'} -o baselines --allow thin"
    assert done.stderr.endswith(f"next: `{learn}`\n")


def test_try_runs_the_command_as_the_user_behind_sudo() -> None:
    environment = {**os.environ, "SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}
    done = ethogram("try", "--", "id", "-u", env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("65534\n")
