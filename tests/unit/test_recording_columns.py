"""What a table takes, from programs and from files."""

import datetime as dt
import struct

import numpy as np
import pyarrow as pa
import pytest

from ethogram.contracts.columns import batch_of, conform_array
from ethogram.contracts.tables import ENUMS, TABLES, Column
from tests.recordings import START_NS, columns_of

pytestmark = pytest.mark.unit

WINDOWS = TABLES["windows"]
LOSSES = TABLES["losses"]


def one(table: str, **values):
    """Return the batch of one row of *table*, with column values given as sequences."""
    return batch_of(TABLES[table], columns_of(table, [{}]) | values)


def test_an_unknown_column_is_named():
    with pytest.raises(ValueError, match="table `windows` has no column `moon`"):
        batch_of(WINDOWS, {"window": [0], "start": [0], "end": [0], "moon": [1]})


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"column `windows.end` is missing"):
        batch_of(WINDOWS, {"window": [0], "start": [0]})


def test_a_length_that_differs_is_named():
    with pytest.raises(ValueError, match=r"column `windows.end` has 2 values, others 1"):
        batch_of(WINDOWS, {"window": [0], "start": [0], "end": [0, 1]})


def test_a_null_where_none_may_be_is_named():
    with pytest.raises(ValueError, match=r"column `windows.end` is null in a row"):
        batch_of(WINDOWS, {"window": [0], "start": [0], "end": [None]})


@pytest.mark.parametrize(
    "values",
    [[-1], [2**32], ["one"], [b"1"], np.array([2**40]), np.array([-1]), pa.array(["x"])],
    ids=lambda values: str(values if isinstance(values, list) else values.tolist()),
)
def test_a_value_that_does_not_fit_is_named(values):
    with pytest.raises(ValueError, match=r"column `windows.window`: "):
        batch_of(WINDOWS, {"window": values, "start": [0], "end": [0]})


@pytest.mark.parametrize(
    "values",
    [
        [START_NS],
        [dt.datetime.fromtimestamp(START_NS // 10**9, dt.UTC)],
        np.array([START_NS], np.uint64),
        np.array([START_NS], np.int64),
        np.array([START_NS], "M8[ns]"),
        pa.array([START_NS], pa.timestamp("ns", "UTC")),
    ],
    ids=lambda values: str(getattr(values, "dtype", type(values[0]))),
)
def test_a_time_comes_in_many_shapes(values):
    batch = batch_of(WINDOWS, {"window": [0], "start": values, "end": values})
    assert batch.column("start").cast(pa.int64()).to_pylist() == [START_NS]


@pytest.mark.parametrize(
    "values",
    [
        ["map_full"],
        [1],
        np.array([1], np.uint8),
        np.array(["map_full"]),
        np.array(["map_full"], object),
        pa.array(["map_full"]),
        pa.array(["other", "map_full"]).dictionary_encode()[1:],
        pa.chunked_array([["map_full"], []]),
    ],
    ids=lambda values: str(getattr(values, "dtype", getattr(values, "type", values))),
)
def test_an_enum_takes_names_and_codes_and_shares_one_dictionary(values):
    kind = one("losses", kind=values).column("kind")
    assert kind.to_pylist() == ["map_full"]
    assert kind.type == pa.dictionary(pa.int8(), pa.string())
    assert tuple(kind.dictionary.to_pylist()) == ENUMS["loss"]


@pytest.mark.parametrize("values", [["moon"], [-1], [len(ENUMS["loss"])], np.array([99])], ids=repr)
def test_a_member_that_an_enum_lacks_is_refused(values):
    with pytest.raises(ValueError, match=r"column `losses.kind`"):
        one("losses", kind=values)


def test_a_nullable_enum_keeps_its_nulls():
    trust = one("network", name_trust=[None]).column("name_trust")
    assert trust.to_pylist() == [None]
    assert tuple(trust.dictionary.to_pylist()) == ENUMS["name_trust"]


@pytest.mark.parametrize(
    "values",
    [
        [["tty", "null"]],
        [[3, 5]],
        np.array([[3, 5]], np.uint8),
        pa.array([["tty", "null"]]),
        pa.array([["x", "y"], ["tty", "null"]])[1:],
    ],
    ids=["names", "codes", "matrix", "arrow", "slice"],
)
def test_a_list_of_an_enum_takes_what_the_enum_takes(values):
    assert one("processes", stdio=values).column("stdio").to_pylist() == [["tty", "null"]]


GRAM = struct.pack("<6H", 65535, 0, 257, 3, 0, 0)


@pytest.mark.parametrize(
    "values",
    [
        [GRAM],
        np.frombuffer(GRAM, "<u2").reshape(1, 6),
        np.frombuffer(GRAM, np.uint8).reshape(1, 12),
        np.frombuffer(GRAM, "V12"),
        np.frombuffer(GRAM, "S12"),
    ],
    ids=["bytes", "u16", "u8", "void", "S"],
)
def test_an_ngram_keeps_all_its_bytes_from_any_array(values):
    assert one("ngrams", gram=values).column("gram").to_pylist() == [GRAM]


def test_rows_of_another_width_are_no_ngrams():
    with pytest.raises(ValueError, match=r"column `ngrams.gram`: rows are not 12 bytes long"):
        one("ngrams", gram=np.zeros((1, 5), np.uint16))


def test_bytes_of_a_numpy_array_keep_what_follows_a_nul():
    path = one("files", path=np.array([b"\0abstract"])).column("path")
    assert path.to_pylist() == [b"\0abstract"]


def test_a_masked_number_is_null():
    errno = one("files", errno=np.ma.array([2], mask=[True])).column("errno")
    assert errno.to_pylist() == [None]


CODES = Column("kind", "enum:loss", "")
NAMES = Column("argv", "list:bytes", "")
LABELS = Column("labels", "map", "")
STDIO = Column("stdio", "list:enum:stdio", "")


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["quota"]),
        pa.array(["quota"], pa.large_string()),
        pa.array(["quota"], pa.string_view()),
        pa.array(["quota"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([1], pa.int32()), pa.array(["moon", "quota"])),
        pa.chunked_array(
            [pa.array(["quota"]).dictionary_encode(), pa.array(["x"]).dictionary_encode()[1:]]
        ),
    ],
    ids=lambda array: str(array.type),
)
def test_a_file_may_hold_an_enum_as_text_or_under_another_dictionary(array):
    conformed = conform_array(CODES, array)
    assert conformed.to_pylist() == ["quota"]
    assert tuple(conformed.dictionary.to_pylist()) == ENUMS["loss"]


@pytest.mark.parametrize(
    ("column", "array", "cause"),
    [
        (CODES, pa.array(["mo\x1bon"]), r"`mo\\x1bon` is no member of enum `loss`"),
        (CODES, pa.array(["moon"]).dictionary_encode(), "`moon` is no member of enum `loss`"),
        (CODES, pa.array([1]), "it is int64, not text"),
        (CODES, pa.array([1]).dictionary_encode(), "not text"),
        (STDIO, pa.array([["moon"]]), "`moon` is no member of enum `stdio`"),
        (Column("calls", "u64", ""), pa.array([1], pa.int64()), "it is int64, not uint64"),
        (Column("calls", "u64", ""), pa.array([None], pa.uint64()), "it is null in a row"),
        (Column("path", "bytes", ""), pa.array(["x"]), "it is string, not binary"),
        (Column("name", "str", ""), pa.array([b"x"]), "it is binary, not string"),
        (Column("start", "ts", ""), pa.array([0], pa.timestamp("ns")), "not timestamp"),
        (NAMES, pa.array([["x"]]), "not list"),
        (LABELS, pa.array(["x"]), "not map"),
    ],
)
def test_a_file_with_another_type_or_value_is_refused(column, array, cause):
    with pytest.raises(ValueError, match=cause):
        conform_array(column, array)


def test_indices_outside_a_dictionary_are_refused_and_not_followed():
    array = pa.DictionaryArray.from_arrays(
        pa.array([99], pa.int8()), pa.array(["quota"]), safe=False
    )
    with pytest.raises(ValueError, match="out of bounds"):
        conform_array(CODES, array)


def test_text_that_is_not_utf8_is_refused():
    array = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<2i", 0, 1)), pa.py_buffer(b"\xff")]
    )
    with pytest.raises(ValueError, match="UTF8"):
        conform_array(Column("name", "str", ""), array)


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (Column("path", "bytes", ""), pa.array([b"x", b""], pa.large_binary())),
        (NAMES, pa.array([[b"x"], []], pa.large_list(pa.large_binary()))),
        (LABELS, pa.array([[("a", "b")], []], pa.map_(pa.large_string(), pa.string()))),
        (STDIO, pa.array([["tty"], []], pa.large_list(pa.string()))),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_another_layout_of_the_same_is_read(column, array):
    assert conform_array(column, array).to_pylist() == array.to_pylist()
