"""What `--redact-rules` names reaches no file of a recording, and the manifest counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from tests.e2e.command_line import ethogram

pytestmark = pytest.mark.e2e


def test_a_recorded_command_names_nobody(tmp_path: Path) -> None:
    home = tmp_path / "homes" / "alice"
    home.mkdir(parents=True)
    (home / "diary").write_text("dear diary\n")
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "schema: ethogram.redaction/1\n"
        "rules:\n"
        '- {name: homes, paths: ["**/homes/{*}/**"]}\n'
        '- {name: nobody, dns: ["{*}.nowhere.example"]}\n'
    )
    recording = tmp_path / "recording"
    words = ["sh", "-c", f"cat {home}/diary; cat {home}/missing; exit 0"]
    done = ethogram("record", "--redact-rules", rules, "-o", recording, "--", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "dear diary\n"
    found = Recording.open(recording)
    tables = {name: repr(found.table(name).to_pylist()) for name in TABLES}
    assert [name for name, rows in tables.items() if "alice" in rows] == []
    assert "alice" not in (recording / "manifest.json").read_text()
    paths = found.table("files")["path"].to_pylist()
    shown = bytes(tmp_path) + b"/homes/[redacted]/diary"
    assert shown in paths
    by_rule = found.manifest.redaction.by_rule
    assert by_rule is not None
    assert by_rule["homes"] >= len([path for path in paths if b"[redacted]" in path]) + 3
    assert by_rule["nobody"] == 0
