"""An executable that no file system holds: a memfd, or a file that was deleted."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import ProcessFlag
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rows import text, truth

__all__ = ["FilelessExecutable"]


class FilelessExecutable:
    """Judges at exec.

    runc executes a sealed copy of itself from memory before it enters a container, so what the
    runtime does, and the process that comes from outside, are not judged. Neither the phase nor
    the mark of having come from outside can be set by a workload.
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
        fileless = pc.not_equal(
            pc.bit_wise_and(flags, pa.scalar(ProcessFlag.MEMFD | ProcessFlag.DELETED, pa.uint32())),
            0,
        )
        fileless = pc.or_(fileless, pc.fill_null(rows.column("exe_memfd"), False))
        entered = pc.not_equal(
            pc.bit_wise_and(flags, pa.scalar(ProcessFlag.ENTERED, pa.uint32())), 0
        )
        by_runtime = pc.or_(entered, pc.equal(text(rows.column("phase")), "runtime"))
        executed = pc.is_null(rows.column("errno"))
        # A fork shares the image of its parent, which was judged when it executed.
        forked = pc.not_equal(pc.bit_wise_and(flags, pa.scalar(ProcessFlag.FORKED, pa.uint32())), 0)
        judged = pc.and_(executed, pc.and_(pc.invert(by_runtime), pc.invert(forked)))
        return truth(pc.and_(fileless, judged))

    def taints(self, rows: pa.Table) -> pa.BooleanArray:
        return self.matches(rows)
