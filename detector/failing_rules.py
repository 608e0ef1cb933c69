"""Indicators that fail: one ends neither the watch nor what others find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from detector.options import RuleTrouble
from ethogram.contracts.escape import printable
from ethogram.indicators.protocol import Indicator

__all__ = ["FailingRules"]

_LONGEST = 200

_Found = TypeVar("_Found")


class FailingRules:
    """Counts by rule how often asking failed, and why it last did.

    *unasked*: instances and tables of which some row was not judged, since `begin`.
    """

    def __init__(self) -> None:
        self._troubles: dict[str, RuleTrouble] = {}
        self.unasked: set[tuple[int, str]] = set()

    def begin(self) -> None:
        """Take the next window, or the next part of one."""
        self.unasked = set()

    def standing(self) -> tuple[RuleTrouble, ...]:
        """Return which rules failed since the watch began."""
        return tuple(self._troubles.values())

    def asked(
        self, rule: Indicator, rows: pa.Table, found: Callable[[pa.Table], list[_Found]]
    ) -> list[_Found]:
        """Return what is *found* in *rows*: where that fails, in those of each instance alone.

        So what one workload does keeps no rule from what others do.
        """
        try:
            return found(rows)
        except Exception as error:  # whatever it is, the watch goes on
            parts = list(_by_instance(rows))
            if len(parts) == 1:
                self._failed(rule.metadata.id, error)
                self.unasked.add((rows.column("instance")[0].as_py(), rule.metadata.table))
                return []
        return [one for part in parts for one in self.asked(rule, part, found)]

    def _failed(self, rule: str, error: Exception) -> None:
        before = self._troubles.get(rule)
        words = printable(f"{type(error).__name__}: {error}".splitlines()[0])[:_LONGEST]
        self._troubles[rule] = RuleTrouble(rule, before.failures + 1 if before else 1, words)


def _by_instance(rows: pa.Table) -> Iterator[pa.Table]:
    owners = rows.column("instance")
    for number in pc.unique(owners).to_pylist():
        yield rows.filter(pc.equal(owners, number))
