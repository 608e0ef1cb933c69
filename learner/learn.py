"""A summary becomes baselines: one for each workload, a projection of what was seen."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.baseline import (
    BASELINE_SCHEMA,
    DIMENSIONS,
    RULE_MODELS,
    Baseline,
    Match,
    Observation,
    Rules,
    rule_id,
)
from ethogram.contracts.tables import ENUMS
from learner.arguments import arguments_of
from learner.counting import whole
from learner.evidence import Item
from learner.identity import identity_of
from learner.observed import observe
from learner.outlook import outlook
from learner.parallel import InThisProcess, Told, mapped_in_order, untold
from learner.quarantine import sort_out
from learner.root_writes import writes_root
from learner.rows import coded, typed

__all__ = ["LearnOptions", "Parts", "learn", "learn_all"]

_WATCHED = ("subject", "instance", "observation", "loss", "input", "denied")
_APART = (*_WATCHED, "quarantine", "mark", "arguments")

_NOBODYS = -1


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """*include_exec*: allow what was seen only in sessions that entered from outside."""

    include_exec: bool = True


def learn(summary: pa.Table, *, options: LearnOptions | None = None) -> list[Baseline]:
    """Return the baseline of each workload in *summary*, sorted by namespace, kind and name.

    Clusters, hosts and image digests of one workload make one baseline. Equal summaries give equal
    baselines.
    """
    return learn_all(coded(summary), InThisProcess(), options=options)


def learn_all(
    rows: pa.Table,
    executor: Executor,
    *,
    options: LearnOptions | None = None,
    told: Told = untold,
) -> list[Baseline]:
    """Return what `learn` does, of *rows* of a summary with codes, each workload by a worker."""
    parts = Parts(rows)
    work = ((part, options or LearnOptions()) for part in parts)
    done = told(len(parts))
    if isinstance(executor, InThisProcess):
        return list(mapped_in_order(executor, _learnt, work, done=done))
    documents = mapped_in_order(executor, _learnt_json, work, done=done)
    return [Baseline.model_validate_json(document) for document in documents]


class Parts:
    """For each workload what *rows* of a summary say of it, sorted as baselines are.

    With what its recordings say of nobody in particular, so that each is a summary of its own. They
    are made when they are asked for: together they would take several times what *rows* take.
    """

    def __init__(self, rows: pa.Table) -> None:
        names = (*DIMENSIONS, *_APART)
        wanted = pa.array([ENUMS["dimension"].index(name) for name in names], pa.int8())
        self._rows = rows = rows.filter(pc.is_in(rows.column("dimension"), value_set=wanted))
        keys = whole(rows.column("workload_key"))
        words = keys.dictionary.to_pylist()
        used = {words[index] for index in pc.unique(keys.indices).to_pylist()} - {""}
        owners = {word: identity_of(word) for word in used}
        order = {identity: number for number, identity in enumerate(sorted(set(owners.values())))}
        numbers = [order[owners[word]] if word in owners else _NOBODYS for word in words]
        owner = np.array(numbers, np.int64)[keys.indices.to_numpy()]
        self._places = np.argsort(owner, kind="stable")
        self._bounds = np.searchsorted(owner[self._places], np.arange(len(order) + 1))

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __iter__(self) -> Iterator[pa.Table]:
        shared = self._rows.take(pa.array(self._places[: self._bounds[0]]))
        seen_in = shared.column("recording_id").cast(pa.string())
        for begin, end in pairwise(self._bounds):
            own = self._rows.take(pa.array(self._places[begin:end]))
            recordings = pc.unique(own.column("recording_id")).cast(pa.string())
            of_them = pc.is_in(seen_in, value_set=recordings)
            yield typed(pa.concat_tables([shared.filter(of_them), own]))


def _learnt_json(part: pa.Table, options: LearnOptions) -> bytes:
    """Return the baseline as JSON: between processes its classes have no names."""
    return _learnt(part, options).model_dump_json(by_alias=True, exclude_none=True).encode()


def _learnt(part: pa.Table, options: LearnOptions) -> Baseline:
    """Return the baseline of the one workload that *part* is about."""
    # Ten thousands of values, none in a cycle: to look for one again and again takes half the time.
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        frame = _frame(part)
        is_shared = frame.workload_key == ""
        return _baseline(frame[~is_shared], frame[is_shared], options)
    finally:
        if was_collecting:
            gc.enable()


def _frame(table: pa.Table) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        values = column.to_pandas()
        columns[name] = (
            values.astype(object) if isinstance(values.dtype, pd.StringDtype) else values
        )
    return pd.DataFrame(columns)


def _baseline(rows: pd.DataFrame, shared: pd.DataFrame, options: LearnOptions) -> Baseline:
    """Return the baseline of the workload that *rows* are about."""
    watched = rows[rows.dimension.isin(_WATCHED)]
    observed = observe(watched, shared)
    seen = rows[rows.dimension.isin(DIMENSIONS)].assign(indicators="")
    if not options.include_exec:
        seen = seen[seen.phase != "exec"]
    found = sort_out(rows, seen)
    subject = observed.subject
    return Baseline(
        schema=BASELINE_SCHEMA,
        subject=subject,
        match=Match(kind=subject.kind, name=subject.name, container=subject.container),
        inputs=observed.inputs,
        observation=_with_facts(observed.observation, seen, found.seen),
        rules=_rules(found.allowed),
        arguments=arguments_of(rows, shared, include_exec=options.include_exec),
        **outlook(found.seen, watched, observed.observation),
        quarantined=found.quarantined,
    )


def _with_facts(observation: Observation, seen: pd.DataFrame, items: list[Item]) -> Observation:
    """Return *observation* with what the rows *seen* say of its root, and how many paths were cut.

    *items* are the same by value.
    """
    update: dict[str, Any] = {"writes_root": writes_root(seen, observation)}
    cut = sum("truncated" in item.marks for item in items)
    if cut:
        update["truncated"] = cut
        update["reasons"] = (*(observation.reasons or ()), "truncated")
    return observation.model_copy(update=update)


def _rules(items: list[Item]) -> Rules:
    rules: dict[str, list[Any]] = {dimension: [] for dimension in DIMENSIONS}
    for item in items:
        rules[item.dimension].append(
            RULE_MODELS[item.dimension](
                id=rule_id(item.dimension, item.value),
                value=item.value,
                evidence=item.evidence,
                widened_from=item.widened_from,
                marked=item.marks or None,
            )
        )
    return Rules.model_validate(rules)
