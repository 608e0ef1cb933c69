"""What is deployed goes again: in order from a cluster, and whole from a node."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.webhook.seccomp_patch import read_confirmed
from profiler.seccomp_files import held_profiles
from tests.api_server import ApiServer
from tests.deployment import DEPLOY
from tests.e2e.command_line import ETHOGRAM
from tests.unit.test_cluster_store import created
from tests.unit.test_inventory import pod
from tests.unit.test_seccomp_files import content_of, file_of

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
    at = {words: next(i for i, one in enumerate(steps) if words in one) for words in (
        "namespace ethogram", "clusterroles", "policies ethogram-node-annotation",
        "annotate nodes --all ethogram.dev/seccomp-profiles-")}  # fmt: skip
    assert list(at.values()) == [2, 3, 4, 6]  # nobody is left who may do, or does, it again


def naming(profile: str, uid: str, node: str) -> dict[str, Any]:
    """Return a pod of *node* whose container names *profile*."""
    asked = {"seccompProfile": {"type": "Localhost", "localhostProfile": profile}}
    spec = {"nodeName": node, "containers": [{"name": "app", "securityContext": asked}]}
    return created(pod(uid, metadata={"uid": uid}, spec=spec))


def test_profiles_that_no_pod_of_the_node_names_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "seccomp"
    root.mkdir()
    named, elsewhere = (file_of(root / "ethogram", content_of(call)) for call in ("read", "mount"))
    staged = file_of(tmp_path / "policies", content_of("write"))
    with ApiServer(tmp_path) as server:
        server.put(naming(named, "u-1", "node-1"), naming(elsewhere, "u-2", "node-2"))
        cluster = f"kubeconfig={server.kubeconfig()}"
        words = ["profiles", str(tmp_path / "policies"), "--root", str(root), "--prune",
                 "--kubernetes", cluster, "--node", "node-1"]  # fmt: skip
        server.refuses["Pod"] = 403
        assert run(words) == 1
        assert "does not tell which pods run on `node-1`" in capsys.readouterr().err
        assert held_profiles(root).names == tuple(sorted((named, elsewhere, staged)))
        server.refuses.clear()
        assert run(words) == 0
    assert held_profiles(root).names == tuple(sorted((named, staged)))


KUBECTL = """#!/bin/sh
case "$*" in
*"get pods"*) echo pod/a; echo pod/b ;;
*"logs"*pod/a)
    echo '{"schema": "ethogram.confirmed/1", "nodes": {"node-1": ["old"]}}'
    echo '{"schema": "ethogram.confirmed/1", "nodes": {"node-1": ["x", "y"]}}'
    echo '1 profile new, 1 there already, 0 deleted; the node holds 2' ;;
*"logs"*pod/b) echo '{"schema": "ethogram.confirmed/1", "nodes": {"node-2": ["y"]}}' ;;
*"get nodes"*) cat nodes ;;
*"create configmap ethogram-confirmed"*) cp "${9#*=*=}" confirmed.json ;;
*"apply"*) cat > applied ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


def test_what_the_nodes_hold_reaches_the_webhook(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    command = tmp_path / "ethogram"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(ETHOGRAM)} "$@"\n')
    for program in (kubectl, command):
        program.chmod(0o755)
    environment = os.environ | {"KUBECTL": str(kubectl), "ETHOGRAM": str(command)}

    def confirm() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DEPLOY / "kubernetes/confirm"], capture_output=True, text=True, check=False,
            cwd=tmp_path, env=environment,
        )  # fmt: skip

    (tmp_path / "nodes").write_text("node/node-1\nnode/node-2\nnode/node-3\n")
    done = confirm()
    assert (done.returncode, "node-3 does not say what it holds" in done.stderr) == (1, True)
    (tmp_path / "nodes").unlink()
    assert confirm().returncode != 0  # nobody said which nodes there are
    assert not (tmp_path / "applied").exists()
    (tmp_path / "nodes").write_text("node/node-1\nnode/node-2\n")
    done = confirm()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "applied").exists()
    assert read_confirmed(tmp_path / "confirmed.json") == {"y"}
