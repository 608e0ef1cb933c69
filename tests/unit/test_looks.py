"""A look comes soon after news, and nobody takes the time of others."""

import numpy as np
import pytest

from ethogram.contracts.events import STRUCTS
from profiler.identity.model import Identity
from profiler.looks import GATHER_NS, ROOM_NS, ROOM_OF_ALL_NS, Looks
from profiler.registry import Instance
from profiler.ring import Records
from profiler.targets import Verdict

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000
IDENTITY = Identity(kind="Command", name="job", runtime_id="1", source="command", state="resolved")


def _looks(verdicts: dict[int, Verdict]) -> Looks:
    def instance_of(slot: int) -> Instance | None:
        return _instance(slot, verdicts[slot]) if slot in verdicts else None

    return Looks(instance_of)


def _instance(number: int, verdict: Verdict) -> Instance:
    return Instance(
        number=number, cgroup_id=number, path=None, identity=IDENTITY, started_ns=0,
        mntns=0, mntns_inode=0, netns=0, pid=0, is_live=True, verdict=verdict,
    )  # fmt: skip


def _news(time_ns: int, *slots: int) -> list[Records]:
    heads = np.zeros(len(slots), STRUCTS["news_record"].dtype)
    heads["slot"], heads["time_ns"] = slots, time_ns
    return [Records(heads, [b""] * len(slots))]


def _look(looks: Looks, *, spent_ns: int, now_ns: int) -> None:
    looks.looked(looks.begin(), spent_ns, now_ns)


def test_what_comes_together_is_looked_at_together() -> None:
    looks = _looks({1: "wanted"})
    assert looks.due_ns(SECOND) is None
    looks.note(_news(SECOND, 1))
    looks.note(_news(SECOND + 1_000_000, 1))
    assert looks.due_ns(SECOND + 1_000_000) == GATHER_NS - 1_000_000
    assert looks.due_ns(SECOND + GATHER_NS) == 0
    _look(looks, spent_ns=1, now_ns=SECOND + GATHER_NS)
    assert looks.due_ns(2 * SECOND) is None


def test_nobody_looks_at_what_is_left_out_or_has_no_name_yet() -> None:
    verdicts: dict[int, Verdict] = {1: "unwanted", 2: "pending"}
    looks = _looks(verdicts)
    looks.note(_news(SECOND, 1, 2))
    assert looks.due_ns(2 * SECOND) is None
    assert looks.begin() == set()
    verdicts[2] = "wanted"
    assert looks.due_ns(2 * SECOND) == 0


def test_who_floods_waits_and_others_do_not() -> None:
    looks = _looks({1: "wanted", 2: "wanted"})
    looks.note(_news(SECOND, 1))
    assert looks.due_ns(2 * SECOND) == 0
    _look(looks, spent_ns=2 * ROOM_NS, now_ns=2 * SECOND)
    looks.note(_news(2 * SECOND, 1))
    assert looks.due_ns(3 * SECOND) is None
    looks.note(_news(3 * SECOND, 2))
    assert looks.due_ns(4 * SECOND) == 0


def test_time_comes_back() -> None:
    looks = _looks({1: "wanted"})
    looks.note(_news(SECOND, 1))
    assert looks.due_ns(2 * SECOND) == 0
    _look(looks, spent_ns=2 * ROOM_NS, now_ns=2 * SECOND)
    looks.note(_news(2 * SECOND, 1))
    assert looks.due_ns(60 * SECOND) == 0


def test_who_did_not_ask_is_heard_although_all_time_is_spent() -> None:
    looks = _looks({1: "wanted", 2: "wanted"})
    looks.note(_news(SECOND, 1))
    assert looks.due_ns(2 * SECOND) == 0
    _look(looks, spent_ns=2 * ROOM_OF_ALL_NS, now_ns=2 * SECOND)
    looks.note(_news(2 * SECOND, 2))
    assert looks.due_ns(2 * SECOND + GATHER_NS) == 0


def test_a_look_that_found_something_costs_its_asker_less() -> None:
    looks = _looks({1: "wanted"})
    looks.note(_news(SECOND, 1))
    assert looks.due_ns(2 * SECOND) == 0
    askers = looks.begin()
    looks.found()
    looks.looked(askers, 2 * ROOM_NS, 2 * SECOND)
    looks.note(_news(2 * SECOND, 1))
    assert looks.due_ns(2 * SECOND + GATHER_NS) == 0


def test_a_look_that_was_asked_for_comes_without_news_and_once() -> None:
    looks = _looks({1: "wanted"})
    looks.remind(5 * SECOND)
    assert looks.due_ns(4 * SECOND) == SECOND
    looks.note(_news(4 * SECOND, 1))
    assert looks.due_ns(4 * SECOND) == GATHER_NS
    _look(looks, spent_ns=1, now_ns=4 * SECOND + GATHER_NS)
    assert looks.due_ns(6 * SECOND) is None


def test_a_look_that_was_asked_for_waits_where_no_time_is_left() -> None:
    looks = _looks({1: "wanted"})
    looks.note(_news(SECOND, 1))
    assert looks.due_ns(2 * SECOND) == 0
    _look(looks, spent_ns=ROOM_OF_ALL_NS + SECOND, now_ns=2 * SECOND)
    looks.remind(2 * SECOND)
    assert looks.due_ns(2 * SECOND) is None
