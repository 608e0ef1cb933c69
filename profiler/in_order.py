"""Records of many batches and kinds in the order of their time, a part at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ethogram.contracts.events import RecordKind
from profiler.ring import STRUCT_OF, Records

__all__ = ["Part", "in_order"]


class Part(NamedTuple):
    """Some records that follow each other: the struct of each, and the records by struct."""

    structs: list[str]
    records: Mapping[str, Records]


def in_order(batches: Iterable[tuple[RecordKind, Records]], at_once: int) -> Iterator[Part]:
    """Yield the records of *batches* by their time, at most *at_once* in a part.

    Those of the same time stay as they came.
    """
    taken: dict[str, list[Records]] = {}
    for kind, batch in batches:
        taken.setdefault(STRUCT_OF[kind].name, []).append(batch)
    if not taken:
        return
    names = list(taken)
    whole = [_joined(taken.pop(name)) for name in names]
    order = np.argsort(np.concatenate([each.heads["time_ns"] for each in whole]), kind="stable")
    begins = np.cumsum([0, *(len(each.heads) for each in whole)])
    for begin in range(0, len(order), at_once):
        places = order[begin : begin + at_once]
        which = np.searchsorted(begins, places, side="right") - 1
        chosen = [places[which == number] - begins[number] for number in range(len(names))]
        yield Part(
            [names[number] for number in which.tolist()],
            {
                name: Records(each.heads[at], [each.tails[index] for index in at.tolist()])
                for name, each, at in zip(names, whole, chosen, strict=True)
            },
        )


def _joined(batches: list[Records]) -> Records:
    if len(batches) == 1:
        return batches[0]
    return Records(
        np.concatenate([batch.heads for batch in batches]),
        [tail for batch in batches for tail in batch.tails],
    )
