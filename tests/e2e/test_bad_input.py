"""What bad input gets: one line that says why, a hint, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.manifest import read_manifest
from profiler.loaders.core import object_path
from tests.e2e.command_line import ETHOGRAM, ethogram
from tests.recordings import shop_recording

pytestmark = pytest.mark.e2e


def assert_refused(code: int, wanted: int, said: str, cause: str) -> None:
    """Check that *said* is a cause in one line and a hint in one line, and nothing else."""
    assert code == wanted, said
    found = re.fullmatch(r"error: (.+)\n\nhint: (.+)\n", said)
    assert found, said
    assert cause in found[1]
    assert said.replace("\n", "").isprintable()
    assert not re.search("traceback|internal error|errno", said, re.IGNORECASE)


# --- the host -------------------------------------------------------------------------------------

_EMPTY = "mount -t tmpfs -o size=64k none {}"
_HIDDEN = {
    "btf": _EMPTY.format("/sys/kernel/btf"),
    "libbpf": "for lib in /lib/*/libbpf.so.1 /usr/lib*/libbpf.so.1; do "
    '[ ! -e "$lib" ] || mount --bind /dev/null "$(readlink -f "$lib")" || exit; done',
    "object": _EMPTY.format(f"'{object_path().parent}'"),
    "cgroups": _EMPTY.format("/sys/fs/cgroup"),
    "tracefs": f"{_EMPTY.format('/sys/kernel/tracing')}; {_EMPTY.format('/sys/kernel/debug')}",
}


def without(parts: str, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `ethogram WORDS...` where *parts* of the host are hidden from it alone."""
    script = "".join(f"{_HIDDEN[part]} || exit 99; " for part in parts.split()) + 'exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
         *ETHOGRAM, *map(str, words)],
        capture_output=True, text=True, check=False, timeout=60, cwd=cwd,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hidden", "words", "cause"),
    [
        ("btf", "--loader core", "the kernel has no BTF"),
        ("btf tracefs", "", "the kernel has no BTF, and BCC cannot take its place: "),
        ("libbpf", "--loader core", "`libbpf.so.1` is not installed"),
        ("object", "--loader core", "no BPF object for `"),
        ("cgroups", "", "no cgroup v2 hierarchy is mounted"),
        ("cgroups", "--cgroup /system.slice", "no cgroup v2 hierarchy is mounted"),
    ],
)
def test_a_host_that_cannot_record_says_why(
    hidden: str, words: str, cause: str, tmp_path: Path
) -> None:
    target = [] if "--cgroup" in words else ["--", "true"]
    done = without(hidden, "record", "-o", "r", *words.split(), *target, cwd=tmp_path)
    assert_refused(done.returncode, 3, done.stderr, cause)
    assert list(tmp_path.iterdir()) == []


def test_doctor_names_what_is_hidden(tmp_path: Path) -> None:
    done = without("cgroups", "doctor", cwd=tmp_path)
    assert_refused(done.returncode, 3, done.stderr, "1 check failed, first `cgroups`")


# --- what to record, and where to -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "cause", "is_there"),
    [
        (b"\x7fELF and no more", "Exec format error", False),
        (b"#!/no/such/sh\n", "No such file", True),
    ],
)
def test_of_a_command_that_cannot_be_executed_no_recording_is_left(
    head: bytes, cause: str, is_there: bool, tmp_path: Path
) -> None:
    command, recording = tmp_path / "command", tmp_path / "r"
    command.write_bytes(head)
    command.chmod(0o755)
    if is_there:
        recording.mkdir()
    done = ethogram("record", "-o", recording, "--", command)
    assert_refused(done.returncode, 2, done.stderr, cause)
    assert recording.exists() is is_there
    assert not is_there or list(recording.iterdir()) == []


def test_a_ready_file_that_cannot_be_written_leaves_no_recording(tmp_path: Path) -> None:
    words = ["--ready-file", "/proc/ready", "--", "true"]
    done = ethogram("record", "-o", tmp_path / "r", *words)
    assert_refused(done.returncode, 2, done.stderr, "`/proc/ready` cannot be written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("file", "`file` is there and is not a directory"),
        ("file/r", "`file/r` cannot be written: Not a directory"),
        ("full", "`full` is not empty and is no recording"),
        ("no/such/r", "`no/such` does not exist"),
        ("/proc/r", "`/proc/r` cannot be written"),
    ],
)
def test_an_output_that_cannot_be_is_refused(output: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    done = ethogram("record", "--force", "-o", output, "--", "true", cwd=tmp_path)
    assert_refused(done.returncode, 2, done.stderr, cause)
    assert [path.read_text() for path in sorted(tmp_path.rglob("file"))] == ["mine", "mine"]


def test_a_directory_that_a_user_made_becomes_the_recorders(tmp_path: Path) -> None:
    recording = tmp_path / "r"
    recording.mkdir()
    os.chown(recording, 65534, 65534)
    done = ethogram("record", "-o", recording, "--", "true")
    assert done.returncode == 0, done.stderr
    assert (recording.stat().st_uid, recording.stat().st_mode & 0o777) == (os.geteuid(), 0o700)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b'{"kind": "List", "items": [', "is not JSON"),
        (b'{"name": "foreign"}', "is not a List: it has no `kind`"),
        (b"PAR1\x00\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_an_inventory_that_is_none_is_refused(content: bytes, cause: str, tmp_path: Path) -> None:
    (tmp_path / "inventory.json").write_bytes(content)
    done = ethogram(
        "record", "-o", "r", "--inventory", "inventory.json", "--", "true", cwd=tmp_path
    )
    assert_refused(done.returncode, 2, done.stderr, cause)
    assert not (tmp_path / "r").exists()


# --- artifacts ------------------------------------------------------------------------------------


def truncate(recording: Path) -> None:
    os.truncate(recording / "syscalls-00000.parquet", 100)


def overwrite(recording: Path) -> None:
    """Damage a file and keep its size."""
    path = recording / "syscalls-00000.parquet"
    path.write_bytes(b"PAR1" + b"\xff" * (path.stat().st_size - 8) + b"PAR1")


def swap(recording: Path) -> None:
    """Put one table where another belongs, and have the manifest say so."""
    shutil.copy(recording / "windows-00000.parquet", recording / "syscalls-00000.parquet")
    document = json.loads((recording / "manifest.json").read_text())
    listed = {file["table"]: file for file in document["files"]}
    for key in ("rows", "size_bytes", "sha256"):
        listed["syscalls"][key] = listed["windows"][key]
    (recording / "manifest.json").write_text(json.dumps(document))


def change(**fields: object) -> Callable[[Path], None]:
    def damage(recording: Path) -> None:
        path = recording / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return damage


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (truncate, "has 100 bytes, the manifest says"),
        (overwrite, "is no whole Parquet file"),
        (swap, "is no table `syscalls`"),
        (lambda r: (r / "syscalls-00000.parquet").unlink(), "is missing: the manifest lists it"),
        (lambda r: (r / "manifest.json").unlink(), "is neither a recording nor"),
        (lambda r: (r / "manifest.json").write_bytes(b"{\xff"), "is no JSON"),
        (change(window_ms="\x1b[2J"), "field `window_ms`"),
        (change(schema="ethogram.recording/2"), "was made by a newer ethogram"),
    ],
)
@pytest.mark.parametrize("command", ["show r", "learn r -o out"])
def test_a_damaged_recording_is_refused_by_name(
    command: str,
    damage: Callable[[Path], None],
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    damage(shop_recording(tmp_path / "r"))
    code = run(command.split())
    said = capsys.readouterr()
    assert_refused(code, 1, said.err, cause)
    assert said.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        ("show nowhere", 2, "there is no `nowhere`"),
        ("learn nowhere -o out", 2, "there is no `nowhere`"),
        ("learn r -o /proc/out --allow thin", 1, "`/proc/out`"),
        ("export b --to secomp -o out", 2, "there is no exporter `secomp`"),
        ("export b --to seccomp --runtime runc=9.9 -o out", 2, "the runtime `runc=9.9`"),
        ("export b --to seccomp --runtime= -o out", 2, "the runtime ``"),
        ("export r --to seccomp -o out", 2, "`r` is a recording, not a baseline"),
    ],
)
def test_what_is_not_there_is_refused(
    words: str,
    code: int,
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shop_recording(tmp_path / "r")
    assert run(["learn", "--allow", "thin", "r", "-o", "b", "--no-model"]) == 0
    capsys.readouterr()
    found = run(words.split())
    said = capsys.readouterr().err
    assert_refused(found, code, said, cause)
    assert "secomp" not in words or "did you mean `seccomp`?" in said
    assert not (tmp_path / "out").exists()


# --- the streams, and hostile names ---------------------------------------------------------------


@pytest.mark.parametrize("closed", ["1>&-", "0<&- 1>&- 2>&-"])
def test_a_stream_that_is_closed_is_no_matter(closed: str, tmp_path: Path) -> None:
    words = [*ETHOGRAM, "record", "-o", str(tmp_path / "r"), "--", "echo", "said"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert read_manifest(tmp_path / "r").clean_end


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    words = [*ETHOGRAM, "show", str(shop_recording(tmp_path / "r"))]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, 141)
    assert "error" not in done.stderr


def test_hostile_names_stay_text_from_the_kernel_to_the_policy(tmp_path: Path) -> None:
    evil = os.fsdecode(b"\x1b]0;owned\x07\x1b[2J\n- x: &a '\"`$(id)\xff\xe2\x80\xaeend")
    recording, baselines = tmp_path / f"r{evil}", tmp_path / f"b{evil}"
    (tmp_path / evil).write_text("")
    link = tmp_path / f"{evil}.sh"
    link.symlink_to("/bin/cat")
    commands: list[list[str | Path]] = [
        ["record", "-o", recording, "--", link, tmp_path / evil],
        ["show", recording],
        ["show", recording, "--format", "json"],
        ["learn", "--allow", "thin", recording, "-o", baselines],
        ["show", baselines],
        ["show", baselines, "--format", "json"],
        ["export", "--allow", "thin", baselines, "--to", "seccomp", "-o", tmp_path / f"p{evil}"],
    ]
    for words in commands:
        done = ethogram(*words)
        assert done.returncode == 0, done.stderr
        assert "owned" in done.stdout + done.stderr
        for line in (done.stdout + done.stderr).split("\n"):
            assert line.isprintable(), (words[0], line)
    texts = [path for path in tmp_path.rglob("*") if path.suffix in {".yaml", ".json"}]
    assert any(path.suffix == ".yaml" and "owned" in path.read_text() for path in texts)
    for path in texts:
        for line in path.read_text().split("\n"):
            assert line.isprintable(), (path.suffix, line)


def test_the_next_command_that_is_named_is_read_back_by_the_shell(tmp_path: Path) -> None:
    recording = tmp_path / os.fsdecode(b"it's \x1b[2J\\\xff")
    done = ethogram("record", "-o", recording, "--", "true", cwd=tmp_path)
    named = re.search(r"\(or `ethogram (show .*)`\)", done.stderr)
    assert named, done.stderr
    script = f'show() {{ test "$1" -ef "$WANTED"; }}; {named[1]}'
    environment = {**os.environb, b"WANTED": os.fsencode(recording)}
    subprocess.run(["bash", "-c", script], check=True, env=environment)
