"""`ethogram schema` prints the declaration that the code uses."""

import json

import pytest

from ethogram.cli.run import run
from ethogram.contracts.tables import ENUMS, SUMMARY, TABLES

pytestmark = pytest.mark.unit


def test_json_has_every_table_and_column(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "ethogram.schema/1"
    printed = {
        table["name"]: [(c["name"], c["type"], c["nullable"]) for c in table["columns"]]
        for table in document["tables"]
    }
    assert printed == {
        table.name: [(c.name, c.word, c.is_nullable) for c in table.columns]
        for table in (*TABLES.values(), SUMMARY)
    }
    assert document["enums"] == {name: list(members) for name, members in ENUMS.items()}


@pytest.mark.parametrize("name", [*TABLES, "summary"])
def test_text_names_every_column_of_the_table(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", name]) == 0
    printed = capsys.readouterr().out
    table = TABLES.get(name, SUMMARY)
    assert [c.name for c in table.columns if f" {c.name} " not in printed] == []
    assert table.doc in " ".join(printed.split())


def test_markdown_has_one_row_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "dns", "--format", "markdown"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    assert len(rows) == len(TABLES["dns"].columns)
