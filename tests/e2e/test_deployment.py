"""What is deployed goes again: in order from a cluster, and whole from a node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.deployment import DEPLOY

pytestmark = pytest.mark.e2e


def test_nothing_of_an_agent_is_left_on_its_node(tmp_path: Path) -> None:
    ours = ("var/lib/ethogram/watch", "run/ethogram", "sys/fs/cgroup/ethogram/0123456789abcdef")
    for place in (*ours, "var/lib/kubelet/seccomp/ethogram", "var/lib/kubelet/seccomp/others"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "var/lib/ethogram/watch/findings.jsonl").write_text("{}\n")
    profile = tmp_path / "var/lib/kubelet/seccomp/ethogram/a-0123456789ab.json"
    profile.write_text("{}")

    def remove(*words: str) -> subprocess.CompletedProcess[str]:
        script = DEPLOY / "kubernetes/remove-node"
        return subprocess.run(
            [script, *words, tmp_path], capture_output=True, text=True, check=False
        )

    done = remove()
    assert done.returncode == 0, done.stderr
    assert profile.exists()  # a pod that names it could not start again
    assert remove("--profiles").returncode == 0
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*ethogram*"))
    assert left == []
    assert (tmp_path / "var/lib/kubelet/seccomp/others").is_dir()


def test_what_was_not_sent_stops_the_removal(tmp_path: Path) -> None:
    spool = tmp_path / "var/lib/ethogram/spool/4be1c0ffee"
    spool.mkdir(parents=True)
    script = DEPLOY / "kubernetes/remove-node"
    done = subprocess.run([script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "were not sent" in done.stderr
    assert spool.is_dir()


def test_the_webhook_goes_first(tmp_path: Path) -> None:
    done = subprocess.run(
        [DEPLOY / "kubernetes/remove", "--dry-run"], capture_output=True, text=True, check=True
    )
    steps = [line for line in done.stdout.splitlines() if line.startswith("would run: ")]
    assert "validatingwebhookconfigurations" in steps[0]
    assert steps.index(next(one for one in steps if "namespace ethogram" in one)) == 2
