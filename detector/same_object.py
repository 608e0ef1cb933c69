"""What indicators and baselines both tell of: once, by whom has more to say, as grave as either."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from detector.indications import Indication
from ethogram.contracts.baseline import AnyValue
from ethogram.contracts.finding import SEVERITIES, Severity

__all__ = ["SameObject"]


class SameObject:
    """What indicators tell of one object: by value, so that many of them cost no more each."""

    def __init__(self) -> None:
        self._by_value: dict[AnyValue, list[int]] = defaultdict(list)
        self._floor: dict[AnyValue, Severity] = {}
        self._gravest: Severity = SEVERITIES[0]

    def add(self, index: int, one: Indication) -> None:
        self._by_value[one.value].append(index)
        self._gravest = max(self._gravest, one.severity, key=_rank)

    def takes(self, value: AnyValue, severity: Severity) -> bool:
        """Return whether a deviation so grave is told by these, and have them be as grave."""
        if value not in self._by_value:
            return _rank(severity) <= _rank(self._gravest)
        self._floor[value] = max(self._floor.get(value, severity), severity, key=_rank)
        self._gravest = max(self._gravest, severity, key=_rank)
        return True

    def raised(self) -> Iterator[tuple[int, Severity]]:
        """Yield which of them are at least how grave."""
        for value, severity in self._floor.items():
            yield from ((index, severity) for index in self._by_value[value])


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)
