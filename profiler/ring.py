"""BPF ring buffers, read through their memory map in batches.

Layout: kernel/bpf/ringbuf.c. A page with the consumer's position, a page with the producer's, then
the data, mapped twice so that no record is cut. Each record has a header of a u32 length (bit 31
busy, bit 30 discarded) and a u32 page offset, and is padded to eight bytes.
"""

from __future__ import annotations

import mmap
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ethogram.contracts.events import STRUCTS, RecordKind
from profiler.libbpf import Map

__all__ = ["STRUCT_OF", "Records", "Ring"]

_BUSY, _DISCARDED, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1
_HEADER = 8

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
}


@dataclass(frozen=True, slots=True)
class Records:
    """Ring records of one kind, in the order they were written.

    `heads` is a structured array of the kind's struct, `tails` the bytes that followed each.
    """

    heads: np.ndarray
    tails: list[bytes]


class Ring:
    """The consuming end of one ring buffer map."""

    def __init__(self, ring: Map) -> None:
        size, page = ring.max_entries, mmap.PAGESIZE
        self._mask = size - 1
        self._consumer_map = mmap.mmap(ring.fd, page)
        self._producer_map = mmap.mmap(ring.fd, page + 2 * size, prot=mmap.PROT_READ, offset=page)
        self._consumed = np.frombuffer(self._consumer_map, np.uint64, 1)
        self._produced = np.frombuffer(self._producer_map, np.uint64, 1)
        self._data = memoryview(self._producer_map)[page:]

    def take(self) -> dict[RecordKind, Records]:
        """Return what was committed since the last call, by kind; frees its room.

        Stops at the first record that is still being written. A record too short for its kind, or
        of no kind, would mean that object and package differ: `ValueError`.
        """
        begin = int(self._consumed[0])
        # x86-64 keeps loads in order; elsewhere a barrier would be needed here.
        size = int(self._produced[0]) - begin
        if not size:
            return {}
        at = begin & self._mask
        words = self._data[at : at + size].cast("I")
        places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        position = 0
        while position < size:
            header = words[position >> 2]
            if header & _BUSY:
                break
            length = header & _LENGTH
            if not header & _DISCARDED:
                places[words[(position + _HEADER) >> 2]].append((position + _HEADER, length))
            position += (_HEADER + length + 7) & ~7
        data = bytes(self._data[at : at + position])
        words.release()
        self._consumed[0] = begin + position
        return {RecordKind(kind): _records(RecordKind(kind), data, where)
                for kind, where in places.items()}  # fmt: skip

    def close(self) -> None:
        """Unmap it."""
        del self._consumed, self._produced
        self._data.release()
        self._producer_map.close()
        self._consumer_map.close()


def _records(kind: RecordKind, data: bytes, where: list[tuple[int, int]]) -> Records:
    dtype = STRUCT_OF[kind].dtype
    if any(length < dtype.itemsize for _, length in where):
        raise ValueError(f"a record of kind {kind.name} is too short")
    starts = np.fromiter((start for start, _ in where), np.int64, len(where))
    raw = np.frombuffer(data, np.uint8)
    heads = raw[starts[:, None] + np.arange(dtype.itemsize)].view(dtype).reshape(-1)
    tails = [data[start + dtype.itemsize : start + length] for start, length in where]
    return Records(heads, tails)
