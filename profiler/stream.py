"""One table's Arrow IPC stream on disk, whose end is always at a whole window or rolled back."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pyarrow as pa

from ethogram.contracts.durable import create_file, write_all

__all__ = ["TableStream"]

_SPILL_ROWS = 1 << 16
_SPILL_BYTES = 8 << 20


class _Buffer:
    """What Arrow writes into: bytes that are not on disk yet.

    Arrow ignores the count that a Python file's `write` returns, so a short write on a full disk
    would pass unseen; writing to the disk is therefore kept out of its hands.
    """

    closed = False

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def flush(self) -> None:
        """Nothing to do: `TableStream` writes."""

    def close(self) -> None:
        self.closed = True


class TableStream:
    """Rows of one part of one table: collected, written by `flush`, held by `commit`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._written = 0
        self._committed = 0
        self._is_open = True
        self._descriptor = create_file(path)
        self._buffer = _Buffer()
        self._writer = pa.ipc.new_stream(self._buffer, schema)

    @property
    def size_bytes(self) -> int:
        """Bytes that are held, whatever happens."""
        return self._committed

    def append(self, batch: pa.RecordBatch) -> None:
        """Take *batch*; much of it at once goes to disk before the window ends."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self._pending_bytes += batch.nbytes
        if self._pending_rows >= _SPILL_ROWS or self._pending_bytes >= _SPILL_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending, as few batches as can be; `OSError` as the disk says it."""
        if self._pending:
            rows = pa.Table.from_batches(self._pending, self._schema).combine_chunks()
            self._pending.clear()
            self._pending_rows = self._pending_bytes = 0
            for batch in rows.to_batches():
                self._writer.write_batch(batch)
        self._write_out()

    def commit(self) -> None:
        """Make what was written durable; `roll_back` returns to here."""
        if self._written != self._committed:
            os.fdatasync(self._descriptor)
            self._committed = self._written

    def roll_back(self) -> None:
        """Forget all since `commit`, on disk too: a part of a window would look like a whole."""
        self._pending.clear()
        self._buffer.data = bytearray()
        if self._is_open:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._committed)
            self.release()

    def close(self) -> None:
        """End the stream with its mark; nothing where it was rolled back.

        `OSError` where not even the mark fits: what was committed stands without it.
        """
        if not self._is_open:
            return
        self._writer.close()
        try:
            self._write_out()
            self.commit()
        except OSError:
            self.roll_back()
            raise
        self.release()

    def release(self) -> None:
        """Close the file as it is."""
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)

    def _write_out(self) -> None:
        write_all(self._descriptor, self._buffer.data)
        self._written += len(self._buffer.data)
        self._buffer.data = bytearray()
