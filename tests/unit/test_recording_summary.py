"""The file of a summary: written whole, refused by name."""

import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ethogram.contracts.columns import batch_of
from ethogram.contracts.summary import read_summary, write_summary
from ethogram.contracts.tables import SUMMARY
from ethogram.errors import RecordingError, UsageError
from tests.recordings import START_NS

pytestmark = pytest.mark.unit

ROW = {
    "recording_id": ["r"],
    "instance_key": ["i"],
    "workload_key": ["w"],
    "phase": ["steady"],
    "dimension": ["syscalls"],
    "arch": ["x86_64"],
    "key": [b"257"],
    "windows": [3],
    "calls": [23],
    "first": [START_NS],
    "last": [START_NS],
}


@pytest.fixture
def summary() -> pa.Table:
    return pa.Table.from_batches([batch_of(SUMMARY, ROW)])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.summary.parquet"


def test_a_summary_is_written_for_its_owner_alone(summary, path):
    write_summary(summary, path)
    assert read_summary(path).equals(summary)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_summary_is_not_overwritten_without_force(summary, path):
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists") as raised:
        write_summary(summary, path)
    assert "--force" in raised.value.hint
    assert path.read_text() == "mine"
    write_summary(summary, path, force=True)
    assert read_summary(path).num_rows == 1


def test_a_place_that_cannot_be_written_is_said(summary, tmp_path):
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        write_summary(summary, tmp_path / "no" / "x.summary.parquet")


def test_a_table_that_is_no_summary_is_an_error_of_the_caller(path):
    with pytest.raises(ValueError, match="has no column `moon`"):
        write_summary(pa.table({"moon": [1]}), path)
    assert not path.exists()


def test_a_missing_summary_is_said(path, tmp_path):
    with pytest.raises(RecordingError, match="does not exist"):
        read_summary(path)
    with pytest.raises(RecordingError, match="is not a file"):
        read_summary(tmp_path)


def test_a_truncated_summary_is_refused(summary, path):
    write_summary(summary, path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RecordingError, match="is no whole Parquet file"):
        read_summary(path)


def test_another_parquet_is_no_summary(path):
    pq.write_table(pa.table({"moon": [1]}), path)
    with pytest.raises(RecordingError, match="is no summary") as raised:
        read_summary(path)
    assert "ethogram summarize" in raised.value.hint


def test_a_newer_summary_is_refused_with_what_to_do(summary, path):
    metadata = {b"ethogram.schema": b"ethogram.summary/2"}
    pq.write_table(summary.replace_schema_metadata(metadata), path)
    with pytest.raises(RecordingError, match="made by a newer ethogram") as raised:
        read_summary(path)
    assert raised.value.hint == "upgrade ethogram"


def test_a_summary_with_a_foreign_column_is_refused_by_name(summary, path):
    metadata = {b"ethogram.schema": b"ethogram.summary/1"}
    foreign = summary.set_column(6, "key", pa.array(["257"]))
    pq.write_table(foreign.replace_schema_metadata(metadata), path)
    with pytest.raises(RecordingError, match="column `key`: it is string, not binary"):
        read_summary(path)
