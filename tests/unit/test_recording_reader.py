"""The reading end: what a recording gives, and what is refused by name."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ethogram.contracts import parquet_rows
from ethogram.contracts.manifest import Manifest, read_manifest, write_manifest
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from ethogram.errors import RecordingError
from tests.recordings import make_manifest, make_recording, shop_recording

pytestmark = pytest.mark.unit

FILES = "files-00000.parquet"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "rec"
    return make_recording(path, files=[{"path": b"/%d" % n, "calls": n} for n in range(23)])


@pytest.fixture
def path(pristine, tmp_path) -> Path:
    """A recording that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "rec"))


def refusal(path: Path, table: str | None = "files") -> RecordingError:
    """Return the error of opening *path* and reading *table*."""

    def read() -> None:
        recording = Recording.open(path)
        if table:
            recording.table(table)

    with pytest.raises(RecordingError) as raised:
        read()
    return raised.value


def change_manifest(path: Path, **fields) -> None:
    file = path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def replace_table(
    path: Path, table: pa.Table, name: str = FILES, *, row_group_size: int | None = None
) -> None:
    """Put *table* where a Parquet file was, and let the manifest agree."""
    pq.write_table(table, path / name, row_group_size=row_group_size)
    manifest = read_manifest(path)
    data = (path / name).read_bytes()
    agreed = {
        "rows": table.num_rows,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    listed = tuple(
        file.model_copy(update=agreed) if file.path == name else file for file in manifest.files
    )
    write_manifest(path, manifest.model_copy(update={"files": listed}))


def drop(table: pa.Table, column: str) -> pa.Table:
    return table.drop_columns([column])


def with_column(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, values)


def test_every_table_has_exactly_its_schema(tmp_path):
    recording = Recording.open(shop_recording(tmp_path / "rec"))
    for name, table in TABLES.items():
        read = recording.table(name)
        assert read.schema.equals(table.arrow_schema(), check_metadata=True)
        read.validate(full=True)


def test_a_table_of_which_nothing_was_recorded_is_empty(path):
    assert Recording.open(path).table("dns").num_rows == 0
    assert list(Recording.open(path).batches("dns")) == []


def test_a_table_comes_in_batches(path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 10)
    batches = list(Recording.open(path).batches("files"))
    assert [batch.num_rows for batch in batches] == [10, 10, 3]
    assert pa.Table.from_batches(batches).equals(Recording.open(path).table("files"))


def test_a_table_that_is_none_is_an_error_of_the_caller(path):
    with pytest.raises(KeyError):
        Recording.open(path).table("moons")


def test_nothing_there_is_said(tmp_path):
    error = refusal(tmp_path / "no")
    assert "does not exist" in error.message
    assert error.exit_code == 1
    assert "ethogram record" in error.hint


def test_a_file_is_no_recording(tmp_path):
    (tmp_path / "file").write_text("")
    assert "is not a directory" in refusal(tmp_path / "file").message


def test_a_directory_without_a_manifest_is_no_recording(tmp_path):
    error = refusal(tmp_path)
    assert "it has no `manifest.json`" in error.message
    assert error.hint


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "\xff", "[" * 100_000, '{"schema": NaN}', "{}"]
)
def test_a_manifest_that_is_no_json_object_of_ours_is_refused(path, text):
    (path / "manifest.json").write_bytes(text.encode("latin-1"))
    assert "manifest.json" in refusal(path).message


def test_a_newer_recording_is_refused_with_what_to_do(path):
    change_manifest(path, schema="ethogram.recording/2", kernel=None)
    error = refusal(path)
    assert "made by a newer ethogram" in error.message
    assert error.hint == "upgrade ethogram"


@pytest.mark.parametrize("schema", ["ethogram.baseline/1", "ethogram.recording/x", 7, None])
def test_the_manifest_of_something_else_is_refused(path, schema):
    change_manifest(path, schema=schema)
    assert "field `schema` is not `ethogram.recording/1`" in refusal(path).message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recording_id", ""),
        ("started", "yesterday"),
        ("started", "2026-01-05T10:00:00"),
        ("window_ms", 0),
        ("window_ms", None),
        ("loader", "magic"),
        ("clock.source", None),
        ("programs.0.state", "maybe"),
        ("files.0.rows", -1),
        ("files.0.sha256", "abc"),
        ("windows", "many"),
    ],
)
def test_a_malformed_field_is_named(path, field, value):
    document = json.loads((path / "manifest.json").read_text())
    *parents, last = field.split(".")
    part = document
    for parent in parents:
        part = part[int(parent) if parent.isdigit() else parent]
    part[last] = value
    (path / "manifest.json").write_text(json.dumps(document))
    assert f"field `{field}`" in refusal(path).message


@pytest.mark.parametrize(
    "name",
    ["../secret.parquet", "/etc/passwd", "a/../../b", "a\0b", "", ".", "./x", "a//b", "a\x1b[2Jb"],
)
def test_a_path_that_leaves_the_recording_is_refused(path, name):
    files = json.loads((path / "manifest.json").read_text())["files"]
    change_manifest(path, files=[files[0] | {"path": name}])
    error = refusal(path)
    assert "field `files.0.path`" in error.message
    assert error.message.isprintable()


def test_a_link_out_of_the_recording_is_not_followed(path, tmp_path):
    (path / FILES).rename(tmp_path / "elsewhere")
    (path / FILES).symlink_to(tmp_path / "elsewhere")
    assert "links are not followed" in refusal(path, table=None).message


def test_a_link_to_another_journal_is_not_followed(path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (path / "journal").symlink_to(tmp_path / "elsewhere")
    assert "links are not followed" in refusal(path, table=None).message


def test_a_file_that_is_listed_twice_is_refused(path):
    files = json.loads((path / "manifest.json").read_text())["files"]
    change_manifest(path, files=[files[0], files[0]])
    assert "`files` names one path twice" in refusal(path).message


def test_a_listed_file_that_is_missing_is_named(path):
    (path / FILES).unlink()
    assert f"{FILES}` is missing" in refusal(path, table=None).message


def test_a_truncated_parquet_is_refused_by_its_size(path):
    data = (path / FILES).read_bytes()
    (path / FILES).write_bytes(data[:-1])
    error = refusal(path, table=None)
    assert f"has {len(data) - 1} bytes, the manifest says {len(data)}" in error.message


@pytest.mark.parametrize("part", [0, 3, 4, 100, 0.5, -1])
def test_a_truncated_parquet_of_unknown_size_is_refused_when_read(path, part):
    data = (path / FILES).read_bytes()
    length = int(len(data) * part) if isinstance(part, float) else part % len(data)
    (path / FILES).write_bytes(data[:length])
    files = json.loads((path / "manifest.json").read_text())["files"]
    for file in files:
        del file["size_bytes"]
        file["sha256"] = hashlib.sha256(data[:length]).hexdigest()
    change_manifest(path, files=files)
    assert f"{FILES}` is no whole Parquet file" in refusal(path).message


def test_rows_that_are_not_as_listed_are_refused(path):
    table = pq.read_table(path / FILES)
    replace_table(path, table.slice(1))
    files = json.loads((path / "manifest.json").read_text())["files"]
    change_manifest(path, files=[file | {"rows": 23} for file in files])
    assert "has 22 rows, the manifest says 23" in refusal(path).message


def test_a_change_that_keeps_the_size_is_found_by_the_digest(path):
    data = bytearray((path / FILES).read_bytes())
    data[len(data) // 2] ^= 1
    (path / FILES).write_bytes(data)
    recording = Recording.open(path)
    with pytest.raises(RecordingError, match=rf"{FILES}` is not what was recorded"):
        recording.verify()


def test_a_column_that_is_missing_is_named(path):
    replace_table(path, drop(pq.read_table(path / FILES), "path"))
    error = refusal(path)
    assert f"{FILES}` is no table `files`: it lacks column `path`" in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("column", "values", "cause"),
    [
        ("path", pa.array(["x"] * 23), "it is string, not binary"),
        ("calls", pa.array([1.0] * 23), "it is double, not uint64"),
        ("phase", pa.array(["moon"] * 23), "`moon` is no member of enum `phase`"),
        ("phase", pa.array([None] * 23, pa.string()), "it is null in a row"),
        ("first", pa.array([0] * 23, pa.int64()), "it is int64, not timestamp"),
    ],
)
def test_a_column_that_is_foreign_is_named(path, column, values, cause):
    replace_table(path, with_column(pq.read_table(path / FILES), column, values))
    message = refusal(path).message
    assert f"{FILES}` is no table `files`: column `{column}`: {cause}" in message


def test_a_column_that_comes_twice_is_refused(path):
    table = pq.read_table(path / FILES)
    replace_table(path, table.append_column("path", table.column("path")))
    assert "two columns `path`" in refusal(path).message


def test_a_later_version_may_add_columns_tables_and_keys(path):
    wanted = Recording.open(path).table("files")
    table = pq.read_table(path / FILES).append_column("moon", pa.array(range(23)))
    replace_table(path, drop(table, "errno"))
    document = json.loads((path / "manifest.json").read_text())
    pq.write_table(table, path / "moons-00000.parquet")
    added = document["files"][0] | {"path": "moons-00000.parquet", "table": "moons"}
    del added["size_bytes"]
    change_manifest(path, files=[*document["files"], added], moon={"phase": "full"})
    assert Recording.open(path).table("files").equals(wanted)
    assert read_manifest(path).model_extra == {"moon": {"phase": "full"}}
    assert b'"moon"' in read_manifest(path).to_json()


def test_a_table_written_by_other_tools_is_read(path):
    wanted = Recording.open(path).table("files")
    table = pq.read_table(path / FILES)
    for name in ("phase", "in_image"):
        table = with_column(table, name, table.column(name).cast(pa.string()))
    replace_table(path, table.replace_schema_metadata(None))
    assert Recording.open(path).table("files").equals(wanted)


def test_lists_are_read_across_row_groups(tmp_path):
    rows = [{"exec_id": f"{n}", "argv": [b"sh", b"%d" % n]} for n in range(23)]
    path = make_recording(tmp_path / "rec", processes=rows)
    name = "processes-00000.parquet"
    replace_table(path, pq.read_table(path / name), name, row_group_size=7)
    argv = Recording.open(path).table("processes").column("argv").to_pylist()
    assert argv == [row["argv"] for row in rows]


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    manifest = make_manifest(command={"argv": ["curl", "x"], "exit_status": -9}, cluster="c")
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    document = json.loads((tmp_path / "manifest.json").read_text())
    assert document["schema"] == "ethogram.recording/1"
    assert "ended" not in document
    assert Manifest.model_validate(document) == manifest
