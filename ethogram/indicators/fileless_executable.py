"""An executable that no file system holds: a memfd, or a file that was deleted."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import ProcessFlag
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rows import text, truth

__all__ = ["FilelessExecutable"]


_MOUNT_NAMESPACE = 1


class FilelessExecutable:
    """Judges at exec.

    runc executes a sealed copy of itself from memory on its way into a container. So what the
    runtime does is not judged, nor the first exec of a tree while it is still in the host's mount
    namespace. A workload can bring about neither: what it executes later is judged, in a session
    as well.
    """

    metadata = IndicatorMetadata(
        id="fileless-executable",
        title="Executable in anonymous memory or deleted",
        reason="what runs cannot be found in the image or on a disk any more",
        table="processes",
        severity="critical",
        attack=(Technique("T1620"), Technique("T1070.004")),
    )

    def matches(self, rows: pa.Table) -> pa.BooleanArray:
        flags = rows.column("flags")
        fileless = _has(flags, ProcessFlag.MEMFD | ProcessFlag.DELETED)
        fileless = pc.or_(fileless, pc.fill_null(rows.column("exe_memfd"), False))
        is_first = pc.equal(rows.column("exec_id"), rows.column("session_exec_id"))
        is_outside = pc.fill_null(_has(rows.column("host_namespace_bits"), _MOUNT_NAMESPACE), False)
        on_its_way = pc.and_(pc.fill_null(is_first, False), is_outside)
        by_runtime = pc.or_(on_its_way, pc.equal(text(rows.column("phase")), "runtime"))
        executed = pc.is_null(rows.column("errno"))
        # A fork shares the image of its parent, which was judged when it executed.
        forked = pc.not_equal(pc.bit_wise_and(flags, pa.scalar(ProcessFlag.FORKED, pa.uint32())), 0)
        judged = pc.and_(executed, pc.and_(pc.invert(by_runtime), pc.invert(forked)))
        return truth(pc.and_(fileless, judged))

    def taints(self, rows: pa.Table) -> pa.BooleanArray:
        return self.matches(rows)


def _has(column: pa.ChunkedArray, bits: int) -> pa.ChunkedArray:
    """Return where any of *bits* is set."""
    return pc.not_equal(pc.bit_wise_and(column, pa.scalar(int(bits), pa.uint32())), 0)
