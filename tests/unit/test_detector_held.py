"""What waits a second for what belongs to it, and what is part of what was told."""

from __future__ import annotations

import pytest

from detector.deviations import Deviation
from detector.held import HELD_NS, Held, Small
from detector.twice import Twice
from ethogram.contracts.baseline import AnyValue, FileValue, OperationValue, SyscallValue

pytestmark = pytest.mark.unit

START_NS = 1_795_413_600 * 10**9


def small(
    path: str, *, instance: int = 1, tree: str | None = "a", phase: str = "exec", at_ns: int = 0
) -> Small:
    value = FileValue(path=path, access="r")
    deviation = Deviation(
        instance_key="host/1", phase=phase, dimension="files", value=value, exe=b"/bin/sh",
        first_ns=START_NS + at_ns, last_ns=START_NS + at_ns, count=1,
    )  # fmt: skip
    return Small(instance, deviation, tree)


def take(held: Held, at_ns: int, *some: Small) -> list[tuple[str, int]]:
    return [(one.value.path, one.count) for _, one in held.take(list(some), START_NS + at_ns)]  # type: ignore[union-attr]


def test_the_first_of_a_tree_is_told_at_once_and_the_rest_together() -> None:
    held = Held()
    assert take(held, 0, small("/a")) == [("/a", 1)]
    assert held.due_ns() is None
    assert take(held, 10, small("/b", at_ns=10)) == []
    assert take(held, 20, small("/c"), small("/b", at_ns=20)) == []
    assert held.due_ns() == START_NS + HELD_NS
    assert held.since_ns() == START_NS
    assert take(held, HELD_NS) == [("/b", 2), ("/c", 1)]
    assert held.due_ns() is None


def test_a_session_that_goes_on_is_told_of_once_a_second() -> None:
    held = Held()
    told = [take(held, number * HELD_NS // 4, small(f"/{number}")) for number in range(9)]
    assert [len(one) for one in told] == [1, 0, 0, 0, 4, 0, 0, 0, 4]


def test_what_comes_after_a_while_is_told_at_once() -> None:
    held = Held()
    take(held, 0, small("/a"))
    assert take(held, 5 * HELD_NS, small("/b")) == [("/b", 1)]


@pytest.mark.parametrize("other", [{"tree": "b"}, {"instance": 2}, {"phase": "startup"}])
def test_others_do_not_wait_for_it(other: dict[str, object]) -> None:
    held = Held()
    take(held, 0, small("/a"))
    assert take(held, 10, small("/b", **other)) == [("/b", 1)]  # type: ignore[arg-type]


def test_what_nobody_is_known_to_have_done_is_of_the_tree_that_is_there() -> None:
    held = Held()
    take(held, 0, small("/a"))
    assert take(held, 10, small("/b", tree=None)) == []
    assert take(held, 20, small("/c", tree=None, instance=2)) == [("/c", 1)]


def test_at_the_end_nothing_waits() -> None:
    held = Held()
    take(held, 0, small("/a"))
    take(held, 10, small("/b"))
    assert [one.value for _, one in held.release()] == [FileValue(path="/b", access="r")]
    assert list(held.release()) == []


def test_who_does_very_much_waits_no_longer() -> None:
    held = Held()
    take(held, 0, small("/a"))
    assert len(take(held, 10, *(small(f"/{number}") for number in range(600)))) == 600


def test_what_may_be_part_of_more_waits_though_it_is_the_first() -> None:
    held = Held()
    first = small("/a")._replace(is_part=True)
    assert take(held, 0, first) == []
    assert take(held, HELD_NS, small("/b")) == [("/a", 1), ("/b", 1)]


# --- told twice -----------------------------------------------------------------------------------

PTRACE = SyscallValue(arch="x86_64", nr=101, name="ptrace")
SOCKET = OperationValue(operation="input_socket", target="inet")


@pytest.mark.parametrize(
    ("rule", "value", "part"),
    [
        ("process-trace", OperationValue(operation="ptrace"), PTRACE),
        ("", OperationValue(operation="ptrace"), PTRACE),
        ("shell-on-socket", None, SOCKET),
    ],
)
def test_what_is_part_of_what_was_told_is_not_told_again(
    rule: str, value: AnyValue | None, part: AnyValue
) -> None:
    twice = Twice()
    twice.note(1, rule, value, "medium", START_NS)
    assert twice.is_told(1, part, "medium", START_NS + 10**9)
    assert not twice.is_told(1, part, "high", START_NS)  # graver than what was told
    assert not twice.is_told(2, part, "low", START_NS)
    assert not twice.is_told(1, part, "low", START_NS + 3600 * 10**9)


def test_other_calls_are_part_of_nothing() -> None:
    twice = Twice()
    twice.note(1, "process-trace", OperationValue(operation="ptrace"), "high", START_NS)
    assert not twice.is_told(1, SyscallValue(arch="x86_64", nr=0, name="read"), "low", START_NS)
    twice.note(1, "", SOCKET, "low", START_NS)
    assert not twice.is_told(1, SOCKET, "low", START_NS)  # alone it is told
