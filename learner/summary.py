"""Recordings become a summary, and summaries merge: a grow-only set of what was seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from ethogram.contracts.fragments import FRAGMENT_ROWS, Fragment, fragments_of
from ethogram.contracts.recording import Recording
from ethogram.contracts.remote import RecordingUrl
from learner import pieces
from learner.behaviour import BEHAVIOURS
from learner.groups import folded
from learner.judging import Suspects
from learner.parallel import InThisProcess, Told, map_reduced, mapped, untold
from learner.rows import coded, typed
from learner.taint import Condemned
from learner.union import united

__all__ = ["Source", "merge", "summarize", "summarize_all"]

Source: TypeAlias = "Recording | Path | RecordingUrl"  # a URL is that of a summary
_NOTHING = Condemned()
_FOLD_ROWS = 200_000  # of groups that wait to be folded


def summarize(recording: Recording, *, executor: Executor | None = None) -> pa.Table:
    """Return the summary of *recording*: schema `SUMMARY`, sorted by its primary key.

    Rows that name a workload or an instance which the recording lacks belong to nobody: they are
    counted as a loss of kind `malformed`. What an indicator condemns has dimension `quarantine`.
    """
    return typed(_summarized(recording, executor or InThisProcess(), untold))


def merge(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the union of *tables*, sorted by primary key.

    Associative, commutative and idempotent. Where rows with one primary key differ, the result has
    the largest counts, the earliest `first`, the latest `last` and the first `exec_id` by name.
    What is the image's in one of them is.
    """
    return typed(united([coded(table) for table in tables]))


def summarize_all(
    sources: Sequence[Source], executor: Executor, *, told: Told = untold
) -> pa.Table:
    """Return the union of *sources*, recordings and files of summaries, as rows with codes.

    Whatever the *executor* is, and the order of *sources*: equal sources, equal rows. What is small
    is one piece of work; of a large recording each fragment is one.
    """
    large = [one for one in sources if isinstance(one, Recording) and one.rows > FRAGMENT_ROWS]
    small = [one for one in sources if one not in large]
    parts = [_summarized(recording, executor, told) for recording in large]
    if small:
        one_each = [(source,) for source in small]
        done = told(len(small))
        parts.append(map_reduced(executor, _rows_of, one_each, reduce=united, done=done))
    return parts[0] if len(parts) == 1 else united(parts)


def _rows_of(source: Source) -> pa.Table:
    """Return the rows of one small source: all of it in this process."""
    if isinstance(source, Recording):
        return _summarized(source, InThisProcess(), untold)
    return pieces.summary_rows(source)


def _summarized(recording: Recording, executor: Executor, told: Told) -> pa.Table:
    """Return the rows of *recording*, by fragments.

    First as if nobody were suspect. Where an indicator suspects somebody after all, what the
    suspects and theirs may have done is looked at once more.
    """
    fragments = [
        fragment
        for one in BEHAVIOURS
        for fragment in fragments_of(recording, one.table, rows=FRAGMENT_ROWS)
    ]
    # The longest first: what is left to the end keeps others waiting.
    fragments.sort(key=lambda fragment: -fragment.rows)
    _verify(recording, fragments, executor)
    groups, suspects = _shown(recording, fragments, _NOTHING, executor, told)
    condemned = _NOTHING
    if suspects:
        ((_, condemned),) = mapped(executor, pieces.condemned_by, [(recording, suspects)])
        if condemned.exec_ids:
            groups, _ = _shown(recording, fragments, condemned, executor, told)
    work = [(recording, table, folded(parts)) for table, parts in groups.items()]
    del groups
    done = told(len(work) + 1)
    rows = [made for _, made in mapped(executor, pieces.name_groups, work, done=done)]
    work.clear()
    observing = mapped(executor, pieces.observe, [(recording, condemned)], done=done)
    return united([*rows, *(found for _, found in observing)])


def _shown(
    recording: Recording,
    fragments: Sequence[Fragment],
    condemned: Condemned,
    executor: Executor,
    told: Told,
) -> tuple[dict[str, list[pa.Table]], Suspects]:
    """Return the groups of each table, and whom indicators suspect."""
    groups: dict[str, list[pa.Table]] = defaultdict(list)
    suspects = Suspects()
    work = [(recording, fragment, condemned) for fragment in fragments]
    done = told(len(work))
    for _, (fragment, found, others) in mapped(executor, pieces.show, work, done=done):
        suspects.take(others)
        parts = groups[fragment.table]
        parts.append(found)
        if sum(part.num_rows for part in parts[1:]) > _FOLD_ROWS:
            groups[fragment.table] = [folded(parts)]
    return groups, suspects


def _verify(recording: Recording, fragments: Sequence[Fragment], executor: Executor) -> None:
    """Compare the files that several fragments are of with their digests, each once."""
    files = {
        (fragment.table, file)
        for fragment in fragments
        if fragment.is_part
        for file, _ in fragment.pieces
    }
    work = [(recording, table, (file,)) for table, file in sorted(files)]
    for _ in mapped(executor, pieces.verify, work):
        pass
