"""A node says in an annotation of its Node what it holds: when that changed, and no more often."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.kubernetes_option import Where
from ethogram.cli.profiles_cluster import NodeReport
from ethogram.cli.run import run
from profiler.cluster.annotation import ANNOTATION, AnnotatingClient, annotate_node
from profiler.cluster.client import ClusterError
from profiler.cluster.kubeconfig import from_kubeconfig
from tests.api_server import ApiServer
from tests.unit.test_seccomp_files import content_of, file_of

pytestmark = pytest.mark.e2e


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as found:
        metadata = {"name": "node-1", "labels": {"a": "b"}, "annotations": {"theirs": "1"}}
        found.put({"kind": "Node", "metadata": metadata, "spec": {}})
        yield found


def asked(server: ApiServer) -> tuple[int, int]:
    return server.requests["Node get"], server.requests["Node patch"]


def metadata_of(server: ApiServer) -> dict[str, Any]:
    client = AnnotatingClient(from_kubeconfig(server.kubeconfig()))
    try:
        return dict(client.get("/api/v1/nodes/node-1")["metadata"])
    finally:
        client.close()


def test_what_a_node_holds_is_written_when_it_changed(server: ApiServer, tmp_path: Path) -> None:
    first = file_of(tmp_path / "policies", content_of("read"))
    words = ["profiles", str(tmp_path / "policies"), "--root", str(tmp_path / "seccomp"),
             "--annotate", "--kubernetes", f"kubeconfig={server.kubeconfig()}",
             "--node", "node-1"]  # fmt: skip
    assert run(words) == 0
    assert run(words) == 0
    assert asked(server) == (2, 1)
    second = file_of(tmp_path / "policies", content_of("write"))
    assert run(words) == 0
    assert asked(server) == (3, 2)
    metadata = metadata_of(server)
    assert metadata["labels"] == {"a": "b"}
    assert metadata["annotations"].pop("theirs") == "1"
    assert json.loads(metadata["annotations"].pop(ANNOTATION))["profiles"] == sorted(
        [first, second]
    )
    assert metadata["annotations"] == {}


@pytest.mark.parametrize(
    ("node", "refuses", "words"),
    [
        ("node-1", {"Node": 403}, "deploy/kubernetes/node-annotation"),
        ("../pods", {}, "kubectl get nodes"),
    ],
)
def test_a_refusal_is_an_error_that_says_what_to_do(
    server: ApiServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    node: str,
    refuses: dict[str, int],
    words: str,
) -> None:
    server.refuses.update(refuses)
    cluster = f"kubeconfig={server.kubeconfig()}"
    found = run(["profiles", "--root", str(tmp_path / "seccomp"), "--annotate",
                 "--kubernetes", cluster, "--node", node])  # fmt: skip
    told = capsys.readouterr()
    assert found == 1
    assert words in told.err
    assert json.loads(told.out)["nodes"] == {node: []}
    assert asked(server) == (1, 0)


def test_what_is_wrong_is_told_once_and_when_it_is_well(
    server: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    report = NodeReport(Where("kubeconfig", server.kubeconfig()), "node-1", threading.Event())
    server.refuses["Node"] = 403
    assert "status 403" in str(report.tell([]))
    assert report.tell([]) is None
    server.refuses["Node"] = 401
    assert "status 401" in str(report.tell([]))
    server.refuses.clear()
    assert report.tell([]) is None
    assert "says again what it holds" in capsys.readouterr().err
    assert report.tell([]) is None
    assert capsys.readouterr().err == ""
    assert ANNOTATION in metadata_of(server)["annotations"]


def test_a_server_that_does_not_answer_is_asked_again(server: ApiServer) -> None:
    client = AnnotatingClient(from_kubeconfig(server.kubeconfig()))
    server.refuses["Node"] = 503
    waited: list[float] = []

    def wait(pause: float) -> bool:
        waited.append(pause)
        if len(waited) == 2:
            server.refuses.clear()
        return False

    assert annotate_node(client, "node-1", "{}", wait=wait) is True
    assert len(waited) == 2
    server.refuses["Node"] = 503
    with pytest.raises(ClusterError, match="status 503"):
        annotate_node(client, "node-1", "[]", wait=lambda _: False)
    before = server.requests["Node get"]
    with pytest.raises(ClusterError, match="status 503"):
        annotate_node(client, "node-1", "[]", wait=lambda _: True)
    assert server.requests["Node get"] == before + 1
    client.close()
