"""A rule of two masks: what is bad, and whose process it makes suspect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.predicates import Mask, truth
from ethogram.indicators.protocol import IndicatorMetadata

__all__ = ["Rule", "everything"]

_Predicate: TypeAlias = Callable[[pa.Table], Mask]


def everything(rows: pa.Table) -> pa.BooleanArray:
    """Return that every row makes its process suspect."""
    return pa.repeat(pa.scalar(value=True), rows.num_rows)


@dataclass(frozen=True, slots=True)
class Rule:
    """*bad* says which rows match, *suspect* which of them taint; without it none does.

    What the masks do not know is no match.
    """

    metadata: IndicatorMetadata
    bad: _Predicate
    suspect: _Predicate | None = None

    def matches(self, rows: pa.Table) -> pa.BooleanArray:
        return truth(self.bad(rows))

    def taints(self, rows: pa.Table) -> pa.BooleanArray:
        if self.suspect is None:
            return pa.repeat(pa.scalar(value=False), rows.num_rows)
        return pc.and_(self.matches(rows), truth(self.suspect(rows)))
