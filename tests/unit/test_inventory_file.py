"""Which files are inventories, and what is said of those that are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ethogram.errors import UsageError
from profiler.identity import Inventory

pytestmark = pytest.mark.unit

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "checkout", "namespace": "shop"},
    "spec": {"containers": [{"name": "nginx"}]},
}
BARE = {name: POD[name] for name in ("metadata", "spec")}
LIST = {"apiVersion": "v1", "kind": "List"}


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        Inventory.load(path)
    assert f"inventory `{path}`" in caught.value.message
    assert "\n" not in caught.value.message
    assert "write it with `kubectl get pods,services" in str(caught.value.hint)
    return caught.value.message


def written(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "inventory.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file


@pytest.mark.parametrize(
    "document",
    [
        LIST | {"items": [POD]},
        LIST | {"items": [POD, {"apiVersion": "v1", "kind": "Secret"}]},
        # What the API server itself answers: the kind of the list is the kind of its items.
        {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [BARE]},
        {"apiVersion": "v1", "kind": "PodList", "items": [POD]},
    ],
)
def test_a_list_of_kubectl_or_of_the_api_server_is_read(tmp_path: Path, document: Any) -> None:
    found = Inventory.load(written(tmp_path, document))
    assert [(pod.namespace, pod.name) for pod in found.pods] == [("shop", "checkout")]


def test_a_list_of_one_kind_is_read_as_that_kind(tmp_path: Path) -> None:
    metadata = {"name": "checkout-5d4f8c7b9d", "namespace": "shop", "labels": {}}
    owner = {"kind": "Deployment", "name": "checkout", "controller": True}
    item = {"metadata": metadata | {"ownerReferences": [owner]}}
    document = {"apiVersion": "apps/v1", "kind": "ReplicaSetList", "items": [item]}
    found = Inventory.load(written(tmp_path, document))
    later = found.owner_of_later_pod("shop", "checkout-5d4f8c7b9d-x2x9z")
    assert later is not None
    assert (later.kind, later.name) == ("Deployment", "checkout")


def test_a_field_in_a_list_of_one_kind_is_refused_by_name(tmp_path: Path) -> None:
    document = {"apiVersion": "v1", "kind": "PodList", "items": [BARE | {"spec": 7}]}
    assert "item 0 (Pod shop/checkout): `spec`:" in refusal(written(tmp_path, document))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON: it is empty"),
        (b" \n", "is not JSON: it is empty"),
        (b"apiVersion: v1\nitems:\n- kind: Pod\n",
         "is not JSON: it is a list of Kubernetes objects in YAML"),
        (b"---\napiVersion: v1\nkind: Pod\n", "is not JSON: it is a Kubernetes object in YAML"),
        (b"schema: ethogram.map/1\n", "is not JSON: it is a map of environments in YAML"),
        (b"NAMESPACE   NAME\nshop        checkout\n", "is not JSON: it is a table for people"),
        (b"error: You must be logged in\n", "kubectl wrote `error: You must be logged in`"),
        (b"Error from server (Forbidden): pod\x1b[2J\n", "`Error from server (Forbidden): pod\\x1"),
        (b'{"kind": "List", "items": [', "is not JSON: it ends in the middle"),
        (b'{"kind": "List", "items": [{"kind": "Po', "is not JSON: it ends in the middle"),
        (b'{"kind": "List", "items": []}\n{}', "several documents follow one another"),
        (b'{"kind": List}', "is not JSON: Expecting value: line 1 column 10"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        ([POD], "is an array, not a List"),
        (7, "is a single value, not a List"),
        (None, "is a single value, not a List"),
        (POD, "is one Pod, not a List"),
        ({"kind": "Table", "rows": []}, "is one Table, not a List"),
        ({"kind": "Status", "message": "pods is forbidden"},
         "is a refusal of the API server: pods is forbidden"),
        ({"items": [POD]}, "is not a List: it has no `kind`"),
        ({"kind": 7, "items": [POD]}, "is not a List: it has no `kind`"),
        (LIST, "is a List without `items`"),
        (LIST | {"items": {}}, "is a List whose `items` are no list"),
        ({"schema": "ethogram.recording/1"}, "is the manifest of a recording, not a List"),
        ({"schema": "x" * 1000}, "is something else, not a List"),
        (LIST | {"items": []}, "names nothing: there is no pod, service, node or owner in it"),
        (LIST | {"items": None}, "in it: its list is empty"),
        ({"apiVersion": "v1", "kind": "SecretList", "items": [{}]}, "owner among its items"),
        ({"kind": "PodList", "items": [BARE]}, "item 0: `apiVersion`"),
        (LIST | {"items": [BARE]}, "item 0: `apiVersion`: field required"),
    ],
)  # fmt: skip
def test_what_is_no_inventory_is_refused_for_what_it_is(
    tmp_path: Path, content: Any, message: str
) -> None:
    assert message in refusal(written(tmp_path, content))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: is a directory" in refusal(tmp_path)
    assert "cannot be read: no such file" in refusal(tmp_path / "missing")
    assert "is not JSON: it is empty" in refusal(Path("/dev/null"))
