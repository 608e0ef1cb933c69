"""`ethogram audit --cluster`: a live cluster is read by lists, and what is not told is said."""

from __future__ import annotations

import json

import pytest

from ethogram.cli.audit_inputs import RESOURCES, read_cluster
from ethogram.errors import EthogramError
from profiler.cluster.client import ReadOnlyClient
from profiler.cluster.kubeconfig import from_kubeconfig
from tests.api_server import ApiServer
from tests.unit.test_cli_audit import audited, deployment

pytestmark = pytest.mark.e2e


def test_a_live_cluster_is_read_by_lists_alone(tmp_path, capsys):
    with ApiServer(tmp_path) as server:
        server.put(deployment(), {"apiVersion": "v1", "kind": "Namespace",
                                  "metadata": {"name": "shop-staging"}})  # fmt: skip
        code, out, _ = audited(capsys, "--cluster", f"kubeconfig={server.kubeconfig()}",
                               "--format", "json")  # fmt: skip
        assert all(one.endswith(" list") for one in server.requests)
        assert {one["path"] for one in server.queries} == set(RESOURCES)
    assert code == 0
    document = json.loads(out)
    assert (document["objects"], document["notes"]) == (2, [])
    assert "privileged" in {one["check"] for one in document["findings"]}


def test_what_may_not_be_read_of_a_cluster_is_told(tmp_path, capsys):
    with ApiServer(tmp_path) as server:
        server.put(deployment())
        server.refuses["ClusterRole"] = 403
        code, out, err = audited(capsys, "--cluster", f"kubeconfig={server.kubeconfig()}",
                                 "--format", "json")  # fmt: skip
    assert code == 1
    assert "clusterroles` could not be read" in err
    assert json.loads(out)["notes"]


def test_a_cluster_that_does_not_answer_is_an_error(tmp_path):
    with ApiServer(tmp_path) as server:
        client = ReadOnlyClient(from_kubeconfig(server.kubeconfig(), None))
        server.garbage["Pod"] = b"{"
        with pytest.raises(EthogramError, match="the API server did not answer"):
            read_cluster(client)
        client.close()
