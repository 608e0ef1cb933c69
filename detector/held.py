"""Small change of a start or a session waits a second, so that what belongs together is one.

A container that starts, or who entered one, does in a second what is told in a dozen lines if each
is told at once. The first is; what follows within a second is told together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from detector.deviations import Deviation

__all__ = ["HELD_NS", "Held", "Small"]

HELD_NS = 10**9
# A tree that shows nothing for so long is told of at once again, and forgotten.
_FORGOTTEN_NS = 60 * 10**9
_TREES = 1024
_MOST = 512  # of one tree; beyond them all of it is told

_PARTS = "parts"

_Key = tuple[int, str, str | None]  # instance, phase, first process of the tree
_Same = tuple[str, object, bytes | None]


class Small(NamedTuple):
    """A deviation of low severity of an instance; *tree* is None where nobody knows who did it.

    *is_part*: more may be told of it in a moment, so that the first of its tree waits, too.
    """

    instance: int
    deviation: Deviation
    tree: str | None
    is_part: bool = False


@dataclass(slots=True)
class _Tree:
    until_ns: int
    waiting: dict[_Same, Deviation] = field(default_factory=dict)


class Held:
    """Keeps what waits. Times are those of the judge, in nanoseconds UTC."""

    def __init__(self) -> None:
        self._trees: dict[_Key, _Tree] = {}

    def take(self, small: list[Small], now_ns: int) -> Iterator[tuple[int, Deviation]]:
        """Yield what is to be told now, of *small* and of what waited."""
        for one in small:
            key = self._key(one)
            tree = self._trees.setdefault(key, _Tree(until_ns=now_ns))
            if one.is_part and not tree.waiting:
                tree.until_ns = now_ns + HELD_NS
            _keep(tree.waiting, one.deviation)
        for key, tree in self._trees.items():
            if tree.until_ns <= now_ns or len(tree.waiting) > _MOST:
                if tree.waiting:
                    tree.until_ns = now_ns + HELD_NS
                yield from ((key[0], one) for one in tree.waiting.values())
                tree.waiting.clear()
        self._forget(now_ns)

    def release(self) -> Iterator[tuple[int, Deviation]]:
        """Yield what waits: nothing comes any more."""
        for key, tree in self._trees.items():
            yield from ((key[0], one) for one in tree.waiting.values())
        self._trees.clear()

    def due_ns(self) -> int | None:
        """Return when something that waits is to be told, None where nothing waits."""
        return min((one.until_ns for one in self._trees.values() if one.waiting), default=None)

    def since_ns(self) -> int | None:
        """Return when the first of what waits was done."""
        waiting = (one for tree in self._trees.values() for one in tree.waiting.values())
        return min((one.first_ns for one in waiting), default=None)

    def _key(self, small: Small) -> _Key:
        """Return whose *small* is; what nobody is known to have done is of whose turn it is."""
        instance, phase = small.instance, small.deviation.phase
        if small.is_part:
            return instance, phase, _PARTS
        if small.tree is None:
            own = [key for key in self._trees if key[:2] == (instance, phase)]
            if own:
                return max(own, key=lambda key: self._trees[key].until_ns)
        return instance, phase, small.tree

    def _forget(self, now_ns: int) -> None:
        over = [
            key for key, tree in self._trees.items()
            if not tree.waiting and now_ns - tree.until_ns > _FORGOTTEN_NS
        ]  # fmt: skip
        if len(self._trees) - len(over) > _TREES:
            over = [key for key, tree in self._trees.items() if not tree.waiting]
        for key in over:
            del self._trees[key]


def _keep(waiting: dict[_Same, Deviation], new: Deviation) -> None:
    """Add *new* to what waits, to the same where that waits already."""
    same = new.dimension, new.value, new.exe
    before = waiting.get(same)
    if before is not None:
        new = replace(
            before,
            first_ns=min(before.first_ns, new.first_ns),
            last_ns=max(before.last_ns, new.last_ns),
            count=before.count + new.count,
        )
    waiting[same] = new
