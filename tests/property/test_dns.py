"""Whatever a DNS payload holds, it is understood or refused, never an error."""

import time

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.dns import parse_reply

pytestmark = pytest.mark.property


def _valid() -> bytes:
    reply = dns.message.make_response(dns.message.make_query("www.example.org", "A"))
    for kind, value in (("CNAME", "a.example."), ("TXT", '"x"'), ("SRV", "1 2 3 a.example.")):
        reply.answer.append(dns.rrset.from_text("www.example.org.", 60, "IN", kind, value))
    reply.answer.append(dns.rrset.from_text("a.example.", 60, "IN", "A", "10.0.0.1", "10.0.0.2"))
    reply.use_edns(0)
    return reply.to_wire()


VALID = _valid()


def check(payload: bytes) -> None:
    reply = parse_reply(payload)
    if reply is not None:
        assert reply.qname == reply.qname.lower()
        assert reply.names[0] == reply.qname
        assert 0 <= reply.ttl < 1 << 32
        assert len(reply.answers) <= 64
        assert all(len(answer) in (4, 16) for answer in reply.answers)


@given(st.binary(max_size=600))
def test_any_bytes_are_understood_or_refused(payload):
    check(payload)
    check(b"\0\0\x81\x80\0\1\0\4\0\0\0\0" + payload)


@given(
    st.lists(st.tuples(st.integers(2, len(VALID) - 1), st.integers(0, 255)), max_size=12),
    st.integers(0, len(VALID)),
)
def test_a_damaged_reply_is_understood_or_refused(damage, size):
    payload = bytearray(VALID)
    for at, value in damage:
        payload[at] = value
    check(bytes(payload[:size]))


def test_the_worst_that_fits_takes_little_time():
    # Many records whose names are the longest there can be, by pointers to pointers.
    name = b"\x01a" * 120 + b"\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1"
    count = (4096 - 12 - len(name) - 4) // len(record)
    head = b"\0\0\x81\x80\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0"
    payload = head + name + b"\0\1\0\1" + record * count
    started = time.process_time()
    reply = parse_reply(payload)
    assert time.process_time() - started < 1
    assert reply is not None
    assert reply.answers == (b"\x0a\0\0\1",)
