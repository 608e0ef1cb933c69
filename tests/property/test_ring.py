"""Whatever stands in a ring: the records that were written, or one error, and never a wrong one."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.events import RecordKind
from ethogram.contracts.tables import ENUMS
from ethogram.errors import CaptureError
from profiler.ring import STRUCT_OF, parse

pytestmark = pytest.mark.property

BUSY, DISCARDED = 1 << 31, 1 << 30


def framed(content: bytes, flags: int = 0) -> bytes:
    """Return *content* as it stands in a ring."""
    whole = struct.pack("<II", len(content) | flags, 7) + content
    return whole + bytes(-len(whole) % 8)


@st.composite
def written(draw: st.DrawFn) -> tuple[RecordKind, bytes]:
    """A record as the kernel side writes it: its kind, the rest of the struct, what follows."""
    kind = draw(st.sampled_from(RecordKind))
    dtype = STRUCT_OF[kind].dtype
    head = np.frombuffer(draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize)), dtype)
    head = head.copy()
    head["kind"] = kind
    if "time_ns" in (dtype.names or ()):
        head["time_ns"] >>= np.uint64(3)
    for name in {"phase", "operation", "stdio", "direction"} & set(dtype.names or ()):
        head[name] %= len(ENUMS[name])
    return kind, head.tobytes() + draw(st.binary(max_size=40))


def taken(data: bytes, *, is_whole: bool = True) -> tuple[list[tuple[RecordKind, bytes]], int]:
    """Return kind and bytes of each record, those of a kind in their order, and the end."""
    found, end = parse(data, is_whole=is_whole)
    for kind, records in found.items():
        assert records.heads.dtype == STRUCT_OF[kind].dtype
        assert len(records.heads) == len(records.tails)
    return [
        (kind, head.tobytes() + tail)
        for kind, records in sorted(found.items())
        for head, tail in zip(records.heads, records.tails, strict=True)
    ], end


def in_order(records: list[tuple[RecordKind, bytes]]) -> list[tuple[RecordKind, bytes]]:
    return sorted(records, key=lambda record: record[0])


@given(st.lists(st.tuples(written(), st.booleans()), max_size=12))
def test_what_was_committed_comes_out_and_what_was_discarded_does_not(records):
    data = b"".join(framed(content, DISCARDED * gone) for (_, content), gone in records)
    wanted = [record for record, gone in records if not gone]
    assert taken(data) == (in_order(wanted), len(data))


@given(st.lists(written(), max_size=5), st.lists(written(), max_size=5), st.integers(0, BUSY - 1))
def test_nothing_after_a_record_that_is_being_written_is_taken(before, after, length):
    data = b"".join(framed(content) for _, content in before)
    busy = struct.pack("<II", length | BUSY, 0)  # its length need not be right yet
    rest = b"".join(framed(content) for _, content in after)
    assert taken(data + busy + rest) == (in_order(before), len(data))


@given(st.lists(written(), min_size=1, max_size=6), st.data())
def test_a_piece_of_a_ring_gives_its_whole_records(records, data):
    frames = [framed(content) for _, content in records]
    whole = b"".join(frames)
    size = data.draw(st.integers(len(frames[0]), len(whole)))
    found, end = taken(whole[:size], is_whole=False)
    count = len(found)
    assert found == in_order(records[:count])
    assert end == sum(map(len, frames[:count]))
    rest, last = taken(whole[end:])
    assert (rest, last) == (in_order(records[count:]), len(whole) - end)


@given(
    st.lists(written(), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 1 << 12), st.integers(0, 255)), max_size=6),
    st.integers(0, 1 << 12),
    st.booleans(),
)
def test_any_bytes_are_records_or_one_error(records, damage, size, is_whole):
    data = bytearray(b"".join(framed(content) for _, content in records))
    for at, value in damage:
        data[at % len(data)] = value
    try:
        found, end = taken(bytes(data[: size or None]), is_whole=is_whole)
    except CaptureError:
        return
    assert 0 <= end <= len(data)
    assert sum(len(content) for _, content in found) <= end


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_records_or_one_error(data, is_whole):
    try:
        _, end = taken(data, is_whole=is_whole)
    except CaptureError:
        return
    assert 0 <= end <= len(data)
