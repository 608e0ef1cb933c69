"""Which grants lie within others, in bounded time."""

from __future__ import annotations

from collections.abc import Iterable

from exporters.review.protocol import Grant

__all__ = ["Covering"]

# Of more pairs than so many, only equal ones are found: what is not found is told, or added, twice.
_MOST_PAIRS = 2_000_000


class Covering:
    """Answers whether a grant lies within one of *grants*, asked about *questions* times."""

    def __init__(self, grants: Iterable[Grant], questions: int) -> None:
        self._all = list(dict.fromkeys(grants))
        self._equal = frozenset(self._all)
        self._is_small = len(self._all) * questions <= _MOST_PAIRS

    def __call__(self, grant: Grant) -> bool:
        """Return whether what allows *grants* allows *grant*."""
        return grant in self._equal or (
            self._is_small and any(one.covers(grant) for one in self._all)
        )
