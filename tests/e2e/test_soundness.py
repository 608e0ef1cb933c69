"""What was really recorded is allowed by the baseline and the profile that were made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethogram.contracts.baseline import (
    CapabilityValue,
    ExecValue,
    FileValue,
    SyscallValue,
    load_baselines,
)
from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.escape import escape, escape_pattern
from ethogram.contracts.flags import Access
from ethogram.contracts.matching import Allowlist
from ethogram.contracts.policy_seccomp import allows
from ethogram.contracts.recording import Recording
from learner.dimensions import access_letters
from tests.e2e.command_line import ethogram

pytestmark = pytest.mark.e2e

SCRIPT = "ls -l /etc | sort > sorted; chmod 600 sorted; rm sorted; cat /proc/self/status; id"


def test_everything_recorded_is_allowed_and_one_more_call_is_not(tmp_path: Path) -> None:
    recording, baselines, policies = tmp_path / "rec", tmp_path / "baselines", tmp_path / "policies"
    steps = [
        ("record", "-o", recording, "--", "sh", "-c", SCRIPT),
        ("learn", "--allow", "thin", recording, "-o", baselines),
        ("export", "--allow", "thin", baselines, "--to", "seccomp", "--enforce", "-o", policies),
    ]
    for words in steps:
        done = ethogram(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    ((_, baseline),) = load_baselines(baselines)
    allowed, seen = Allowlist(baseline), Recording.open(recording)
    executed = {
        row["exe"]: ExecValue(path=escape(row["path"]), upper=row["upper"] or None)
        for row in seen.table("executables").to_pylist()
        if row["path"]
    }
    (file,) = policies.rglob("*.seccomp.json")
    profile = json.loads(file.read_text())

    calls = seen.table("syscalls").to_pylist()
    assert len(calls) > 30
    arguments: dict[tuple[str, int], list[dict[int, int]]] = {}
    for row in seen.table("arguments").to_pylist():
        values = {} if row["value"] is None else {row["index"]: row["value"]}
        arguments.setdefault((row["arch"], row["nr"]), []).append(values)
    assert arguments
    for row in calls:
        value = SyscallValue(arch=row["arch"], name=row["name"], nr=row["nr"])
        assert allowed.allows("syscalls", value), row
        told = arguments.get((row["arch"], row["nr"]), [{}])
        answers = [allows(profile, row["arch"], row["name"], values) for values in told]
        assert row["phase"] == "runtime" or all(answers), row
    for row in seen.table("processes").to_pylist():
        if row["errno"] is None:
            assert allowed.allows("execs", executed[row["exe"]]), row
    for row in seen.table("files").to_pylist():
        if row["errno"] is None:
            letters = access_letters(Access(row["access"]))
            value = FileValue(path=escape_pattern(row["path"]), access=letters)
            assert allowed.allows("files", value), row
    for row in seen.table("privileges").to_pylist():
        if row["operation"] == "capability" and row["granted"]:
            name = capability_name(row["capability"])
            assert allowed.allows("capabilities", CapabilityValue(name=name)), row

    assert not allowed.allows("syscalls", SyscallValue(arch="x86_64", name="unshare", nr=272))
    assert not allows(profile, "x86_64", "unshare")
    assert not allowed.allows("execs", ExecValue(path="/usr/bin/nc"))
