"""A real container, recorded: its profile lets it through, and says what a narrower one denies.

What `doctor --policies` says of a profile is what the real runtimes do with it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.containers import Container, ContainerError
from demo.oci import Spec
from ethogram.contracts.syscall_names import names_of
from exporters.fitness_seccomp import SeccompFitness, load_start_calls
from exporters.replay.protocol import Policy
from exporters.runtime_base import load_runtime_bases
from profiler.policy_host import look
from tests.e2e.command_line import ethogram
from tests.e2e.recorded import GETPGRP, KNOWN, known_spec, recorded
from tools.measure_runtime_base import release

pytestmark = pytest.mark.e2e

RUNTIMES = ("runc", "crun")


def test_a_profile_passes_what_it_was_made_of_and_one_without_a_call_does_not(
    busybox_image: Path, tmp_path: Path
) -> None:
    """One call that only a session makes is taken out: the session is the example."""
    spec = known_spec(["listen", 80], ["handle", 15], ["call", 34, 1], no_new_privileges=True)

    def live() -> None:
        with Container(busybox_image, spec) as container:
            container.start(port=80)
            assert container.exec(KNOWN, "call", str(GETPGRP), "11").returncode == 0
            container.stop()

    seen = recorded(tmp_path, live)
    recording = seen.recording.path
    baselines, policies = tmp_path / "baselines", tmp_path / "policies"
    for words in (
        ("learn", "--allow", "thin", recording, "-o", baselines),
        ("export", "--allow", "thin", baselines, "--to", "seccomp", "--enforce", "-o", policies),
    ):
        done = ethogram(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    done = ethogram("verify", policies, "--against", recording, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(one["count"] for one in json.loads(done.stdout)["judged"]) > 11

    (file,) = policies.rglob("*.seccomp.json")
    profile = json.loads(file.read_text())
    profile["syscalls"][0]["names"].remove("getpgrp")
    file.write_text(json.dumps(profile))
    done = ethogram("verify", policies, "--against", recording, "--format", "json")
    assert done.returncode == 12, done.stderr
    [denied] = json.loads(done.stdout)["denied"]
    assert (denied["rule"], denied["count"]) == ("getpgrp", 11)
    assert denied["example"]["phase"] == "exec"
    [entered, *_] = denied["example"]["tree"]
    assert (entered["exe"], entered["argv"]) == (KNOWN, [KNOWN, "call", str(GETPGRP), "11"])
    assert denied["relaxation"]["words"] == "allow `getpgrp`"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_profile_starts_where_the_doctor_says_so(busybox_image: Path, runtime: str) -> None:
    """Each call that a start needs by the data is refused alone, and one that it does without."""
    if not shutil.which(runtime):
        pytest.skip(f"not installed: {runtime}")
    version = release(runtime)[0]
    needed = [one for one in load_start_calls() if (one.runtime, one.version) == (runtime, version)]
    if not needed:
        pytest.skip(f"{runtime} {version} was not measured")
    [data] = needed
    fatal = data.without(no_new_privs=False) & data.without(no_new_privs=True)
    [base] = [one for one in load_runtime_bases() if one.measured
              and (one.runtime, one.version) == (runtime, version)]  # fmt: skip
    optional = sorted(
        set(base.calls(None)) - data.without(no_new_privs=False) - data.without(no_new_privs=True)
    )
    host = replace(look(names_of("x86_64"), []), runtimes={runtime: version})
    refusals: list[tuple[list[str], bool]] = [([], True), (sorted(fatal)[:1], False)]
    refusals += [(["execve"], False), (optional[:1], True)]
    for refused, does_start in refusals:
        profile = _all_but(refused)
        verdict, reasons = SeccompFitness.load().judge(Policy("p", profile), host)
        assert (verdict != "does not start") == does_start, (refused, reasons)
        assert _starts(busybox_image, runtime, profile) == does_start, refused


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "change",
    [
        {"syscalls": []},
        {"architectures": ["SCMP_ARCH_ARM64"]},
        {"defaultAction": "SCMP_ACT_DENY"},
    ],
    ids=["no-call", "no-such-architecture", "no-such-action"],
)
def test_what_the_doctor_refuses_at_once_no_runtime_takes(
    busybox_image: Path, tmp_path: Path, runtime: str, change: dict[str, Any]
) -> None:
    if not shutil.which(runtime):
        pytest.skip(f"not installed: {runtime}")
    profile = _all_but([]) | change
    file = tmp_path / "p.json"
    file.write_text(json.dumps(profile))
    done = ethogram("doctor", "--policies", file, "--format", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["verdict"] == "does not start"
    assert not _starts(busybox_image, runtime, profile)


def _all_but(refused: list[str]) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": sorted(names_of("x86_64") - set(refused)), "action": "SCMP_ACT_ALLOW"}
        ],
    }


def _starts(image: Path, runtime: str, profile: dict[str, Any]) -> bool:
    """Return whether `true` starts in one of the two ways to start."""
    for no_new_privileges in (True, False):
        spec = Spec(["true"], seccomp=profile, no_new_privileges=no_new_privileges)
        try:
            with Container(image, spec, runtime=runtime) as container:
                if container.run(timeout_s=20).returncode == 0:
                    return True
        except ContainerError:
            continue
    return False
