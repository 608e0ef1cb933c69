"""A capability that leads out of a container, used."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.indicators.compliance import PRIVILEGED
from ethogram.indicators.predicates import Mask, outside_runtime
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_LEADING_OUT = pa.array(
    [
        CAPABILITIES.index(name)
        for name in (
            "CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO",
            "CAP_DAC_READ_SEARCH", "CAP_BPF",
        )
    ],
    pa.uint8(),
)  # fmt: skip


def _bad(rows: pa.Table) -> Mask:
    """Judge by the kernel's answer: the capability was asked for, and there."""
    used = pc.is_in(rows.column("capability"), value_set=_LEADING_OUT)
    inside = pc.and_(rows.column("instance_is_container"), outside_runtime(rows))
    return pc.and_(pc.and_(used, rows.column("granted")), inside)


INDICATOR = Rule(
    IndicatorMetadata(
        id="escape-capability",
        title="Capability that leads out of a container used",
        reason="the container has a right over the whole machine, and made use of it",
        table="privileges",
        severity="medium",
        attack=(Technique("T1611"), Technique("T1548")),
        confidence="medium",
        compliance=PRIVILEGED,
        gate="baseline",
    ),
    bad=_bad,
)
