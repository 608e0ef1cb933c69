"""`ethogram schema` prints the declaration that the code uses."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from ethogram.cli.run import run
from ethogram.contracts.event import Event
from ethogram.contracts.finding import Finding
from ethogram.contracts.tables import ENUMS, SUMMARY, TABLES
from tests.events import every_event

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


@pytest.mark.parametrize(("name", "model"), [("finding", Finding), ("event", Event)])
def test_lines_of_watch_have_a_schema_too(
    name: str, model: type[BaseModel], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", name, "--format", "json"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["schema"]["const"] == f"ethogram.{name}/1"
    jsonschema.Draft202012Validator.check_schema(schema)
    assert run(["schema", name]) == 0
    printed = capsys.readouterr().out
    fields = {field.alias or key for key, field in model.model_fields.items()}
    assert [field for field in fields if f" {field} " not in printed] == []
    assert " candidates " in printed


def test_events_are_what_their_schema_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", "event", "--format", "json"]) == 0
    validator = jsonschema.Draft202012Validator(json.loads(capsys.readouterr().out))
    for record in every_event(tmp_path):
        validator.validate(record.body)
