"""The benchmark of patterns: what they let in of what nobody should open, and what they miss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.directories import KINDS
from benchmarks.patterns import fit_of_kind, main

pytestmark = pytest.mark.unit

# Two levels of directories need more runs; the number of a process alone could be any name.
NOT_WHOLE = {"nginx", "a JVM"}


@pytest.mark.parametrize("kind", KINDS)
def test_another_run_is_allowed_and_no_alien(kind: str) -> None:
    fit = fit_of_kind(kind)
    assert fit.let_in == ()
    assert fit.rules <= fit.seen
    assert (fit.allowed == fit.held_out) == (kind not in NOT_WHOLE)


def test_it_prints_json_and_a_table_and_writes_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("<!-- patterns: begin -->\n<!-- patterns: end -->\n")
    main(["--write", str(document)])
    captured = capsys.readouterr()
    (part,) = json.loads(captured.out)["parts"]
    made, real = part["tables"]
    assert [row[0] for row in made["rows"]] == [*KINDS, "all"]
    assert all(row[7] == 0 for row in (*made["rows"], *real["rows"]))
    assert "| PostgreSQL | 119 |" in document.read_text()
    assert "PostgreSQL" in captured.err
