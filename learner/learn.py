"""A summary becomes baselines: one for each workload, a projection of what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from learner.evidence import Item
from learner.identity import identity_of
from learner.observed import observe
from learner.outlook import outlook
from learner.quarantine import sort_out

__all__ = ["LearnOptions", "learn"]

_WATCHED = ("subject", "instance", "observation", "loss", "input", "denied")


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """*include_exec*: allow what was seen only in sessions that entered from outside."""

    include_exec: bool = True


def learn(summary: pa.Table, *, options: LearnOptions | None = None) -> list[Baseline]:
    """Return the baseline of each workload in *summary*, sorted by namespace, kind and name.

    Clusters, hosts and image digests of one workload make one baseline. Equal summaries give equal
    baselines.
    """
    options = options or LearnOptions()
    wanted = pa.array([*DIMENSIONS, *_WATCHED, "quarantine"], pa.string())
    dimension = summary.column("dimension").cast(pa.string())
    frame = _frame(summary.filter(pc.is_in(dimension, value_set=wanted)))
    shared = frame[frame.workload_key == ""]
    owned = frame[frame.workload_key != ""]
    identities = {key: identity_of(key) for key in owned.workload_key.unique()}
    groups = owned.groupby(owned.workload_key.map(identities), sort=True)
    return [_baseline(rows, shared, options) for _, rows in groups]


def _frame(table: pa.Table) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        columns[name] = column.to_pandas()
    return pd.DataFrame(columns)


def _baseline(rows: pd.DataFrame, shared: pd.DataFrame, options: LearnOptions) -> Baseline:
    """Return the baseline of the workload that *rows* are about."""
    shared = shared[shared.recording_id.isin(rows.recording_id.unique())]
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
        observation=_with_truncated(observed.observation, found.seen),
        rules=_rules(found.allowed),
        **outlook(found.seen, watched, observed.observation),
        quarantined=found.quarantined,
    )


def _with_truncated(observation: Observation, items: list[Item]) -> Observation:
    """Return *observation* with how many paths were cut."""
    cut = sum("truncated" in item.marks for item in items)
    if not cut:
        return observation
    reasons = (*(observation.reasons or ()), "truncated")
    return observation.model_copy(update={"truncated": cut, "reasons": reasons})


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
