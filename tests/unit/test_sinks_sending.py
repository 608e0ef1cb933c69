"""Sending what waits: tried again after failures, without what is refused, and in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from detector.sinks.protocol import LaterError, Record, RefusedError
from detector.sinks.sending import STATE_NAME, Sending
from tests.sinks import filled

pytestmark = pytest.mark.unit


class Receiver:
    """An outlet that does as *answers* say, and then takes everything."""

    batch = 10

    def __init__(self, answers: Sequence[Exception | None] = ()) -> None:
        self.answers = list(answers)
        self.taken: list[str] = []
        self.refuses: Callable[[Record], bool] = lambda _: False
        self.is_closed = False

    def send(self, records: Sequence[Record]) -> None:
        if self.answers and (answer := self.answers.pop(0)):
            raise answer
        if any(self.refuses(record) for record in records):
            raise RefusedError("status 400")
        self.taken += [record.body["process"]["argv"][-1] for record in records]

    def close(self) -> None:
        self.is_closed = True


def send(directory: Path, receiver: Receiver, count: int = 23) -> tuple[list[float], Any]:
    """Send *count* findings to *receiver*; return the pauses, and what the spool says then."""
    pauses: list[float] = []
    reader = filled(directory, range(count))
    Sending(
        reader, receiver, directory=directory, idle=lambda _: None,
        pause=pauses.append, is_over=lambda: True, pick=lambda _, most: most,
    ).run()  # fmt: skip
    return pauses, reader.position


def test_everything_arrives_in_order(tmp_path: Path) -> None:
    receiver = Receiver()
    pauses, position = send(tmp_path, receiver)
    assert receiver.taken == [f"id {number}" for number in range(23)]
    assert (pauses, position.sent, receiver.is_closed) == ([], 23, True)
    assert json.loads((tmp_path / STATE_NAME).read_bytes())["state"] == "ok"


def test_pauses_double_up_to_a_minute_and_begin_anew_once_something_arrived(tmp_path: Path) -> None:
    down = LaterError("connection refused")
    receiver = Receiver([down] * 9 + [None, down])
    pauses, position = send(tmp_path, receiver)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 0.5]
    assert position.sent == 23
    assert receiver.taken == [f"id {number}" for number in range(23)]


def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_any(tmp_path: Path) -> None:
    receiver = Receiver([LaterError("status 429", after_s=90), LaterError("", after_s=1e9)])
    pauses, _ = send(tmp_path, receiver)
    assert pauses == [90.5, 301]


def test_one_that_is_refused_is_left_out_and_counted(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.refuses = lambda record: record.body["process"]["argv"][-1] == "id 13"
    _, position = send(tmp_path, receiver)
    assert receiver.taken == [f"id {number}" for number in range(23) if number != 13]
    assert (position.sent, position.refused) == (22, 1)


def test_a_receiver_that_took_a_part_is_not_sent_it_again(tmp_path: Path) -> None:
    receiver = Receiver([RefusedError("too old", count=4)])
    _, position = send(tmp_path, receiver, count=10)
    assert receiver.taken == []
    assert (position.sent, position.refused) == (6, 4)


def test_a_sink_that_is_wrong_is_tried_again_like_one_that_is_down(tmp_path: Path) -> None:
    receiver = Receiver([ZeroDivisionError("bug")])
    pauses, position = send(tmp_path, receiver)
    assert pauses == [0.5]
    assert position.sent == 23


def test_a_spool_that_cannot_be_read_is_tried_again_and_that_is_said(tmp_path: Path) -> None:
    receiver, reader = Receiver(), filled(tmp_path, range(3))
    hidden, said = tmp_path.with_name("elsewhere"), []
    tmp_path.rename(hidden)

    def pause(_: float) -> None:
        said.append(json.loads((hidden / STATE_NAME).read_bytes())["error"])
        if len(said) == 2:
            hidden.rename(tmp_path)

    Sending(
        reader, receiver, directory=hidden, idle=lambda _: None, pause=pause, is_over=lambda: True
    ).run()
    assert said == ["the spool cannot be read: no such file or directory"] * 2
    assert receiver.taken == [f"id {number}" for number in range(3)]


def test_what_went_wrong_is_told_to_the_watch_without_controls(tmp_path: Path) -> None:
    told = []
    receiver = Receiver([LaterError("down \x1b[2J" + "x" * 1000)])
    reader = filled(tmp_path, range(3))
    Sending(
        reader, receiver, directory=tmp_path, idle=lambda _: None, is_over=lambda: True,
        pause=lambda _: told.append(json.loads((tmp_path / STATE_NAME).read_bytes())),
    ).run()  # fmt: skip
    assert told[0]["state"] == "retrying"
    assert told[0]["error"].startswith(r"down \x1b[2Jxxx")
    assert len(told[0]["error"]) == 300
