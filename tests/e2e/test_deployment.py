"""The agents run as their DaemonSets say: these capabilities, this profile, a read-only root."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from demo.containers import Container
from tests.deployment import DEPLOY, agent, agent_spec, own_profile

pytestmark = pytest.mark.e2e

ARGUMENTS = {
    "watch": (
        "watch", "--all", "--unknown", "alert", "--window", "500ms", "--duration", "3s",
        "--format", "jsonl", "--state", "/var/lib/ethogram/watch", "--status", "/tmp/status.json",
        "--listen", "127.0.0.1:9464", "--to", "file:/var/lib/ethogram/findings.jsonl",
    ),
    "record": (
        "record", "--all", "--window", "500ms", "--duration", "2s", "--listen", "127.0.0.1:9464",
        "-o", "/var/lib/ethogram/recording",
    ),
}  # fmt: skip


def run_agent(kind: str, tmp_path: Path) -> tuple[subprocess.CompletedProcess[bytes], Path, Path]:
    """Run an agent; return how it ended, and what it wrote to its state and to /tmp."""
    places = {}
    for path in ("/var/lib/ethogram", "/tmp"):
        places[path] = tmp_path / path.strip("/").replace("/", "-")
        places[path].mkdir()
    (tmp_path / "image").mkdir()
    daemonset = agent(kind)
    spec = agent_spec(daemonset, ARGUMENTS[kind], places, seccomp=own_profile(daemonset))
    with Container(tmp_path / "image", spec) as container:
        done = container.run(timeout_s=90)
    return done, places["/var/lib/ethogram"], places["/tmp"]


def test_a_watch_finds_something_under_its_own_profile(tmp_path: Path) -> None:
    done, state, scratch = run_agent("watch", tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    # Its own container, at least, is one that no baseline is for.
    assert "unknown-workload" in {one.get("rule") for one in found}
    assert (state / "findings.jsonl").stat().st_size > 0
    assert b"refused" not in done.stderr
    status: dict[str, Any] = json.loads((scratch / "status.json").read_text())
    assert not [one for one in status["workloads"] if one["state"] == "blind"]


def test_a_recorder_attaches_everything_under_its_own_profile(tmp_path: Path) -> None:
    done, state, _ = run_agent("record", tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    manifest = json.loads((state / "recording/manifest.json").read_text())
    assert manifest["clean_end"] is True
    refused = {one["name"] for one in manifest["programs"] if one["state"] == "refused"}
    assert refused <= {"file_opened", "capability_returned", "capability_checked"}
    assert "CAP_BPF" in manifest["privileges_dropped"]
    assert "CAP_SYS_PTRACE" not in manifest["privileges_dropped"]


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
