"""Merging summaries is set union: associative, commutative, idempotent."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.columns import batch_of
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import ENUMS, SUMMARY
from learner.summary import merge, summarize
from tests.recordings import shop_recording

pytestmark = pytest.mark.property

few = st.sampled_from
rows = st.fixed_dictionaries(
    {
        "recording_id": few(["r1", "r2"]),
        "instance_key": few(["", "h/1"]),
        "workload_key": few(["_/_/Unit/a/_/none", "_/_/Unit/b/_/none"]),
        "phase": few(ENUMS["phase"]),
        "dimension": few(ENUMS["dimension"]),
        "arch": few([None, "x86_64", "i386"]),
        "key": few([b"", b"1", b"\xff\x00"]),
        "exe_path": few([None, b"", b"/bin/a"]),
        "windows": st.integers(0, 2**32 - 1),
        "calls": st.integers(0, 2**64 - 1),
        "first": st.integers(0, 2**62),
        "last": st.integers(0, 2**62),
        "exec_id": few([None, "a", "b"]),
        "in_image": few([None, False, True]),
    }
)


def table_of(given: list[dict[str, object]]) -> pa.Table:
    columns = {column.name: [row[column.name] for row in given] for column in SUMMARY.columns}
    return pa.Table.from_batches([batch_of(SUMMARY, columns)])


summaries = st.lists(rows, max_size=6).map(table_of)


@cache
def shop() -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        return summarize(Recording.open(shop_recording(Path(folder) / "recording")))


def a_part(seed: int) -> pa.Table:
    """Return some rows of a real summary, in any order, with other counts."""
    random = np.random.default_rng(seed)
    chosen = random.permutation(shop().num_rows)[: random.integers(0, shop().num_rows)]
    part = shop().take(pa.array(chosen))
    windows = pa.array(random.integers(0, 9, len(chosen)), pa.uint32())
    return part.set_column(
        part.schema.get_field_index("windows"), part.schema.field("windows"), windows
    )


real_parts = st.integers(0, 2**32).map(a_part)
tables = st.one_of(summaries, real_parts)


@settings(max_examples=40, deadline=None)
@given(tables, tables, tables)
def test_merging_is_associative(a: pa.Table, b: pa.Table, c: pa.Table) -> None:
    whole = merge([a, b, c])
    assert merge([merge([a, b]), c]).equals(whole)
    assert merge([a, merge([b, c])]).equals(whole)


@settings(max_examples=40, deadline=None)
@given(tables, tables)
def test_merging_is_commutative(a: pa.Table, b: pa.Table) -> None:
    assert merge([a, b]).equals(merge([b, a]))


@settings(max_examples=40, deadline=None)
@given(tables, tables)
def test_merging_is_idempotent(a: pa.Table, b: pa.Table) -> None:
    once = merge([a])
    assert merge([a, a]).equals(once)
    assert merge([once, a]).equals(once)
    both = merge([a, b])
    assert merge([both, b]).equals(both)


@settings(max_examples=40, deadline=None)
@given(tables, tables)
def test_merging_keeps_every_key_once(a: pa.Table, b: pa.Table) -> None:
    keys = list(SUMMARY.key)
    merged = [tuple(row.values()) for row in merge([a, b]).select(keys).to_pylist()]
    given = {tuple(row.values()) for part in (a, b) for row in part.select(keys).to_pylist()}
    assert len(merged) == len(set(merged))
    assert set(merged) == given
