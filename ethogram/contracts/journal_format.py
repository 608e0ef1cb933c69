"""Where a journal lies, and how much of one of its streams is whole.

A journal is one Arrow IPC stream a table and part. A recorder that was killed leaves a stream that
ends anywhere: inside a length, inside metadata, inside a body, or in zeros that a file system put
there. The frames are walked before Arrow reads a row, so that it meets whole messages only.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from ethogram.contracts.plain_file import open_plain

__all__ = [
    "JOURNAL_DIRECTORY",
    "JOURNAL_SUFFIX",
    "PARQUET_SUFFIX",
    "StreamExtent",
    "part_name",
    "part_of",
    "read_stream",
    "scan_stream",
]

JOURNAL_DIRECTORY = "journal"
JOURNAL_SUFFIX = ".arrows"
PARQUET_SUFFIX = ".parquet"

_CONTINUATION = 0xFFFFFFFF
_RECORD_BATCH = 3
_MAX_METADATA = 16 << 20
_PART = re.compile(r"([a-z_]+)-(\d{5})(\.arrows|\.parquet)")


def part_name(table: str, part: int, suffix: str) -> str:
    """Return the file name of part number *part* of *table*."""
    return f"{table}-{part:05d}{suffix}"


def part_of(name: str) -> tuple[str, int, str] | None:
    """Return (table, part, suffix) of a file name, or None where it is no part's."""
    match = _PART.fullmatch(name)
    return (match[1], int(match[2]), match[3]) if match else None


@dataclass(frozen=True, slots=True)
class StreamExtent:
    """How many whole batches a stream holds; *is_truncated* where bytes of another follow."""

    batches: int
    is_truncated: bool


def scan_stream(path: Path) -> StreamExtent:
    """Return how much of the stream *path* is whole; `ValueError` where it is no such stream."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        batches = 0
        offset = 0
        while offset < size:
            message = _message(file, offset, size)
            if message is None:
                return StreamExtent(batches, is_truncated=True)
            length, kind = message
            if length > size - offset:
                return StreamExtent(batches, is_truncated=True)
            if kind is None and offset + length != size:
                raise ValueError(f"bytes follow its end at {offset}")
            batches += kind == _RECORD_BATCH
            offset += length
    return StreamExtent(batches, is_truncated=size == 0)


def _message(file: BinaryIO, offset: int, size: int) -> tuple[int, int | None] | None:
    """Return (length with its prefix, kind) of the message at *offset*, None where it is cut.

    The kind is None at the mark that ends a stream.
    """
    file.seek(offset)
    prefix = file.read(8)
    if len(prefix) < 8 or not any(prefix):
        return None
    continuation, metadata_length = struct.unpack("<Ii", prefix)
    if continuation != _CONTINUATION or not 0 <= metadata_length <= _MAX_METADATA:
        raise ValueError(f"no message begins at {offset}")
    if metadata_length == 0:
        return 8, None
    if metadata_length > size - offset - 8:
        return None
    metadata = file.read(metadata_length)
    if not any(metadata):
        return None
    try:
        kind, body_length = _header(metadata)
    except struct.error as error:
        raise ValueError(f"the message at {offset} is damaged") from error
    if body_length < 0:
        raise ValueError(f"the message at {offset} is damaged")
    return 8 + metadata_length + body_length, kind


def _header(metadata: bytes) -> tuple[int, int]:
    """Return (header type, body length) of the flatbuffer `Message` (Arrow's Message.fbs)."""
    (table,) = struct.unpack_from("<I", metadata, 0)
    (to_vtable,) = struct.unpack_from("<i", metadata, table)
    vtable = table - to_vtable
    if vtable < 0:
        raise struct.error("the vtable lies before the message")
    (vtable_size,) = struct.unpack_from("<H", metadata, vtable)
    offsets = [
        struct.unpack_from("<H", metadata, vtable + slot)[0] if slot < vtable_size else 0
        for slot in (6, 10)
    ]
    kind = struct.unpack_from("<B", metadata, table + offsets[0])[0] if offsets[0] else 0
    body = struct.unpack_from("<q", metadata, table + offsets[1])[0] if offsets[1] else 0
    return int(kind), int(body)


def read_stream(path: Path, batches: int) -> Iterator[pa.RecordBatch]:
    """Yield the first *batches* batches of the stream *path*, which `scan_stream` counted."""
    if not batches:
        return
    with pa.OSFile(os.fsencode(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        for _ in range(batches):
            yield reader.read_next_batch()
