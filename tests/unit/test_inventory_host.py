"""What of the host a pod was given: of a listed pod the inventory says it, of no other anybody."""

import json

import pytest

from ethogram.errors import UsageError
from profiler.identity import Inventory, Resolver
from tests.hosts import CRI, HEX, POD_UID, Host

pytestmark = pytest.mark.unit

PATH = f"/system.slice/cri-containerd-{HEX}.scope"
PORTS = [{"hostPort": 8443}, {"containerPort": 80}, {"hostPort": 0}]
GIVEN = {
    "containers": [
        {"name": "nginx", "ports": PORTS},
        {"name": "sidecar", "ports": [{"hostPort": 9000}]},
    ],
    "volumes": [
        {"name": "b", "hostPath": {"path": "/var/log", "type": "Directory"}},
        {"name": "a", "hostPath": {"path": "/etc/ssl"}},
        {"name": "c", "emptyDir": {}},
    ],
}


def resolved(tmp_path, spec, uid=POD_UID):
    namespace, name = (CRI[f"io.kubernetes.cri.sandbox-{word}"] for word in ("namespace", "name"))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "spec": spec,
    }
    file = tmp_path / "inventory.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod]}))
    host = Host(tmp_path)
    host.runc(HEX, cgroup=PATH, annotations=CRI | {"io.kubernetes.cri.sandbox-uid": POD_UID})
    resolver = Resolver(tmp_path, Inventory.load(file))
    return resolver.resolve(PATH, cgroup_id=host.cgroup(PATH), mntns=1)


def test_the_paths_are_the_pods_and_the_ports_the_containers(tmp_path):
    identity = resolved(tmp_path, GIVEN)
    assert identity.host_paths == ("/etc/ssl", "/var/log")
    assert identity.host_ports == (8443,)


def test_a_listed_pod_that_was_given_nothing_is_known_to_have_nothing(tmp_path):
    identity = resolved(tmp_path, {"containers": [{"name": "nginx"}]})
    assert (identity.host_paths, identity.host_ports) == ((), ())


def test_of_a_pods_namesake_it_is_not_known(tmp_path):
    identity = resolved(tmp_path, GIVEN, uid="e" * 32)
    assert (identity.host_paths, identity.host_ports) == (None, None)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"volumes": "?"}, "`spec.volumes`"),
        ({"volumes": [{"hostPath": {"path": 7}}]}, "`spec.volumes.0.hostPath.path`"),
        ({"containers": [{"name": "a", "ports": [{"hostPort": -1}]}]}, "ports.0.hostPort`"),
    ],
)
def test_what_is_no_volume_or_port_is_refused_by_name(tmp_path, spec, field):
    with pytest.raises(UsageError, match="inventory") as error:
        resolved(tmp_path, {"containers": [], **spec})
    assert field in error.value.message


def test_other_volumes_may_be_anything(tmp_path):
    odd = [{"name": "v", "emptyDir": "?"}]
    assert resolved(tmp_path, {"containers": [], "volumes": odd}).host_paths == ()
