"""Who made a call first is known by slot, until that is another's."""

from __future__ import annotations

import numpy as np
import pytest

from ethogram.contracts.events import ARCHES, STRUCTS, News
from ethogram.contracts.tables import ENUMS
from profiler import first_callers
from profiler.exec_ids import ExecIds
from profiler.first_callers import FirstCallers
from profiler.identity.model import Identity
from profiler.instances import Instance, Slot
from profiler.loaders.news import callers_in
from profiler.ring import Records

pytestmark = pytest.mark.unit

IDENTITY = Identity(kind="Command", name="job", runtime_id="1", source="command", state="resolved")
PHASE = {name: number for number, name in enumerate(ENUMS["phase"])}
IDS = ExecIds("host", "boot")
MOUNT, PTRACE = 165, 101
NATIVE, I386 = ARCHES.index("x86_64"), ARCHES.index("i386")
HEAD, KEY = STRUCTS["news_record"].dtype, STRUCTS["call_key"].dtype


def slot(number: int, instance: int, phase: str = "steady") -> Slot:
    whose = Instance(
        number=instance, cgroup_id=instance, path=None, identity=IDENTITY, started_ns=0,
        mntns=0, mntns_inode=0, netns=0, pid=0, is_live=True, verdict="wanted",
    )  # fmt: skip
    return Slot(number, whose, PHASE[phase])


SLOTS = {
    one.number: one
    for one in (
        slot(7, 1), slot(8, 1, "exec"), slot(9, 2), slot(10, 2), slot(11, 3, "startup"),
        slot(12, 3, "runtime"),
    )
}  # fmt: skip


def news(*calls: tuple[int, int, int, int], kind: News = News.CALL) -> Records:
    """Return records of *calls*: slot, number, architecture and who made it."""
    heads, tails = np.zeros(len(calls), HEAD), []
    for head, (of, nr, arch, exec_key) in zip(heads, calls, strict=True):
        key = np.zeros(1, KEY)
        key["slot"], key["nr"], key["arch"] = of, nr, arch
        head["slot"], head["news"], head["exec_key"] = of, kind, exec_key
        head["key_size"] = KEY.itemsize
        tails.append(key.tobytes() + bytes(112))
    return Records(heads, tails)


def callers(*batches: Records) -> FirstCallers:
    known = FirstCallers(SLOTS, IDS)
    known.take(callers_in(batches))
    return known


def test_the_first_who_made_a_call_is_known_and_no_later_one() -> None:
    known = callers(news((7, MOUNT, NATIVE, 11), (7, MOUNT, NATIVE, 12)))
    known.take(callers_in([news((7, MOUNT, NATIVE, 13), (7, PTRACE, NATIVE, 13))]))
    assert known.of(1, "steady", "x86_64", MOUNT) == IDS.of(11)
    assert known.of(1, "steady", "x86_64", PTRACE) == IDS.of(13)


def test_a_session_instance_or_architecture_has_calls_of_its_own() -> None:
    odd = news((7, MOUNT, I386, 12), kind=News.ODD_CALL)
    known = callers(news((7, MOUNT, NATIVE, 11), (8, PTRACE, NATIVE, 14)), odd)
    assert known.of(1, "steady", "i386", MOUNT) == IDS.of(12)
    assert known.of(1, "exec", "x86_64", PTRACE) == IDS.of(14)
    for asked in ((1, "exec", "x86_64", MOUNT), (2, "steady", "x86_64", MOUNT),
                  (1, "steady", "x32", MOUNT)):  # fmt: skip
        assert known.of(*asked) is None


def test_who_made_it_while_the_instance_started_was_the_first_later_too() -> None:
    known = callers(news((11, MOUNT, NATIVE, 11), (12, PTRACE, NATIVE, 12)))
    for phase in ("startup", "steady", "shutdown"):
        assert known.of(3, phase, "x86_64", MOUNT) == IDS.of(11)
        assert known.of(3, phase, "x86_64", PTRACE) is None


def test_an_instance_may_have_several_slots_in_one_phase() -> None:
    known = callers(news((10, MOUNT, NATIVE, 2**64 - 1)))
    assert known.of(2, "steady", "x86_64", MOUNT) == IDS.of(2**64 - 1)


def test_other_news_and_calls_of_nobody_say_nothing() -> None:
    known = callers(news((7, MOUNT, NATIVE, 11), kind=News.FILE), news((7, PTRACE, NATIVE, 0)))
    assert known.of(1, "steady", "x86_64", MOUNT) is None
    assert known.of(1, "steady", "x86_64", PTRACE) is None


def test_what_a_slot_had_is_not_the_next_one_s() -> None:
    known = callers(news((7, MOUNT, NATIVE, 11), (9, MOUNT, NATIVE, 12)))
    known.forget([7, 99])
    assert known.of(1, "steady", "x86_64", MOUNT) is None
    assert known.of(2, "steady", "x86_64", MOUNT) == IDS.of(12)


def test_numbers_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_callers, "_OF_SLOT", 3)
    monkeypatch.setattr(first_callers, "_MOST", 4)
    known = callers(news(*[(7, nr, I386, 11) for nr in range(5)]))
    unknown = [nr for nr in range(5) if known.of(1, "steady", "i386", nr) is None]
    assert unknown == [3, 4]
    known.take(callers_in([news((9, 1, I386, 12), (9, 2, I386, 12))]))
    assert known.of(1, "steady", "i386", 0) is None
    assert known.of(2, "steady", "i386", 2) == IDS.of(12)
