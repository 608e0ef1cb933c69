"""Process rows: one an exec, ended by what follows it, and never another workload's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ethogram.contracts.events import STRUCTS, RecordKind
from profiler.clock import BootClock
from profiler.processes import ExecIds, Executables, Processes
from profiler.ring import Records

pytestmark = pytest.mark.unit

CLOCK = BootClock(0)


class Slots:
    """What a registry says of slots."""

    def __init__(self) -> None:
        self.slots: dict[int, Any] = {}

    def set(self, slot: int, workload: int, verdict: str = "wanted") -> None:
        instance = SimpleNamespace(workload=workload, number=workload, verdict=verdict)
        self.slots[slot] = SimpleNamespace(instance=instance, phase=3)


@pytest.fixture
def slots() -> Slots:
    slots = Slots()
    slots.set(1, workload=7)
    return slots


@pytest.fixture
def processes(slots: Slots) -> Processes:
    return Processes(
        slots,  # type: ignore[arg-type]
        Executables(CLOCK),
        ExecIds("host", "boot"),
        CLOCK,
        redact=lambda argv: (list(argv), 0),
    )


def record(kind: RecordKind, struct: str, **fields: int) -> tuple[RecordKind, Records]:
    heads = np.zeros(1, STRUCTS[struct].dtype)
    for name, value in {"kind": kind, "slot": 1, "tgid": 100, **fields}.items():
        heads[name] = value
    return kind, Records(heads, [b""])


def executed(key: int, time_ns: int, **fields: int) -> tuple[RecordKind, Records]:
    return record(RecordKind.EXEC, "process_record", exec_key=key, time_ns=time_ns, **fields)


def forked(key: int, time_ns: int, **fields: int) -> tuple[RecordKind, Records]:
    return record(RecordKind.FORK, "fork_record", exec_key=key, time_ns=time_ns, **fields)


def ended(key: int, time_ns: int, **fields: int) -> tuple[RecordKind, Records]:
    return record(RecordKind.EXIT, "exit_record", exec_key=key, time_ns=time_ns, **fields)


def test_an_exec_in_place_ends_the_one_before(processes: Processes) -> None:
    processes.take([executed(11, 5), executed(12, 9)], 0)
    began, columns = processes.take_rows()
    assert began == [1, 1]
    assert dict(zip(columns["start"], columns["end"], strict=True)) == {5: 9, 9: None}


def test_execs_without_end_leave_one_row_alive(processes: Processes) -> None:
    for key in range(1, 10_001):
        processes.take([executed(key, key)], 0)
        processes.take_rows()
    assert len(processes._live) == 1


def test_a_fork_that_executes_is_one_row(processes: Processes) -> None:
    processes.take([forked(11, 5), executed(12, 6), ended(12, 7)], 0)
    _, columns = processes.take_rows()
    assert columns["end"] == [7]


def test_a_fork_that_lives_on_is_a_row_of_its_own(processes: Processes) -> None:
    processes.take([forked(11, 5)], 0)
    began, columns = processes.take_rows()
    assert (began, columns["flags"]) == ([], [1])


def test_a_row_stays_its_workload_s_when_its_slot_means_another(
    processes: Processes, slots: Slots
) -> None:
    processes.take([executed(11, 5)], 0)
    processes.take_rows()
    slots.set(1, workload=8)
    processes.take([ended(11, 9)], 1)
    began, columns = processes.take_rows()
    assert (began, columns["workload"], columns["window"]) == ([], [7], [0])


def test_a_process_that_nobody_asked_for_is_nobody_else_s_when_its_slot_is(
    processes: Processes, slots: Slots
) -> None:
    slots.set(1, workload=7, verdict="unwanted")
    processes.take([executed(11, 5), forked(12, 6, tgid=101)], 0)
    assert processes.take_rows()[1]["exec_id"] == []
    slots.set(1, workload=8)
    processes.take([ended(11, 9), ended(12, 9, tgid=101)], 1)
    assert processes.take_rows()[1]["exec_id"] == []


def test_a_row_waits_for_its_workload_s_name(processes: Processes, slots: Slots) -> None:
    slots.set(1, workload=0, verdict="pending")
    processes.take([executed(11, 5), ended(11, 6)], 0)
    assert processes.take_rows()[1]["exec_id"] == []
    slots.set(1, workload=9)
    began, columns = processes.take_rows()
    assert (began, columns["workload"], columns["end"]) == ([1], [9], [6])


def test_executables_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.executables._EXECUTABLES", 3)
    executables = Executables(CLOCK)
    heads = np.zeros(5, STRUCTS["process_record"].dtype)
    heads["exe_key"] = range(1, 6)
    assert [executables.add(head, b"/x", int(head["exe_key"])) for head in heads] == [1, 2, 0, 0, 0]
    assert (executables.take_overflow(), executables.take_overflow()) == (3, 0)
