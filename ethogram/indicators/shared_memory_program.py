"""A program or a script in a directory that is memory."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.arguments import runs_script_below
from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import Mask, executed, matching, refused, truth
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_DIRECTORIES = r"/(?:dev|run)/shm/"


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec: the executable, the script that the kernel or an interpreter was given.

    A mount that lets nothing be executed refuses it: it was brought there all the same.
    """
    executable = truth(matching(rows.column("exe_path"), rf"^(?:{_DIRECTORIES})"))
    script = truth(matching(rows.column("script"), rf"^(?:{_DIRECTORIES})"))
    told = runs_script_below(rows, _DIRECTORIES)
    ran = pc.and_(pc.or_(pc.or_(executable, script), told), executed(rows))
    return pc.or_(truth(ran), pc.and_(_asked_for(rows), refused(rows)))


def _asked_for(rows: pa.Table) -> Mask:
    """Return which failed execs asked for a program there; `script` is what they asked for."""
    there = truth(matching(rows.column("script"), rf"^(?:{_DIRECTORIES})"))
    relative = truth(matching(rows.column("script"), r"^[^/]"))
    cwd = pc.binary_join_element_wise(rows.column("cwd"), b"", b"/")
    beside = truth(matching(cwd, rf"^(?:{_DIRECTORIES})"))
    return pc.or_(there, pc.and_(relative, beside))


INDICATOR = Rule(
    IndicatorMetadata(
        id="shared-memory-program",
        title="Program or script in shared memory",
        reason="what runs lies where no image and no disk keeps it, and every user may write",
        table="processes",
        severity="high",
        attack=(Technique("T1059.004"), Technique("T1036.005")),
        confidence="high",
        compliance=EXECUTION,
    ),
    bad=_bad,
    suspect=everything,
)
