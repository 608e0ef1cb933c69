"""Every column, enum and table says what it means, in one line that Markdown can hold."""

import pytest

from ethogram.contracts.tables import ENUMS, SUMMARY, TABLES, Table

pytestmark = pytest.mark.unit

EVERY = [*TABLES.values(), SUMMARY]


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table.name)
def test_every_column_has_a_meaning(table: Table) -> None:
    docs = [table.doc, *(column.doc for column in table.columns)]
    assert [doc for doc in docs if not doc or "|" in doc or "\n" in doc] == []


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table.name)
def test_the_key_names_columns_of_the_table(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert set(table.key) <= set(names)


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table.name)
def test_arrow_has_the_same_columns_and_meanings(table: Table) -> None:
    schema = table.arrow_schema()
    assert [(f.name, f.nullable, f.metadata[b"doc"].decode()) for f in schema] == [
        (c.name, c.is_nullable, c.doc) for c in table.columns
    ]


def test_every_enum_is_used_and_every_used_enum_exists() -> None:
    words = {column.word for table in EVERY for column in table.columns}
    used = {word.rpartition("enum:")[2] for word in words if "enum:" in word}
    assert used == set(ENUMS)
    assert [name for name, members in ENUMS.items() if len(members) != len(set(members))] == []
