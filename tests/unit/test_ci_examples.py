"""The examples for CI do what they say: the script is run, and so are the workflow's commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.command_line import ETHOGRAM
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

EXAMPLES = Path(__file__).parents[2] / "docs" / "ci"
WORKFLOW: Any = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
PROFILE = "policies/shop-staging/Deployment-checkout/nginx.seccomp.json"


class Repository:
    """A repository with the script in it, and the commands of a runner on its path."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "ci").mkdir()
        shutil.copy(EXAMPLES / "policy.sh", place / "ci")
        shop_recording(place / "shop.rec")
        commands = place / "bin"
        commands.mkdir()
        self._command(commands / "ethogram", f'exec {shlex.join(ETHOGRAM)} "$@"')
        # What a runner has and a test without a network has not: it notes what it is asked.
        for name in ("gh", "python3"):
            self._command(commands / name, f'echo "{name} $*" >>{shlex.quote(str(place))}/asked')
        self.environment = os.environ | {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "RECORDINGS": "shop.rec",
            "LEARN": "--allow thin --no-model",
            "EXPORT": "--to seccomp --allow thin",
            "GITHUB_STEP_SUMMARY": str(place / "step-summary.md"),
            "NUMBER": "7",
        }

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.place, env=self.environment | more, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip

    def _command(self, path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


@pytest.fixture(scope="module")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    found = Repository(tmp_path_factory.mktemp("repository"))
    done = found.run("sh ci/policy.sh renew")
    assert done.returncode == 0, done.stderr
    return found


def steps() -> list[dict[str, Any]]:
    found = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    return [step for step in found if "run" in step]


def test_the_script_fails_where_a_policy_is_stale_and_says_what_changes(
    renewed: Repository,
) -> None:
    profile = renewed.place / PROFILE
    before = profile.read_text()
    profile.write_text(before.replace('"close"', '"ptrace"'))
    done = renewed.run("sh ci/policy.sh check")
    profile.write_text(before)
    assert done.returncode == 5
    assert f"differs: `{PROFILE}`" in done.stderr
    summary = (renewed.place / "reports" / "summary.md").read_text()
    assert "`close`" in summary
    assert "`ptrace`" in summary


def test_the_script_fails_where_what_was_recorded_would_be_denied(renewed: Repository) -> None:
    done = renewed.run(
        "sh ci/policy.sh renew && sh ci/policy.sh check",
        LEARN="--without syscalls:writev --allow thin --no-model",
        EXPORT="--to seccomp --enforce --allow thin",
        BASELINES="narrow", POLICIES="narrow-policies", REPORTS="narrow-reports",
    )  # fmt: skip
    assert done.returncode == 12, done.stdout + done.stderr
    assert "is up to date" in done.stderr
    assert "writev" in done.stdout
    assert "`writev`" in (renewed.place / "narrow-reports" / "behaviour.md").read_text()


def test_the_script_says_how_it_is_used(renewed: Repository) -> None:
    assert renewed.run("sh ci/policy.sh").returncode == 2
    done = renewed.run("sh ci/policy.sh check", RECORDINGS="")
    assert done.returncode != 0
    assert "set it to the recordings" in done.stderr


def test_the_commands_of_the_workflow_find_what_was_just_renewed_up_to_date(
    renewed: Repository,
) -> None:
    assert (renewed.place / PROFILE).exists()
    reports = {"REPORTS": WORKFLOW["env"]["REPORTS"]}
    for step in steps():
        done = renewed.run(step["run"], **reports)
        assert done.returncode == 0, (step["name"], done.stdout, done.stderr)
    assert "### Policy: nothing changes" in (renewed.place / "step-summary.md").read_text()
    asked = (renewed.place / "asked").read_text().splitlines()
    assert asked[0].startswith("python3 -m pip install")
    assert asked[1].startswith("gh pr comment 7 ")
    assert (renewed.place / asked[1].rpartition(" ")[2]).exists()


def test_the_workflow_has_no_more_rights_than_it_needs_and_takes_no_text_into_a_shell() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read", "pull-requests": "write"}
    # `on` is a truth value to YAML 1.1.
    assert set(WORKFLOW[True]) == {"pull_request"}
    assert all("${{" not in step["run"] for step in steps())
