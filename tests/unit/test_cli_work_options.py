"""How far the work has come: a terminal sees it, nobody else, and no error stands behind it."""

from __future__ import annotations

import io
import sys

import pytest

from ethogram.cli.screen import seconds
from ethogram.cli.work_options import progress, workers

pytestmark = pytest.mark.unit

CLEAR = "\r\x1b[K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return what the test says on a terminal; pytest sets its own one between set-up and test."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_a_terminal_sees_what_is_done_before_the_first_piece_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = terminal_of(monkeypatch)
    done = progress("fitting models")(1)
    assert terminal.getvalue() == f"{CLEAR}fitting models: 0 of 1 piece"
    done()
    assert terminal.getvalue() == f"{CLEAR}fitting models: 0 of 1 piece{CLEAR}"


def test_a_pipe_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress("fitting models")(2)()
    assert capsys.readouterr().err == ""


def test_what_failed_leaves_no_line_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)

    def fail() -> None:
        with workers(1, None, rows=0):
            progress("learning")(3)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert terminal.getvalue().endswith(f"learning: 0 of 3 pieces{CLEAR}")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0.0 s"), (0.0004, "1 ms"), (0.033, "33 ms"), (0.1, "0.1 s"), (130, "2 min 10 s")],
)
def test_a_short_time_is_told_in_milliseconds(value: float, words: str) -> None:
    assert seconds(value) == words
