"""Arguments of calls in baselines: what is written, read and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, CallArguments, dump_baseline, parse_baseline
from ethogram.contracts.call_arguments import VETTED
from ethogram.contracts.syscall_names import number_of
from ethogram.errors import BaselineError
from learner.difference import differences
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit

SOCKET: dict[str, Any] = {
    "arch": "x86_64",
    "name": "socket",
    "index": 0,
    "values": [
        {"value": 1, "calls": 23, "phases": ["startup", "steady"]},
        {"value": 16, "calls": 1, "phases": ["runtime"]},
    ],
}


def baseline_with(*calls: dict[str, Any]) -> Baseline:
    arguments = tuple(CallArguments.model_validate(call) for call in calls)
    return make_baseline("read", arguments=arguments)


def test_each_value_is_one_line() -> None:
    text = dump_baseline(baseline_with(SOCKET))
    assert "\n  - arch: x86_64\n    name: socket\n    index: 0\n    others: false\n" in text
    assert "\n      - {value: 1, calls: 23, phases: [startup, steady]}\n" in text


def test_arguments_survive_being_written_and_read() -> None:
    widest = {**SOCKET, "name": "mprotect", "index": 2,
              "values": [{"value": (1 << 64) - 1, "calls": 1, "phases": ["steady"]}]}  # fmt: skip
    others = {"arch": "x86_64", "name": "ioctl", "index": 1, "others": True}
    baseline = baseline_with(others, widest, SOCKET)
    assert parse_baseline(dump_baseline(baseline)) == baseline


def test_none_made_is_not_the_same_as_not_looked_at() -> None:
    looked = make_baseline("read", arguments=())
    assert parse_baseline(dump_baseline(looked)).arguments == ()
    assert parse_baseline(dump_baseline(make_baseline("read"))).arguments is None
    assert "arguments" not in dump_baseline(make_baseline("read"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{value: 1,", "{value: -1,"),
        ("{value: 1,", '{value: "1",'),
        ("{value: 1,", "{value: 18446744073709551616,"),
        ("{value: 1,", "{value: 16,"),
        ("{value: 16,", "{value: 0,"),
        ("index: 0", "index: 6"),
        ("phases: [runtime]", "phases: [sunday]"),
    ],
)
def test_a_wrong_value_is_refused(old: str, new: str) -> None:
    text = dump_baseline(baseline_with(SOCKET))
    assert old in text
    with pytest.raises(BaselineError, match=r"`arguments\."):
        parse_baseline(text.replace(old, new))


def test_a_call_stands_once() -> None:
    with pytest.raises(ValueError, match="each once"):
        baseline_with(SOCKET, SOCKET)


def value(number: int, *phases: str) -> dict[str, Any]:
    return {"value": number, "calls": 1, "phases": phases or ("steady",)}


@pytest.mark.parametrize(
    ("values", "others", "said"),
    [
        ([value(1), value(2)], False, ["0x2"]),
        ([value(1), value(2, "runtime")], False, []),
        ([], False, []),
        ([value(1)], True, ["others that are not told"]),
        ([value(number) for number in range(2, 14)], False,
         ["0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 4 more"]),
    ],
)  # fmt: skip
def test_a_difference_says_which_values_are_new(
    values: list[dict[str, Any]], others: bool, said: list[str]
) -> None:
    old = baseline_with({**SOCKET, "values": [value(1)]})
    new = baseline_with({**SOCKET, "values": values, "others": others})
    (found,) = differences([(Path("old"), old)], [(Path("new"), new)])
    where = "argument 0 of socket (x86_64) was given new values: "
    assert list(found.notes) == [where + one for one in said]
    assert found.changes == ()


def test_what_one_side_does_not_know_is_no_news() -> None:
    known, others = baseline_with(SOCKET), baseline_with({**SOCKET, "others": True})
    for old in (make_baseline("read"), others):
        (found,) = differences([(Path("old"), old)], [(Path("new"), known)])
        assert found.notes == ()


def test_a_screen_counts_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ioctl = {"arch": "i386", "name": "ioctl", "index": 1, "others": True}
    path = tmp_path / "a.baseline.yaml"
    path.write_text(dump_baseline(baseline_with(ioctl, SOCKET)))
    assert run(["show", str(path)]) == 0
    said = "values of arguments: ioctl (i386) 0 and others, socket 2"
    assert said in " ".join(capsys.readouterr().out.split())


def test_vetted_calls_are_calls_of_both_architectures() -> None:
    for name, argument in VETTED.items():
        assert number_of("x86_64", name) is not None
        assert number_of("aarch64", name) is not None
        assert 0 <= argument.index <= 5
