"""What a Parquet file may ask for: small files can say that they hold very much.

What the recorder writes stays far below these numbers. A page of zeros, a dictionary's long word
repeated, a list of a billion equal members: each fits some kilobytes, and would take gigabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["check_limits", "decoded", "repeating_columns"]

_CHUNK_BYTES = 1 << 30  # of one column in one row group, before its values are repeated
_BATCH_BYTES = 1 << 30  # of one column in one batch
_MEMBERS_A_ROW, _MEMBERS = 8192, 1 << 20  # a command line of 4096 bytes has 4096 words at most


def check_limits(metadata: pq.FileMetaData) -> None:
    """Raise `ValueError` where the file says of itself that it is too large to be one of ours."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            name = chunk.path_in_schema.partition(".")[0]
            if not 0 <= chunk.total_uncompressed_size <= _CHUNK_BYTES:
                raise ValueError(f"column `{name}`: {chunk.total_uncompressed_size} bytes at once")
            if chunk.num_values > _MEMBERS_A_ROW * group.num_rows + _MEMBERS:
                raise ValueError(
                    f"column `{name}`: {chunk.num_values} values in {group.num_rows} rows"
                )


def repeating_columns(schema: pq.ParquetSchema) -> list[str]:
    """Return the columns of text or bytes, which are read with their dictionary.

    Their values are repeated by `decoded`, which looks at the size first. Those in maps are not
    among them: Arrow has no such form.
    """
    leaves = map(schema.column, range(len(schema)))
    return [
        leaf.path
        for leaf in leaves
        if leaf.physical_type == "BYTE_ARRAY" and leaf.path.count(".") in (0, 2)
        if ".key_value." not in leaf.path
    ]


def decoded(array: pa.DictionaryArray) -> pa.Array:
    """Return the values of *array* without its dictionary; `ValueError` where they are too much."""
    import pyarrow.compute as pc  # noqa: PLC0415  of no use to who only writes

    words = array.dictionary
    if pa.types.is_dictionary(words.type) or pa.types.is_nested(words.type):
        raise ValueError("it is a dictionary of something else than values")
    if not pa.types.is_fixed_size_binary(words.type) and not pa.types.is_primitive(words.type):
        lengths = pc.binary_length(words).cast(pa.int64())
        size = pc.sum(lengths.take(array.indices)).as_py() or 0
        if size > _BATCH_BYTES:
            raise ValueError(f"{size} bytes in {len(array)} rows")
    return array.dictionary_decode()
