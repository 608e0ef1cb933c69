"""An attack beside a storm of opens that the baseline allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command_line import ethogram, findings_in
from tests.workloads import known

pytestmark = pytest.mark.e2e

OPEN = ["open", "/etc/hostname", "r"]
# As fast as it can, until somebody ends it.
FLOOD = ["repeat", 100_000_000, [OPEN]]
ATTACK = "id; cat /etc/shadow"


def shell(actions: list[object], then: str = "") -> str:
    words = " ".join(known(actions)).replace("[", "'['").replace("]", "']'")
    return f"{words} & flood=$!; sleep 2; {then} kill $flood; wait $flood; echo ended by $?"


def learnt(tmp_path: Path, script: str) -> Path:
    done = ethogram("record", "-o", "r", "--window", "100ms", "--", "sh", "-c", script,
                    cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin,lossy", "--no-model", "r", "-o", "b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "b"


def test_an_attack_is_told_of_while_its_own_workload_opens_files_without_end(
    tmp_path: Path,
) -> None:
    baselines = learnt(tmp_path, shell(["repeat", 10, [OPEN]]))
    done = ethogram("watch", "--baseline", baselines, "--window", "500ms", "--format", "jsonl",
                    "--", "sh", "-c", shell(FLOOD, f"{ATTACK};"), cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ended by 143" in done.stderr  # the flood went on all the time
    found = list(findings_in(done.stdout.splitlines()))
    told = [one.evidence.observed for one in found]
    assert any("/etc/shadow" in one for one in told), told
    assert any("/id" in one for one in told), told
    assert not [one for one in told if "/etc/hostname" in one]
    assert "nothing lost" in done.stderr
