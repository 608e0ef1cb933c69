"""What is learnt from a recording on disk can be said of rows that are in memory alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from ethogram.contracts.manifest import Manifest
from ethogram.contracts.recording import Recording
from ethogram.indicators.registry import learner_indicators
from learner.behaviour import BEHAVIOURS
from learner.context import Source, context_of
from learner.extract import extract
from learner.suspects import taint_of
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit


class InMemory:
    """The tables of a recording, without the recording."""

    def __init__(self, recording: Recording) -> None:
        self.manifest: Manifest = recording.manifest
        self._tables = {
            name: recording.table(name)
            for name in ("windows", "addresses", "executables", "workloads", "instances",
                         "coverage", *(behaviour.table for behaviour in BEHAVIOURS))
        }  # fmt: skip

    def table(self, name: str) -> pa.Table:
        return self._tables[name]

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        yield from self._tables[name].to_batches(max_chunksize=7)


def behaviour_of(source: Source) -> list[dict[str, object]]:
    context = context_of(source)
    taint = taint_of(context, learner_indicators())
    found = pa.concat_tables([extract(context, taint, behaviour) for behaviour in BEHAVIOURS])
    return sorted(found.to_pylist(), key=repr)


def test_rows_in_memory_show_what_the_recording_shows(tmp_path: Path) -> None:
    recording = Recording.open(shop_recording(tmp_path / "shop"))
    assert behaviour_of(InMemory(recording)) == behaviour_of(recording)
