"""The commands of the tutorial work, in their order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command_line import ETHOGRAM

pytestmark = pytest.mark.e2e

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_the_commands_of_the_tutorial_work(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    commands = tmp_path / "commands"
    commands.mkdir()
    installed = commands / "ethogram"
    installed.write_text(f'#!/bin/sh\nexec {shlex.join(ETHOGRAM)} "$@"\n')
    installed.chmod(0o755)
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=place, env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nothing lost" in done.stdout
    assert "exit code 12" in done.stdout
    assert "sensitive-file-read" in done.stdout
    names = [p.name for p in (place / "policies").rglob("*.json")]
    assert any(name.endswith(".seccomp.json") for name in names), names
    assert not (place / "monday").exists()
