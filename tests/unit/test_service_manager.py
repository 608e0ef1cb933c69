"""What a service manager is told: by datagrams to a socket, when, and never so that it waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.cli.service_manager import ServiceManager

pytestmark = pytest.mark.unit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd opens it, and what the environment calls it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@ethogram-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1))
        listener.setblocking(False)
        yield listener, name


def heard(listener: socket.socket) -> list[str]:
    lines: list[str] = []
    try:
        while True:
            lines += listener.recv(4096).decode().splitlines()
    except BlockingIOError:
        return lines


def test_it_is_told_of_the_beginning_each_change_and_the_end(
    manager: tuple[socket.socket, str],
) -> None:
    listener, name = manager
    clock = Clock()
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000"}
    told = ServiceManager(environment, window_s=1, clock=clock)
    assert heard(listener) == []
    told.ready()
    assert heard(listener) == ["READY=1", "STATUS=watching"]
    told.lives("1 workload")
    assert heard(listener) == ["STATUS=1 workload", "WATCHDOG=1"]
    clock.now += 4.9
    told.lives("1 workload")
    assert heard(listener) == []
    clock.now += 0.2
    told.lives("1 workload")
    assert heard(listener) == ["WATCHDOG=1"]
    told.close()
    assert heard(listener) == ["STOPPING=1"]


def test_nobody_asked_for_signs_of_life(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    others = str(os.getpid() + 1)
    for environment in ({}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": others}, {"WATCHDOG_USEC": "x"}):
        told = ServiceManager({"NOTIFY_SOCKET": name, **environment}, window_s=1)
        told.lives("x")
        told.close()
        assert heard(listener) == ["STATUS=x", "STOPPING=1"]


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/notify"])
def test_without_a_manager_it_goes_on(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": name}, window_s=1)
    told.ready()
    told.lives("x")
    told.close()
    said = capsys.readouterr().err
    assert ("does not answer" in said) == name.startswith("/")


def test_a_manager_that_reads_nothing_holds_nobody_up(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    told = ServiceManager({"NOTIFY_SOCKET": name}, window_s=1)
    for number in range(10_000):
        told.lives(str(number))
    told.close()
    assert 0 < len(heard(listener)) < 10_000


def test_a_watchdog_shorter_than_a_window_is_warned_of(
    manager: tuple[socket.socket, str], capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"NOTIFY_SOCKET": manager[1], "WATCHDOG_USEC": "10000000"}
    ServiceManager(environment, window_s=6).close()
    assert "WatchdogSec= is 10 s and a window 6 s" in capsys.readouterr().err
