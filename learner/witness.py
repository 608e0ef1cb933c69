"""Whether what was seen has a second witness: another instance, or another time.

What is normal recurs, over time or from replica to replica. Replicas run the same code, on data of
their own: a leader, a shard or a job of one replica has files, peers and names that the others have
not, and seldom other programs, system calls or capabilities. So of what one instance alone showed,
although others were watched alike, *code* that did not recur is quarantined, and so is a pattern of
names; everything else is marked, and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ethogram.contracts.baseline import Dimension, FileValue
from learner.evidence import Item
from learner.watch import FEWEST_WINDOWS, Watch

__all__ = ["FEWEST_OTHERS", "ONE_INSTANCE", "judged"]

ONE_INSTANCE = "one-instance"
FEWEST_OTHERS = 2
_FEWEST_TIMES = 3
_CODE: frozenset[Dimension] = frozenset({"syscalls", "execs", "capabilities", "operations"})
_STEADY = frozenset({"steady", "unknown"})
# The container runtime's own calls differ from host to host, sessions from person to person.
_NOT_COMPARED = frozenset({"runtime", "exec"})


def judged(items: Iterable[Item], watched: Mapping[str, Watch]) -> Iterator[tuple[Item, bool]]:
    """Yield *items* with their marks, and whether each is to be quarantined.

    *watched* are the instances of the workload.
    """
    known: dict[tuple[str, frozenset[str]], bool] = {}
    for item in items:
        marks = (*item.marks, *_own_marks(item))
        if item.alone is None or item.alone not in watched:
            yield (replace(item, marks=marks) if marks else item), False
            continue
        phases = frozenset(item.phases)
        if (item.alone, phases) not in known:
            known[item.alone, phases] = _is_comparable(item.alone, phases, watched)
        watch = watched[item.alone]
        is_quarantined = False
        if known[item.alone, phases]:
            marks += (ONE_INSTANCE,)
            is_quarantined = phases <= _STEADY and _is_code(item) and not _recurs(item, watch)
        elif _is_once(item, watch):
            marks += ("once",)
        yield (replace(item, marks=marks) if marks else item), is_quarantined


def _own_marks(item: Item) -> Iterator[str]:
    if set(item.phases) == {"exec"}:
        yield "session"
    if isinstance(item.value, FileValue) and item.value.path.startswith("..."):
        yield "truncated"


def _is_comparable(name: str, phases: frozenset[str], watched: Mapping[str, Watch]) -> bool:
    """Return whether at least two others of the same image were watched as well as *name*.

    In each of *phases*, that is: for at least half as many windows.
    """
    own = watched[name]
    if phases & _NOT_COMPARED or (phases & _STEADY and own.steady < FEWEST_WINDOWS):
        return False
    others = [
        other
        for key, other in watched.items()
        if key != name
        and other.digest == own.digest
        and all(2 * _windows(other, phase) >= _windows(own, phase) for phase in phases)
    ]
    return len(others) >= FEWEST_OTHERS


def _windows(watch: Watch, phase: str) -> int:
    return watch.steady if phase in _STEADY else watch.windows.get(phase, 0)


def _is_code(item: Item) -> bool:
    """Return whether *item* is what runs, or a pattern made of names that the workload chose."""
    if item.dimension in _CODE:
        return True
    value = item.value
    is_created = isinstance(value, FileValue) and bool({"c", "n"} & set(value.access))
    return is_created and item.widened_from is not None


def _recurs(item: Item, watch: Watch) -> bool:
    """Return whether *item* came again and again: over half of the time, in three windows."""
    windows = sum(item.phases.values())
    return windows >= _FEWEST_TIMES and 2 * item.span >= watch.length


def _is_once(item: Item, watch: Watch) -> bool:
    """Return whether one short stretch of a long watch showed this code, and nothing else did."""
    return (
        _is_code(item)
        and set(item.phases) <= _STEADY
        and watch.steady >= FEWEST_WINDOWS
        and 10 * item.span <= watch.length
    )
