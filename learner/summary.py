"""A recording becomes a summary, and summaries merge: a grow-only set of what was seen."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import SUMMARY
from ethogram.indicators.registry import indicators
from learner.behaviour import BEHAVIOURS
from learner.context import context_of
from learner.doers import Doers
from learner.extract import extract
from learner.observation import observation_rows
from learner.rows import coded, table_of, typed
from learner.suspects import taint_of

__all__ = ["merge", "summarize"]

_MEASURES = {"windows": "max", "calls": "max", "first": "min", "last": "max", "exec_id": "min"}


def summarize(recording: Recording) -> pa.Table:
    """Return the summary of *recording*: schema `SUMMARY`, sorted by its primary key.

    Rows that name a workload or an instance which the recording lacks belong to nobody: they are
    counted as a loss of kind `malformed`. What an indicator condemns has dimension `quarantine`.
    """
    context = context_of(recording)
    taint = taint_of(context, indicators().values())
    observed = table_of(observation_rows(context, taint, recording))
    doers = Doers(context)
    seen = (extract(context, taint, behaviour, doers) for behaviour in BEHAVIOURS)
    return _union([observed, *seen])


def merge(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the union of *tables*, sorted by primary key.

    Associative, commutative and idempotent. Where rows with one primary key differ, the result has
    the largest counts, the earliest `first`, the latest `last` and the first `exec_id` by name.
    """
    return _union([coded(table) for table in tables])


def _union(tables: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables([table_of([]), *tables])
    keys = list(SUMMARY.key)
    grouped = whole.group_by(keys).aggregate(list(_MEASURES.items()))
    names = {f"{name}_{measure}": name for name, measure in _MEASURES.items()}
    grouped = grouped.rename_columns([names.get(name, name) for name in grouped.column_names])
    order = pc.sort_indices(grouped, sort_keys=[(key, "ascending") for key in keys])
    return typed(grouped.take(order))
