"""Whatever a workload calls itself, no screen and no file of ours carries a control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.flags import Access
from ethogram.contracts.recording import Recording
from learner.summary import summarize
from tests.recordings import make_recording

pytestmark = pytest.mark.unit

# A title that sets the terminal's, a cleared screen, a line end, bytes that are not UTF-8, a mark
# that turns text around, markup of rich, and what YAML and JSON would read as their own.
EVIL = b"\x1b]0;owned\x07\x1b[2J\r\n- x: &a [bold]\"'`$(id)\xff\xfe\xe2\x80\xaeend\0tail"
EVIL_TEXT = EVIL.replace(b"\0", b"").decode("utf-8", "replace")


def hostile(path: Path) -> Path:
    row: dict[str, Any] = {"window": 0, "workload": 1, "instance": 1, "phase": "steady"}
    process = {**row, "exec_id": "e1", "tgid": 2, "ns_tgid": 2, "exe": 1}
    return make_recording(
        path,
        manifest={"cluster": EVIL_TEXT, "command": {"argv": [EVIL_TEXT], "exit_status": 0}},
        workloads=[
            {
                "workload": 1, "namespace": EVIL_TEXT, "kind": "Container", "name": EVIL_TEXT,
                "container": EVIL_TEXT, "image": EVIL_TEXT, "labels": {EVIL_TEXT: EVIL_TEXT},
                "selector": {EVIL_TEXT: EVIL_TEXT}, "source": "podman", "state": "resolved",
            }
        ],
        instances=[{"instance": 1, "workload": 1, "runtime_id": EVIL_TEXT}],
        coverage=[{**row, "observed_ns": 5 * 10**9, "state": "complete"}],
        executables=[{"exe": 1, "path": b"/bin/" + EVIL}],
        processes=[{**process, "argv": [EVIL], "cwd": b"/" + EVIL}],
        syscalls=[{**row, "arch": "x86_64", "nr": nr, "calls": 1} for nr in (0, 1, 59, 231, 257)],
        files=[{**row, "exe": 1, "path": b"/" + EVIL, "access": Access.READ, "calls": 1}],
        network=[
            {
                **row, "exe": 1, "direction": "out", "family": 1, "type": 1, "unix_path": EVIL,
                "name": EVIL_TEXT, "name_trust": "resolver", "connections": 1,
            },
            {
                **row, "exe": 1, "direction": "out", "family": 2, "type": 1, "protocol": 6,
                "peer_addr": bytes([10, 0, 0, 1]), "peer_port": 1, "connections": 1,
            },
        ],
        addresses=[
            {
                "addr": bytes([10, 0, 0, 1]), "kind": "pod", "name": f"{EVIL_TEXT}/x",
                "namespace": EVIL_TEXT, "owner_kind": EVIL_TEXT, "owner_name": EVIL_TEXT,
                "selector": {EVIL_TEXT: EVIL_TEXT}, "source": "inventory",
            }
        ],
        dns=[{**row, "exe": 1, "qname": EVIL, "qtype": 1, "resolver": bytes(4), "trusted": True}],
        privileges=[
            {
                **row, "exec_id": "e1", "operation": "mount", "target": EVIL, "granted": True,
                "calls": 1,
            }
        ],
    )  # fmt: skip


def assert_printable(text: str, where: str) -> None:
    # Line ends, and the tab between the columns of `--dry-run`, are ours.
    for line in text.replace("\t", "\n").split("\n"):
        assert line.isprintable(), f"{where}: {line!r}"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    hostile(tmp_path / "r")
    return tmp_path


def test_the_recording_is_as_hostile_as_it_looks(directory: Path) -> None:
    recording = Recording.open(directory / "r")
    assert recording.table("executables")["path"].to_pylist() == [b"/bin/" + EVIL]
    keys = summarize(recording)["key"].to_pylist()
    assert EVIL in keys
    assert any(b'"owner":' in key for key in keys)


def test_no_screen_carries_a_control(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        "show r",
        "show r --format json",
        "summarize r -o s.summary.parquet",
        "show s.summary.parquet",
        "show s.summary.parquet --format json",
        "learn r -o b --allow thin",
        "show b",
        "show b --format json",
        "export b --allow thin --to seccomp -o p --dry-run",
        "export b --allow thin --to seccomp -o p",
        "export b --allow thin --to seccomp -o p --enforce",
        "export b --allow thin --to seccomp -o p --check",
    ]
    for command in commands:
        code = run(command.split())
        captured = capsys.readouterr()
        assert code == (2 if "--enforce" in command else 0), captured.err
        assert_printable(captured.out, command)
        assert_printable(captured.err, command)
        assert "owned" in captured.out + captured.err or not command.startswith("show"), command


def test_no_file_of_ours_carries_a_control(directory: Path) -> None:
    assert run(["learn", "--allow", "thin", "r", "-o", "b"]) == 0
    assert run(["export", "b", "--to", "seccomp", "-o", "p", "--allow", "thin"]) == 0
    texts = [p for p in directory.rglob("*") if p.suffix in {".yaml", ".json"}]
    assert len(texts) >= 4
    for path in texts:
        assert_printable(path.read_text(encoding="utf-8"), path.name)
        assert_printable(str(path.relative_to(directory)), "name of a file")
