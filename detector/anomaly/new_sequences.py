"""Sequences of calls that a model does not know, as the kernel side tells of them.

The kernel has a map of those that the model knows, and says of each other one that it is new. Some
are new in usual windows, too: only more than any held-out window had are told of, before the window
ends where the kernel tells of them so early.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ethogram.contracts.events import ARCHES
from ethogram.contracts.syscall_names import name_of
from profiler.loaders.base import KnownGrams

__all__ = ["Found", "NewSequences", "known_grams", "names_of"]

_SHIFTS = range(50, -10, -10)
_SPECIAL = {1022: "other", 1023: "-"}
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Found:
    """New sequences of *instance* in a window, *count* at least; an episode begins where *is_new*.

    When it was *learnt*, no window had more. *is_whole*: the window has ended. *about* stays the
    same for all of an episode: the call that it began with.
    """

    instance: int
    model: int
    first_ns: int
    last_ns: int
    count: int
    learnt: int
    shown: tuple[str, ...]
    about: str
    is_new: bool
    is_whole: bool


def known_grams(
    number: int, bits: bytes, *, most_new: int, window_s: float, model_s: float
) -> KnownGrams:
    """Return what model *number* knows; *most_new* were new in its windows, of *model_s*."""
    return KnownGrams(number, math.ceil(most_new * max(1.0, window_s / model_s)), bits)


def names_of(gram: int) -> str:
    """Return the names of the calls in *gram*, as the kernel packs it, oldest first."""
    arch = ARCHES[gram >> 60]
    numbers = [gram >> shift & 1023 for shift in _SHIFTS]
    return " ".join(_SPECIAL.get(nr) or name_of(arch, nr) or str(nr) for nr in numbers)


class NewSequences:
    """Adds up what is new in the open window, and says where that is more than was learnt."""

    def __init__(self) -> None:
        self._open: dict[int, dict[int, None]] = {}  # sequences by instance, as they came
        # The last episode of each instance and model, and whether it goes on.
        self._episodes: dict[tuple[int, int], Found] = {}
        self._going_on: set[tuple[int, int]] = set()

    def take(
        self,
        new: Mapping[int, np.ndarray],
        known: Mapping[int, KnownGrams],
        span: tuple[int, int],
        *,
        is_end: bool,
    ) -> Iterator[Found]:
        """Yield whose *new* sequences are too many by now; *known* is what was told the kernel.

        *span*: when the window began, and has ended or has come to. What it tells of one that is
        open is beyond what is spared: those before are told when it ends.
        """
        for instance, grams in new.items():
            self._open.setdefault(instance, {}).update(dict.fromkeys(grams.tolist()))
        beyond = set()
        for instance in self._open if is_end else new:
            if (model := known.get(instance)) is None:
                continue
            seen = self._open[instance]
            if is_end and len(seen) <= model.spared:
                continue
            beyond.add((instance, model.number))
            yield self._found(instance, model, seen, span, is_end=is_end)
        if is_end:
            self._open.clear()
            self._going_on &= beyond
            self._episodes = {key: one for key, one in self._episodes.items() if key[0] in known}

    def about(self, instance: int, model: int, first_ns: int, last_ns: int) -> str | None:
        """Return what the last episode is about, where it was around that time."""
        last = self._episodes.get((instance, model))
        if last is None or last.last_ns < first_ns or last_ns < last.first_ns:
            return None
        return last.about

    def _found(
        self,
        instance: int,
        model: KnownGrams,
        seen: Collection[int],
        span: tuple[int, int],
        *,
        is_end: bool,
    ) -> Found:
        key = (instance, model.number)
        before = self._episodes.get(key) if key in self._going_on else None
        shown = tuple(map(names_of, list(seen)[:_SHOWN]))
        found = self._episodes[key] = Found(
            instance=instance,
            model=model.number,
            first_ns=before.first_ns if before else span[0],
            last_ns=span[1],
            count=max(len(seen), model.spared + 1),
            learnt=model.spared,
            shown=shown,
            about=before.about if before else f"new sequence {shown[0].rpartition(' ')[2]}",
            is_new=before is None,
            is_whole=is_end,
        )
        self._going_on.add(key)
        return found
