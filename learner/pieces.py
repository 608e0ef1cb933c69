"""The pieces of work that summaries are made by, each for any process that can read its input.

What a piece is given and gives back crosses between processes: numbers of a recording, and names
under dictionaries. What a process looks up in a recording it keeps for the next piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from ethogram.contracts.fragments import Fragment, fragment_batches
from ethogram.contracts.recording import Recording
from ethogram.contracts.remote import RecordingUrl
from ethogram.contracts.summary import read_summary
from ethogram.indicators.registry import learner_indicators
from learner.behaviour import BEHAVIOURS, Behaviour
from learner.context import Context, context_of
from learner.doers import BY_EXEC_ID, Doers
from learner.extract import grouped
from learner.judging import Suspects
from learner.naming import named
from learner.observation import observation_rows
from learner.rows import coded, table_of
from learner.suspects import taint_by
from learner.taint import Condemned, Taint

__all__ = ["condemned_by", "name_groups", "observe", "show", "summary_rows", "verify"]

_BEHAVIOURS = {behaviour.table: behaviour for behaviour in BEHAVIOURS}
_KEPT = 2


@dataclass
class _Opened:
    """A recording with what was looked up in it so far."""

    recording: Recording

    @cached_property
    def context(self) -> Context:
        return context_of(self.recording)

    @cached_property
    def doers(self) -> Doers:
        return Doers(self.context)


_opened: dict[tuple[Any, ...], _Opened] = {}


def _open(recording: Recording) -> _Opened:
    """Return what this process knows of *recording*, which came from another one."""
    key = (str(recording.path), recording.manifest_sha256, recording.extent)
    if key not in _opened:
        while len(_opened) >= _KEPT:
            del _opened[next(iter(_opened))]
        _opened[key] = _Opened(recording)
    return _opened[key]


def _taint(context: Context, condemned: Condemned) -> Taint:
    return Taint(learner_indicators(), context, *condemned)


def show(
    recording: Recording, fragment: Fragment, condemned: Condemned
) -> tuple[Fragment, pa.Table, Suspects]:
    """Return the groups of *fragment*, and whom indicators suspect by what it shows."""
    opened = _open(recording)
    behaviour = _BEHAVIOURS[fragment.table]
    batches = fragment_batches(
        opened.recording, fragment, columns=_columns(behaviour) if fragment.is_part else None
    )
    groups, suspects = grouped(
        opened.context,
        _taint(opened.context, condemned),
        behaviour,
        batches,
        shared=fragment.shared,
        doers=opened.doers if behaviour.table in BY_EXEC_ID else None,
    )
    pa.default_memory_pool().release_unused()
    return fragment, groups, suspects


def _columns(behaviour: Behaviour) -> frozenset[str] | None:
    """Return the columns that *behaviour* looks at, None where that is all of them."""
    if not behaviour.decided_by:
        return None
    return frozenset({*behaviour.decided_by, behaviour.counted_by, "window", "first", "last"})


def condemned_by(recording: Recording, suspects: Suspects) -> Condemned:
    """Return what *suspects* and theirs did, as finely as the tables tell."""
    context = _open(recording).context
    return taint_by(context, learner_indicators(), suspects).condemned


def name_groups(recording: Recording, table: str, groups: pa.Table) -> pa.Table:
    """Return *groups*, all that *table* shows, as rows of a summary."""
    opened = _open(recording)
    return coded(named(opened.context, table, groups, doers=opened.doers))


def observe(recording: Recording, condemned: Condemned) -> pa.Table:
    """Return the rows of a summary that say how much was watched."""
    opened = _open(recording)
    taint = _taint(opened.context, condemned)
    return coded(table_of(observation_rows(opened.context, taint, opened.recording)))


def verify(recording: Recording, table: str, numbers: tuple[int, ...]) -> None:
    """Compare files of *table* with their digests."""
    for number in numbers:
        _open(recording).recording.verify_part(table, number)


def summary_rows(path: Path | RecordingUrl) -> pa.Table:
    """Return the rows of the summary *path*, with codes."""
    return coded(read_summary(path))
