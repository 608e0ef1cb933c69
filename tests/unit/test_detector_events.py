"""Every process and connection as an event: what it says, and that none is lost or doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector import events as events_module
from ethogram.contracts.event import ACTIVITIES, Event
from ethogram.contracts.flags import ProcessFlag
from tests.events import EXECUTABLES, INSTANCES, WORKLOADS, Told, every_event, process
from tests.shop import START_NS

pytestmark = pytest.mark.unit

BASE: dict[str, Any] = {
    "workloads": WORKLOADS, "instances": INSTANCES, "executables": EXECUTABLES,
}  # fmt: skip


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "none")


def brief(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["activity"], one["process"]["exec_id"]) for one in events]


def test_every_activity_is_a_valid_event_on_one_line(tmp_path: Path) -> None:
    records = every_event(tmp_path)
    for record in records:
        assert "\n" not in record.line
        Event.model_validate(record.body)
    assert {record.body["activity"] for record in records} == set(ACTIVITIES)
    assert len({record.body["id"] for record in records}) == len(records)


def test_a_process_is_told_once_when_it_begins_and_once_when_it_ends(told: Told) -> None:
    begun = told.window(0, **BASE, processes=[process("main")])
    assert brief(begun) == [("exec", "main")]
    over = process("main", end=START_NS + 5 * 10**9, exit_code=3)
    assert told.window(1) == []
    (ended,) = told.window(2, processes=[over])
    assert (ended["activity"], ended["process"]["exit_code"]) == ("exit", 3)
    assert told.window(3) == []


def test_a_process_that_executes_again_has_not_ended(told: Told) -> None:
    told.window(0, **BASE, processes=[process("main")])
    rows = [process("main", end=START_NS + 1), process("main2", start=START_NS + 1)]
    assert brief(told.window(1, processes=rows)) == [("exec", "main2")]


def test_23_execs_of_one_window_are_23_events_in_order(told: Told) -> None:
    rows = [process(f"p{number}", start=START_NS + 23 - number) for number in range(23)]
    events = told.window(0, **BASE, processes=rows)
    assert [one["process"]["exec_id"] for one in events] == [f"p{n}" for n in reversed(range(23))]


def test_a_failed_exec_is_told_of_who_tried(told: Told) -> None:
    rows = [process("main"), process("main-f", "main", errno=13, script=b"/tmp/x")]
    failed = told.window(0, **BASE, processes=rows)[-1]
    assert (failed["activity"], failed["errno"], failed["file"]["path"]) == (
        "exec_failed", 13, "/tmp/x",
    )  # fmt: skip
    assert failed["process"]["exec_id"] == "main"


def test_a_process_comes_with_its_tree_its_user_and_its_container(told: Told) -> None:
    entered = {"session_exec_id": "in", "flags": int(ProcessFlag.ENTERED)}
    rows = [process("main"), process("in", **entered), process("sh", "in", **entered, exe=2)]
    event = told.window(0, **BASE, processes=rows)[-1]
    assert event["process"]["entry"]["type"] == "exec"
    assert [one["exec_id"] for one in event["process"]["ancestry"]] == ["in"]
    assert (event["process"]["uid"], event["container_root"]["exec_id"]) == (33, "main")
    assert event["workload"]["image_digest"] == "sha256:" + "a" * 64
    assert event["instance"]["pod_uid"] == "0b8f3c52-6d0e-4f7e-9c1d-2a3b4c5d6e7f"
    assert event["container_id"] == "c" * 64


def test_both_ends_of_a_connection_on_this_host_name_each_other(tmp_path: Path) -> None:
    found = {record.body["activity"]: record.body for record in every_event(tmp_path)
             if record.body.get("peer", {}).get("workload")}  # fmt: skip
    assert found["accept"]["peer"]["workload"] == "Unit/client.service"
    assert found["accept"]["peer"]["exec_id"] == "client"
    assert found["connect"]["peer"]["workload"] == "shop/Deployment/checkout"
    assert found["connect"]["peer"]["container_id"] == "c" * 64
    assert (found["accept"]["count"], found["accept"]["tx_bytes"]) == (1, 20)


def test_only_the_kinds_that_are_wanted_are_told(tmp_path: Path) -> None:
    told = Told(tmp_path / "none", ["network"])
    assert told.window(0, **BASE, processes=[process("main")]) == []


def test_more_than_a_window_may_have_is_counted(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_MOST", 20)
    rows = [process(f"p{number}") for number in range(23)]
    assert len(told.window(0, **BASE, processes=rows)) == 20
    assert told.dropped == 3
