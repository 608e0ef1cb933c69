"""What several rows say together: relayed shells and scans of ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector.grading import grade
from detector.relation_rules import is_go_between
from ethogram.contracts.baseline import FileValue
from ethogram.contracts.finding import Finding
from ethogram.contracts.flags import Access
from tests.recordings import START_NS, WINDOW_NS, shop_recording
from tests.replay import Replay
from tests.unit.test_detector_judge import baselines as baselines  # noqa: PLC0414  a fixture

pytestmark = pytest.mark.unit

SH, PYTHON, NC, SSHD = 3, 50, 51, 52
PROGRAMS = {PYTHON: b"/usr/bin/python3", NC: b"/usr/bin/nc", SSHD: b"/usr/sbin/sshd"}


@pytest.fixture
def shop(baselines: Path, tmp_path: Path) -> Replay:
    replay = Replay(baselines)
    replay.recording(shop_recording(tmp_path / "again"))
    replay.rows(8, executables=[{"exe": exe, "path": path} for exe, path in PROGRAMS.items()])
    return replay


def process(
    name: str, exe: int, parent: str | None, window: int = 9, **more: Any
) -> dict[str, Any]:
    row = {"workload": 1, "instance": 1, "exec_id": name, "exe": exe, "parent_exec_id": parent}
    started = {"start": START_NS + window * WINDOW_NS, "argv": [name.encode()]}
    return row | {"fork_parent_exec_id": parent, "stdio": ["null"] * 3} | started | more


def peer(exe: int, port: int = 4444, **more: Any) -> dict[str, Any]:
    row = {"workload": 1, "instance": 1, "exe": exe, "direction": "out", "family": 2, "type": 1}
    return row | {"protocol": 6, "peer_addr": bytes([203, 0, 113, 7]), "peer_port": port} | {
        "connections": 1, "first": START_NS + 9 * WINDOW_NS, "last": START_NS + 9 * WINDOW_NS,
    } | more  # fmt: skip


def rules(found: list[Finding]) -> list[str]:
    return [one.rule for one in found if one.rule in ("relayed-shell", "port-scan")]


PARENT = process("relay", PYTHON, "1-main")
PIPED = process("sh", SH, "relay", stdio=["pipe", "pipe", "pipe"])


@pytest.mark.parametrize("stream", ["pipe", "tty"])
def test_a_shell_whose_parent_has_a_strange_connection_is_relayed(
    shop: Replay, stream: str
) -> None:
    shell = PIPED | {"stdio": [stream] * 3}
    found = shop.rows(9, processes=[PARENT, shell], network=[peer(PYTHON)])
    assert rules(found) == ["relayed-shell"]
    told = next(one for one in found if one.rule == "relayed-shell")
    assert told.process is not None
    assert told.process.exec_id == "sh"
    assert "beside /usr/bin/python3 with tcp to 203.0.113.7:4444" in told.evidence.observed
    assert (told.layer, told.severity) == ("indicator", "high")


def test_shell_and_connection_may_come_in_either_order(shop: Replay) -> None:
    assert rules(shop.rows(9, processes=[PARENT, PIPED])) == []
    assert rules(shop.rows(10, network=[peer(PYTHON)])) == ["relayed-shell"]
    later = [PARENT | {"exec_id": "other"}, PIPED | {"exec_id": "sh2", "parent_exec_id": "other"}]
    shop.rows(11, processes=[later[0]], network=[peer(PYTHON, 5555)])
    again = shop.rows(12, processes=[later[1] | {"fork_parent_exec_id": "other"}])
    assert rules(again) == []  # the same finding, counted
    assert shop.judge.findings.total > 0


def test_what_is_in_one_pipeline_with_it_relays_too(shop: Replay) -> None:
    beside = process("nc", NC, "relay")
    found = shop.rows(9, processes=[PARENT, beside, PIPED], network=[peer(NC)])
    assert rules(found) == ["relayed-shell"]


def test_nothing_else_is_a_relay(shop: Replay) -> None:
    told_what = PIPED | {"argv": [b"sh", b"-c", b"id"]}
    on_a_file = PIPED | {"stdio": ["file", "pipe", "pipe"]}
    other = PIPED | {"exe": NC}
    for window, row in enumerate((told_what, on_a_file, other), 9):
        rows = [PARENT, row | {"exec_id": f"sh{window}"}]
        assert rules(shop.rows(window, processes=rows, network=[peer(PYTHON)])) == []


def test_what_logs_people_in_and_what_fetches_are_no_relays(shop: Replay) -> None:
    login = process("sshd", SSHD, "1-main")
    shell = PIPED | {"parent_exec_id": "sshd", "fork_parent_exec_id": "sshd"}
    assert rules(shop.rows(9, processes=[login, shell], network=[peer(SSHD)])) == []
    assert is_go_between(b"/tmp/sshd", is_beside=False)
    assert is_go_between(b"/usr/bin/curl", is_beside=False)
    assert not is_go_between(b"/usr/bin/curl", is_beside=True)


def test_many_ports_of_one_address_are_a_scan(shop: Replay) -> None:
    few = [peer(PYTHON, port) for port in range(7000, 7014)]
    assert rules(shop.rows(9, processes=[PARENT], network=few)) == []
    found = shop.rows(10, network=[peer(PYTHON, 7014)])
    assert rules(found) == ["port-scan"]
    told = next(one for one in found if one.rule == "port-scan")
    assert told.evidence.observed == "15 ports of 203.0.113.7: from 7000 to 7014"
    assert "T1046" in {attack.technique for attack in told.attack}


def test_ports_are_forgotten_after_a_while(shop: Replay) -> None:
    shop.rows(9, processes=[PARENT], network=[peer(PYTHON, port) for port in range(7000, 7014)])
    late = START_NS + 9 * WINDOW_NS + 60 * 10**9
    assert rules(shop.rows(30, network=[peer(PYTHON, 7014, first=late, last=late)])) == []


def test_one_that_connects_to_everything_hides_no_relay_in_another(shop: Replay) -> None:
    shop.rows(9, processes=[PARENT])
    times = {"first": START_NS + 10 * WINDOW_NS, "last": START_NS + 11 * WINDOW_NS}
    flood = [peer(PYTHON, 1024 + one, instance=2, **times) for one in range(1010)]
    assert rules(shop.rows(10, network=flood)) == ["port-scan"]
    assert rules(shop.rows(11, processes=[PIPED], network=[peer(PYTHON)])) == ["relayed-shell"]


def file(path: bytes, exe: int = SH, window: int = 9) -> dict[str, Any]:
    when = START_NS + window * WINDOW_NS
    row = {"workload": 1, "instance": 1, "exe": exe, "path": path, "calls": 1}
    return row | {"access": int(Access.READ), "first": when, "last": when}


def scripts(found: list[Finding]) -> list[tuple[str, str]]:
    return [
        (one.evidence.observed, one.process.exec_id if one.process else "")
        for one in found
        if one.rule == "temporary-script"
    ]


@pytest.mark.parametrize(
    "told",
    [
        {"argv": [b"sh", b"/tmp/.x"]},
        {"argv": [b"sh", b"-e", b"./.x"], "cwd": b"/tmp"},
        {"argv": [b"sh"], "stdio": ["file", "null", "null"]},
    ],
)
def test_a_temporary_file_that_a_shell_was_told_to_run_is_a_script(
    shop: Replay, told: dict[str, Any]
) -> None:
    runs = process("runs", SH, "1-main") | told
    assert scripts(shop.rows(9, processes=[runs])) == []
    found = shop.rows(10, files=[file(b"/tmp/.x", window=10)])
    assert scripts(found) == [("/tmp/.x (r)", "runs")]


def test_a_temporary_file_that_is_data_is_none(shop: Replay) -> None:
    other = process("other", SH, "1-main", argv=[b"sh", b"/app/run", b"/tmp/.x"])
    piped = process("piped", SH, "1-main", argv=[b"sh"], stdio=["pipe"] * 3)
    rows = [file(b"/tmp/.x"), file(b"/tmp/sh-thd.ab12"), file(b"/tmp/x.sh")]
    found = scripts(shop.rows(9, processes=[other, piped], files=rows))
    assert [observed for observed, _ in found] == ["/tmp/x.sh (r)"]  # by its ending


def test_a_library_among_temporary_files_is_told_as_preloaded() -> None:
    graded = grade(FileValue(path="/tmp/x/lib.so.1", access="r"), workload_state="ok")
    assert graded.severity == "medium"
    assert graded.attack[0].technique == "T1574.006"
