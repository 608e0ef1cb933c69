"""Messages of DNS over TCP, put together from segments."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler import dns_tcp as subject
from profiler.dns_tcp import Streams

pytestmark = pytest.mark.unit

COOKIE, OWNER = 7, 3
MESSAGES = st.lists(st.binary(min_size=12, max_size=200), min_size=1, max_size=8)


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def fed(streams: Streams, *segments: tuple[int, bytes]) -> list[bytes]:
    return [found for at, part in segments for found in streams.take(COOKIE, OWNER, at, part)]


def test_a_message_in_one_segment() -> None:
    assert fed(Streams(), (0, framed(b"a" * 30))) == [b"a" * 30]


def test_several_in_one_segment_and_one_over_several() -> None:
    data = framed(b"a" * 30, b"b" * 40, b"c" * 50)
    parts = [(0, data[:80]), (80, data[80:81]), (81, data[81:])]
    assert fed(Streams(), *parts) == [b"a" * 30, b"b" * 40, b"c" * 50]


def test_a_retransmission_that_has_more_is_taken_for_what_is_new() -> None:
    data = framed(b"a" * 30)
    assert fed(Streams(), (0, data[:10]), (0, data)) == [b"a" * 30]


@given(MESSAGES, st.integers(1, 60), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_messages(
    messages: list[bytes], size: int, chance: random.Random
) -> None:
    data = framed(*messages)
    segments = [(at, data[at : at + size]) for at in range(0, len(data), size)]
    segments += chance.sample(segments, len(segments) // 2)  # what came twice
    chance.shuffle(segments)
    streams = Streams()
    assert fed(streams, *segments) == messages
    assert not streams.lost
    assert streams._bytes == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, (1 << 32) - 1), st.binary(max_size=64)),
        max_size=60,
    )
)
def test_hostile_segments_neither_raise_nor_pile_up(
    segments: list[tuple[int, int, bytes]],
) -> None:
    streams = Streams()
    for cookie, at, part in segments:
        for message in streams.take(cookie, OWNER, at, part):
            assert len(message) >= 12
    held = sum(stream.size() for stream in streams._streams.values())
    assert held == streams._bytes <= sum(len(part) for _, _, part in segments)


def test_positions_go_on_after_four_gigabytes() -> None:
    streams = Streams()
    streams.take(COOKIE, OWNER, 0, b"")
    streams._streams[COOKIE].next = (1 << 32) - 5
    data = framed(b"a" * 30)
    assert fed(streams, ((1 << 32) - 5, data[:5]), (0, data[5:])) == [b"a" * 30]


def test_what_is_no_dns_is_counted_once_and_left() -> None:
    streams = Streams()
    assert fed(streams, (0, bytes(100)), (100, framed(b"a" * 30))) == []
    assert streams.lost == {(OWNER, "malformed"): 1}
    assert streams._bytes == 0


def test_what_comes_before_its_turn_is_kept_up_to_a_limit() -> None:
    streams = Streams()
    for at in range(100, 200_000, 1000):
        streams.take(COOKIE, OWNER, at, bytes(1000))
    assert streams.lost == {(OWNER, "truncated"): 1}
    assert streams._bytes == 0


def test_many_small_parts_before_their_turn_are_given_up() -> None:
    streams = Streams()
    for at in range(1000):
        streams.take(COOKIE, OWNER, 10 + 2 * at, b"x")
    assert streams.lost == {(OWNER, "truncated"): 1}


def test_the_oldest_streams_are_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_STREAMS_LIMIT", 10)
    streams = Streams()
    for cookie in range(15):
        streams.take(cookie, cookie, 0, b"\0\x20half")
    assert streams.lost == {(cookie, "truncated"): 1 for cookie in range(5)}


def test_all_streams_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_BYTES_LIMIT", 10_000)
    streams = Streams()
    for cookie in range(50):
        streams.take(cookie, OWNER, 0, b"\xff\xff" + bytes(998))
    assert streams._bytes <= 10_000
    assert sum(streams.lost.values()) == 40
