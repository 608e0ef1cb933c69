"""The server and the probes: whoever asks gets one answer, and nobody else has to wait for it."""

import re
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import click
import pytest

from detector.sinks.outbox import SinkState, SinkStatus
from ethogram.cli.listening import AddressType, ListenAddress, sink_readings, telemetry_of
from profiler.telemetry.families import exposition
from profiler.telemetry.probes import not_alive, not_ready
from profiler.telemetry.server import Answer, Server
from profiler.telemetry.telemetry import Telemetry
from tests.telemetry import make_reading

pytestmark = pytest.mark.unit

CLIENTS = 16


# --- answers: over a UNIX socket, for tests of this tier have no network --------------------------


@pytest.fixture
def place(tmp_path: Path) -> Iterator[str]:
    """A socket at which `/x` is answered with its own name."""
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    server = Server(listener, lambda asked: Answer.text(HTTPStatus.OK, f"this is {asked}"))
    server.start()
    yield path
    server.close()


def connected(place: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(place)
    return client


def reply(client: socket.socket) -> bytes:
    """Return everything that comes until the other end closes."""
    data = b""
    while more := client.recv(65536):
        data += more
    return data


def asked(place: str, request: bytes) -> bytes:
    with connected(place) as client:
        client.sendall(request)
        return reply(client)


def test_a_request_is_answered_once(place: str) -> None:
    head, _, body = asked(place, b"GET /x?y=z HTTP/1.1\r\nHost: h\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 11\r\n" in head
    assert head.endswith(b"\r\nConnection: close")
    assert body == b"this is /x\n"


def test_head_has_the_length_and_no_body(place: str) -> None:
    head, _, body = asked(place, b"HEAD /x HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: 11\r\n" in head
    assert body == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"GET /x\r\n\r\n", b"400"),
        (b"GET http://other/x HTTP/1.1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x00\r\n\r\n", b"400"),
        (b"GET /x HTTP/1.1\r\nA: " + b"a" * 20_000, b"431"),
    ],
)
def test_what_is_no_request_is_refused(place: str, request_: bytes, status: bytes) -> None:
    assert asked(place, request_).split()[1] == status


def test_a_request_may_come_letter_by_letter(place: str) -> None:
    with connected(place) as client:
        for letter in b"GET /x HTTP/1.1\r\n\r\n":
            client.sendall(bytes([letter]))
        assert reply(client).endswith(b"this is /x\n")


def test_who_says_nothing_takes_nobodys_place(place: str) -> None:
    """One more than there is room for: the oldest is cut off, and who asks is answered."""
    silent = [connected(place) for _ in range(CLIENTS)]
    assert asked(place, b"GET /x HTTP/1.1\r\n\r\n").endswith(b"this is /x\n")
    assert silent[0].recv(1) == b""
    for client in silent:
        client.close()


def test_a_path_that_nobody_serves_is_not_said_back() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        telemetry = Telemetry(listener, command="watch", window_s=1.0, tier="full")
        answer = telemetry.answer("/<script>")
    assert answer.status == HTTPStatus.NOT_FOUND
    assert b"script" not in answer.body


def test_the_clock_of_probes_is_asked_anew() -> None:
    """A session that is stuck replaces no reading."""
    now = [100.0]
    with socket.socket(socket.AF_UNIX) as listener:
        telemetry = Telemetry(
            listener, command="watch", window_s=1.0, tier="full", clock=lambda: now[0]
        )
        assert telemetry.answer("/healthz") == Answer.text(HTTPStatus.OK, "alive")
        assert telemetry.answer("/readyz").status == HTTPStatus.SERVICE_UNAVAILABLE
        now[0] += 31
        assert telemetry.answer("/healthz").status == HTTPStatus.SERVICE_UNAVAILABLE


# --- probes ---------------------------------------------------------------------------------------


def test_alive_is_whose_windows_go_on() -> None:
    reading = make_reading(tick_s=100.0, window_s=1.0)
    assert not_alive(reading, 130.0) is None
    assert not_alive(reading, 131.0) == "no window ended for 31 s; one takes 1 s"


def test_long_windows_get_longer() -> None:
    reading = make_reading(tick_s=100.0, window_s=60.0)
    assert not_alive(reading, 690.0) is None
    assert not_alive(reading, 701.0)


def test_ready_is_who_saw_a_window_with_all_programs_by_a_baseline() -> None:
    assert list(not_ready(make_reading(), 100.0)) == []
    assert list(not_ready(make_reading(watch=None), 100.0)) == []
    young = make_reading(windows=0, refused=("exec_done",))
    assert list(not_ready(young, 100.0)) == [
        "the kernel refused the program `exec_done`",
        "no window has ended yet",
    ]
    assert any("no window ended for" in one for one in not_ready(make_reading(), 1000.0))


# --- the option -----------------------------------------------------------------------------------


def address_of(text: str) -> ListenAddress:
    return AddressType().convert(text, None, None)


def standing(sink: str, state: SinkState = "ok") -> SinkStatus:
    return SinkStatus(sink=sink, state=state, error=None, sent=1, refused=0, damaged=0, dropped=0,
                      waiting_bytes=0)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("9464", "127.0.0.1", 9464, True),
        ("127.0.0.1:0", "127.0.0.1", 0, True),
        ("localhost:9464", "127.0.0.1", 9464, True),
        ("[::1]:9464", "::1", 9464, True),
        ("0.0.0.0:9464", "0.0.0.0", 9464, False),
        ("[::]:9464", "::", 9464, False),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, is_loopback: bool) -> None:
    address = address_of(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)
    assert address_of(str(address)) == address


@pytest.mark.parametrize("text", [
    "", ":9464", "example.org:9464", "127.0.0.1", "127.0.0.1:65536", "::1:9464", "1.2.3:1", "[::1]",
    "127.0.0.1:\u0661", "-1",
])  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        address_of(text)


def test_a_sink_is_named_without_its_place() -> None:
    """The path of a webhook is a password often."""
    secret = "//hooks.example/services/T0/B0/s3cr3t"
    statuses = [standing("file:/var/log/f.jsonl"), standing(f"webhook+https:{secret}", "retrying")]
    readings = sink_readings(statuses)
    assert [(one.sink, one.number, one.works) for one in readings] == [
        ("file", 1, True), ("webhook", 2, False),
    ]  # fmt: skip
    assert b"s3cr3t" not in exposition(make_reading(sinks=readings))


@pytest.mark.parametrize(("text", "is_warned"), [("127.0.0.1:0", False), ("0.0.0.0:0", True)])
def test_an_address_that_others_reach_is_warned_of(
    text: str, is_warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"listen": address_of(text), "window": 1000, "tier": "full"}
    with telemetry_of(values, command="watch") as telemetry:
        assert telemetry is not None
    said = capsys.readouterr().err
    assert re.match(r"metrics on http://[0-9.]+:[1-9][0-9]*/metrics\n", said)
    assert ("warning: whoever reaches" in said) is is_warned
