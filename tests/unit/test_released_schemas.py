"""Every schema that was released stays readable: artifacts as they were written then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethogram.contracts.baseline_yaml import load_baseline
from ethogram.contracts.finding import Finding
from ethogram.contracts.recording import Recording
from ethogram.contracts.summary import read_summary
from ethogram.contracts.tables import RECORDING_SCHEMA, SUMMARY_SCHEMA, TABLES
from learner.summary import summarize

pytestmark = pytest.mark.unit

RELEASED = Path(__file__).parents[1] / "fixtures/released"


def versions(kind: str) -> list[Path]:
    return sorted(RELEASED.glob(f"{kind}-*"))


def test_the_schemas_of_today_are_among_them() -> None:
    today = {RECORDING_SCHEMA, SUMMARY_SCHEMA, "ethogram.baseline/1", "ethogram.finding/1"}
    names = {schema.removeprefix("ethogram.").replace("/", "-") for schema in today}
    assert names <= {path.name.partition(".")[0] for path in RELEASED.iterdir()}


@pytest.mark.parametrize("path", versions("recording"), ids=lambda path: path.name)
def test_a_recording_is_read_whole(path: Path) -> None:
    recording = Recording.open(path)
    recording.verify()
    rows = {name: recording.table(name).num_rows for name in TABLES}
    assert rows["processes"] == 7
    assert rows["network"] > 0
    assert summarize(recording).num_rows > 50


@pytest.mark.parametrize("path", versions("summary"), ids=lambda path: path.name)
def test_a_summary_is_read_whole(path: Path) -> None:
    assert read_summary(path).num_rows > 50


@pytest.mark.parametrize("path", versions("baseline"), ids=lambda path: path.name)
def test_a_baseline_is_read_whole(path: Path) -> None:
    baseline = load_baseline(path)
    assert baseline.subject.name == "checkout"
    assert baseline.rules.syscalls


@pytest.mark.parametrize("path", versions("finding"), ids=lambda path: path.name)
def test_a_finding_is_read_whole(path: Path) -> None:
    lines = path.read_text().splitlines()
    found = [Finding.model_validate_json(line) for line in lines]
    assert len(found) == 2
    assert [one.model_dump(mode="json", exclude_none=True)["rule"] for one in found] == [
        json.loads(line)["rule"] for line in lines
    ]
