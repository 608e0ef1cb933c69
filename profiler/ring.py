"""BPF ring buffers, read through their memory map in batches.

Layout: kernel/bpf/ringbuf.c. A page with the consumer's position, a page with the producer's, then
the data, mapped twice so that no record is cut. Each record has a header of a u32 length (bit 31
busy, bit 30 discarded) and a u32 page offset, and is padded to eight bytes.
"""

from __future__ import annotations

import mmap
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ethogram.contracts.events import STRUCTS, RecordKind
from profiler.barrier import KEEPS_ORDER, barrier
from profiler.libbpf import Map
from profiler.wire import checked, foreign

__all__ = ["STRUCT_OF", "Records", "Ring", "parse", "with_small_as_one"]

_BUSY, _DISCARDED, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1
_HEADER = 8
_SMALL, _MANY = 1000, 8  # records of a batch, and batches
_CHUNK = 1 << 20  # read at once; the longest record is some 16 KiB

STRUCT_OF = {
    RecordKind.SLOT: STRUCTS["slot_record"],
    RecordKind.CGROUP: STRUCTS["cgroup_record"],
    RecordKind.EXEC: STRUCTS["process_record"],
    RecordKind.EXEC_FAILED: STRUCTS["process_record"],
    RecordKind.FORK: STRUCTS["fork_record"],
    RecordKind.EXIT: STRUCTS["exit_record"],
    RecordKind.FILE: STRUCTS["file_record"],
    RecordKind.OPERATION: STRUCTS["operation_record"],
    RecordKind.PACKET: STRUCTS["packet_record"],
    RecordKind.SEGMENT: STRUCTS["packet_record"],
    RecordKind.NEWS: STRUCTS["news_record"],
}


@dataclass(frozen=True, slots=True)
class Records:
    """Ring records of one kind, in the order they were written.

    `heads` is a structured array of the kind's struct, `tails` the bytes that followed each.
    """

    heads: np.ndarray
    tails: list[bytes]


def with_small_as_one(batches: list[Records]) -> list[Records]:
    """Return *batches* of one kind, the many small ones as one: each takes time to be asked."""
    small = [batch for batch in batches if len(batch.tails) < _SMALL]
    if len(small) < _MANY:
        return batches
    heads = np.concatenate([batch.heads for batch in small])
    tails = [tail for batch in small for tail in batch.tails]
    return [*(one for one in batches if len(one.tails) >= _SMALL), Records(heads, tails)]


class Ring:
    """The consuming end of one ring buffer map.

    Only the positions stay mapped. Of the data what is read is mapped while it is read: a ring
    that is mapped whole counts as this process's memory, used or not.

    Where the machine does not keep loads in order, *is_ordered* False, the length of a record,
    which says that it is whole, is read before its data: what was committed is read again.
    """

    def __init__(self, ring: Map, *, is_ordered: bool = KEEPS_ORDER) -> None:
        self._is_ordered = is_ordered
        self._fd = os.dup(ring.fd)
        self._mask = ring.max_entries - 1
        self._consumer_map = mmap.mmap(self._fd, mmap.PAGESIZE)
        self._producer_map = mmap.mmap(
            self._fd, mmap.PAGESIZE, prot=mmap.PROT_READ, offset=mmap.PAGESIZE
        )
        self._consumed = np.frombuffer(self._consumer_map, np.uint64, 1)
        self._produced = np.frombuffer(self._producer_map, np.uint64, 1)

    def take(self) -> Iterator[tuple[RecordKind, Records]]:
        """Yield what was committed before the call, by kind; frees its room as it goes.

        Stops at the first record that is still being written. `CaptureError` for a record too
        short for its kind, or of no kind: object and package differ.
        """
        begin, end = int(self._consumed[0]), int(self._produced[0])
        while begin < end:
            data = self._read(begin, min(end - begin, _CHUNK))
            is_whole = len(data) == end - begin
            if not self._is_ordered:
                barrier()
                data = self._read(begin, _committed(data))
            taken, length = parse(data, is_whole=is_whole or not self._is_ordered)
            begin += length
            if not self._is_ordered:
                barrier()
            self._consumed[0] = begin
            yield from taken.items()
            if not length:
                return

    def _read(self, begin: int, size: int) -> bytes:
        """Return a copy of *size* bytes from position *begin*."""
        if not size:
            return b""
        at = begin & self._mask
        skipped = at % mmap.PAGESIZE
        with mmap.mmap(
            self._fd,
            skipped + size,
            prot=mmap.PROT_READ,
            offset=2 * mmap.PAGESIZE + at - skipped,
        ) as data:
            return data[skipped : skipped + size]

    def close(self) -> None:
        """Unmap it."""
        del self._consumed, self._produced
        self._producer_map.close()
        self._consumer_map.close()
        os.close(self._fd)


def _committed(data: bytes) -> int:
    """Return the bytes of the records at the beginning of *data* that are whole."""
    position = 0
    while position + _HEADER <= len(data):
        header = int.from_bytes(data[position : position + 4], "little")
        following = position + ((_HEADER + (header & _LENGTH) + 7) & ~7)
        if header & _BUSY or following > len(data):
            break
        position = following
    return position


def parse(data: bytes, *, is_whole: bool) -> tuple[dict[RecordKind, Records], int]:
    """Return the records at the beginning of *data*, by kind, and the bytes that they take.

    Ends before the first that is still being written and, unless *data* *is_whole*, before one
    that it cuts. `CaptureError` where the bytes are no records.
    """
    size = len(data)
    words = memoryview(data)[: size & ~3].cast("I")
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    position = 0
    while position + _HEADER <= size:
        header = words[position >> 2]
        if header & _BUSY:
            break
        length = header & _LENGTH
        following = position + ((_HEADER + length + 7) & ~7)
        if following > size:
            if is_whole or not position:
                raise foreign("ends after the ring's last byte")
            break
        if not header & _DISCARDED:
            kind = words[(position + _HEADER) >> 2] if length >= 4 else 0
            places[kind].append((position + _HEADER, length))
        position = following
    return {kind: _records(kind, data, places[kind]) for kind in map(_known, places)}, position


def _known(kind: int) -> RecordKind:
    try:
        return RecordKind(kind)
    except ValueError:
        raise foreign(f"is of kind {kind}") from None


def _records(kind: RecordKind, data: bytes, where: list[tuple[int, int]]) -> Records:
    dtype = STRUCT_OF[kind].dtype
    if any(length < dtype.itemsize for _, length in where):
        raise foreign(f"is too short for {kind.name}")
    starts = np.fromiter((start for start, _ in where), np.int64, len(where))
    raw = np.frombuffer(data, np.uint8)
    heads = raw[starts[:, None] + np.arange(dtype.itemsize)].view(dtype).reshape(-1)
    tails = [data[start + dtype.itemsize : start + length] for start, length in where]
    return Records(checked(heads), tails)
