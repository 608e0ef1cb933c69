"""What stands for many findings: of what there is no room for one by one, the number is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from detector.sighting import Sighting

__all__ = ["BEYOND", "COOLED", "ONE_BY_ONE", "Crowds", "beyond", "together"]

BEYOND = "beyond"
# Of one rule, program and kind of harm so many are told at once, and one more every five minutes.
COOLED = "more of it"
# Of one instance, rule and severity so many are looked at one by one in a window: far more than are
# told. Who does thousands of things at once must not keep the judge from what others do.
ONE_BY_ONE = 512

_Kind = tuple[int, str, str, str]


def together(sighting: Sighting) -> Sighting:
    """Return what stands for *sighting* and others that one program did one after another."""
    return replace(
        sighting,
        observed=f"more of the kind, the last: {sighting.observed}",
        reason=f"{sighting.reason}; this program did so much of the kind that the rest is one",
        known=None,
        identity=COOLED,
    )


def beyond(sighting: Sighting) -> Sighting:
    """Return what stands for *sighting* and everything else that there is no room for."""
    return replace(
        sighting,
        observed=f"more of severity {sighting.severity} than is told one by one",
        reason=f"{sighting.reason}; so much was told that the rest is only counted",
        exe=None,
        exec_id=None,
        known=None,
        value=None,
        values=(),
        groups=(),
        parts=(),
        identity=BEYOND,
    )


class Crowds:
    """Lets the first of a kind through that one instance shows in a window, and adds up the rest.

    A kind is a rule and a severity: no crowd hides what is of another kind, or graver.
    """

    def __init__(self) -> None:
        self._passed: Counter[_Kind] = Counter()
        self._first: dict[_Kind, Sighting] = {}
        self._count: Counter[_Kind] = Counter()
        self._last_ns: dict[_Kind, int] = {}

    def lets(self, sighting: Sighting) -> bool:
        """Return whether *sighting* is one of the first; else it is part of `rest`."""
        kind = sighting.instance, sighting.layer, sighting.rule, sighting.severity
        self._passed[kind] += 1
        if self._passed[kind] <= ONE_BY_ONE:
            return True
        before = self._first.get(kind)
        if before is None or sighting.first_ns < before.first_ns:
            self._first[kind] = sighting
        self._count[kind] += sighting.count
        self._last_ns[kind] = max(self._last_ns.get(kind, 0), sighting.last_ns)
        return False

    def rest(self) -> Iterator[Sighting]:
        """Yield what stands for those that were not let through, one for each kind."""
        for kind, first in self._first.items():
            yield replace(beyond(first), count=self._count[kind], last_ns=self._last_ns[kind])
