"""What is remembered of each instance for a while: bounded, so that nobody takes another's room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar

__all__ = ["newest_of_each"]

# Of one instance: a scan of ports, or a script a second for as long as things are remembered.
_OF_ONE = 256


class _Owned(Protocol):
    @property
    def instance(self) -> int: ...


Owned = TypeVar("Owned", bound=_Owned)


def newest_of_each(items: Iterable[Owned], limit: int = _OF_ONE) -> list[Owned]:
    """Return *items*, the oldest first, without those that *limit* newer of one instance follow.

    Who does more than that at once hides its own, and nobody else's.
    """
    counted: Counter[int] = Counter()
    kept = []
    for item in reversed(list(items)):
        counted[item.instance] += 1
        if counted[item.instance] <= limit:
            kept.append(item)
    return kept[::-1]
