"""The inventory: owners, container kinds, digests, whose an address is, and refusals."""

import json
from ipaddress import ip_address

import pytest

from demo.inventory import PlacedPod, inventory
from demo.oci import Pod as DemoPod
from ethogram.contracts.tables import ENUMS, TABLES
from ethogram.errors import UsageError
from profiler.identity import Inventory, Resolver
from tests.hosts import CRI, HEX, POD_UID, Host

pytestmark = pytest.mark.unit

NS, HASH, DIGEST = "shop-staging", "5d4f8c7b9d", "sha256:" + "cd" * 32
SLICE = f"/kubepods/burstable/pod{POD_UID}"
MISSING = object()


def owned_by(kind, name):
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}]


def controller(kind, name, *, api="apps/v1", owners=None, match=MISSING, expressions=MISSING):
    metadata = {"name": name, "namespace": NS, "ownerReferences": owners}
    selector = {"matchLabels": match, "matchExpressions": expressions}
    selector = {key: value for key, value in selector.items() if value is not MISSING}
    spec = {"selector": selector} if selector else {}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def pod(name=f"checkout-{HASH}-x2x9z", **fields):
    metadata = {
        "name": name,
        "namespace": NS,
        "uid": POD_UID,
        "labels": {"app": "checkout", "pod-template-hash": HASH},
        "ownerReferences": owned_by("ReplicaSet", f"checkout-{HASH}"),
        **fields.pop("metadata", {}),
    }
    spec = {"containers": [{"name": "nginx", "image": "nginx:1.25"}], "nodeName": "node-1"}
    status = {"phase": "Running", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec | fields.pop("spec", {}),
        "status": status | fields.pop("status", {}),
    }


REPLICA_SET = controller(
    "ReplicaSet",
    f"checkout-{HASH}",
    owners=owned_by("Deployment", "checkout"),
    match={"app": "checkout", "pod-template-hash": HASH},
)


@pytest.fixture
def load(tmp_path):
    def load(*items, **more):
        file = tmp_path / "inventory.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items} | more))
        return Inventory.load(file)

    return load


def owner(inventory, name=f"checkout-{HASH}-x2x9z"):
    found = inventory.pod(NS, name).owner
    return found.kind, found.name, dict(found.selector)


def test_a_pod_belongs_to_the_deployment_above_its_replica_set(load):
    found = load(pod(), REPLICA_SET)
    assert owner(found) == ("Deployment", "checkout", {"app": "checkout"})


def test_the_deployments_own_selector_goes_first(load):
    deployment = controller("Deployment", "checkout", match={"app": "checkout", "tier": "web"})
    found = load(pod(), REPLICA_SET, deployment)
    assert owner(found)[2] == {"app": "checkout", "tier": "web"}


IN_FRONT = [{"key": "tier", "operator": "In", "values": ["web", "edge"]}]


def test_a_selector_with_expressions_is_not_taken_for_its_labels(load):
    labels = {"app": "checkout"}
    replica_set = controller("ReplicaSet", f"checkout-{HASH}", match=labels, expressions=IN_FRONT,
                             owners=owned_by("Deployment", "checkout"))  # fmt: skip
    deployment = controller("Deployment", "checkout", match=labels, expressions=IN_FRONT)
    for listed in ([replica_set], [replica_set, deployment], [REPLICA_SET, deployment]):
        found = load(pod(), *listed)
        assert owner(found) == ("Deployment", "checkout", {})
        assert "`matchExpressions`" in found.pods[0].owner.reason
        assert picked(found, "pod") == [(NS, "Deployment", "checkout", {})]


def test_the_reason_for_no_selector_is_that_of_a_pod_that_came_later_too(load, tmp_path):
    deployment = controller("Deployment", "checkout", match={"a": "b"}, expressions=IN_FRONT)
    identity = resolved(load, tmp_path, REPLICA_SET, deployment)
    assert (identity.name, dict(identity.selector)) == ("checkout", {})
    assert "is not in the inventory" in identity.reason
    assert "`matchExpressions`" in identity.reason


@pytest.mark.parametrize("absent", [None, []])
def test_no_expressions_are_none(load, absent):
    deployment = controller("Deployment", "checkout", match={"app": "x"}, expressions=absent)
    found = load(pod(), REPLICA_SET, deployment)
    assert (owner(found)[2], found.pods[0].owner.reason) == ({"app": "x"}, None)


def test_a_replica_set_of_its_own_is_the_owner(load):
    alone = controller("ReplicaSet", f"checkout-{HASH}", match={"app": "checkout"})
    assert owner(load(pod(), alone)) == ("ReplicaSet", f"checkout-{HASH}", {"app": "checkout"})


def test_a_replica_set_that_is_not_listed_is_known_by_the_hash_on_its_pods(load):
    found = load(pod())
    assert owner(found)[:2] == ("Deployment", "checkout")
    assert "not in the inventory" in found.pods[0].owner.reason


def test_without_that_hash_nothing_is_guessed(load):
    found = load(pod(metadata={"labels": {"app": "checkout"}}))
    assert owner(found)[:2] == ("ReplicaSet", f"checkout-{HASH}")


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_a_pod_belongs_to_what_made_it(load, kind):
    made = pod(metadata={"ownerReferences": owned_by(kind, "redis")})
    set_ = controller(kind, "redis", match={"app": "redis", "controller-revision-hash": "1"})
    assert owner(load(made, set_)) == (kind, "redis", {"app": "redis"})
    assert owner(load(made)) == (kind, "redis", {})


def test_a_job_belongs_to_its_cron_job(load):
    made = pod(metadata={"ownerReferences": owned_by("Job", "report-28391")})
    job = controller("Job", "report-28391", api="batch/v1", owners=owned_by("CronJob", "report"),
                     match={"batch.kubernetes.io/controller-uid": "1"})  # fmt: skip
    assert owner(load(made, job)) == ("CronJob", "report", {})
    assert owner(load(made))[:2] == ("Job", "report-28391")


def test_a_pod_that_nothing_made_is_itself(load):
    found = load(pod(name="alone", metadata={"ownerReferences": None}))
    assert owner(found, "alone") == ("Pod", "alone", {"app": "checkout"})


def test_a_static_pod_is_known_by_the_uid_that_its_node_has(load):
    found = load(
        pod(
            name="etcd-node-1",
            metadata={
                "ownerReferences": owned_by("Node", "node-1"),
                "annotations": {"kubernetes.io/config.hash": HEX[:32]},
            },
        )
    )
    assert found.pod_of_uid(HEX[:32]).owner.name == "etcd-node-1"


def test_owners_that_own_each_other_come_to_an_end(load):
    one = controller("ReplicaSet", f"checkout-{HASH}", owners=owned_by("ReplicaSet", "b"))
    other = controller("ReplicaSet", "b", owners=owned_by("ReplicaSet", f"checkout-{HASH}"))
    assert owner(load(pod(), one, other))[0] == "ReplicaSet"


def test_containers_have_their_kind_image_and_digest(load):
    found = load(
        pod(
            spec={
                "initContainers": [
                    {"name": "migrate", "image": "migrate:1"},
                    {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},
                ],
                "ephemeralContainers": [{"name": "debug"}],
            },
            status={
                "containerStatuses": [
                    {"name": "nginx", "imageID": f"docker.io/library/nginx@{DIGEST}"}
                ],
                "initContainerStatuses": [{"name": "migrate", "imageID": ""}],
            },
        )
    ).pods[0]
    assert {name: one.kind for name, one in found.containers.items()} == {
        "nginx": "main",
        "migrate": "init",
        "proxy": "sidecar",
        "debug": "ephemeral",
    }
    assert found.containers["nginx"].image_digest == DIGEST
    assert found.containers["migrate"].image_digest is None


def resolved(load, tmp_path, *items, annotations=CRI, path=f"{SLICE}/{HEX}"):
    host = Host(tmp_path)
    host.runc(HEX, cgroup=path, annotations=annotations)
    resolver = Resolver(tmp_path, load(*items))
    return resolver.resolve(path, cgroup_id=host.cgroup(path), mntns=1)


STATUS = {
    "containerStatuses": [
        {"name": "nginx", "imageID": f"nginx@{DIGEST}", "containerID": f"containerd://{HEX}"}
    ]
}


def test_a_container_of_a_listed_pod_is_its_owners(load, tmp_path):
    identity = resolved(load, tmp_path, pod(status=STATUS), REPLICA_SET)
    assert identity.workload_key == f"_/{NS}/Deployment/checkout/nginx/main@{DIGEST}"
    assert (identity.source, identity.state, identity.reason) == ("cri", "resolved", None)
    assert dict(identity.selector) == dict(identity.labels) == {"app": "checkout"}
    assert (identity.pod, identity.pod_uid) == (f"checkout-{HASH}-x2x9z", POD_UID)


def test_two_replicas_are_one_workload(load, tmp_path):
    other = pod(name=f"checkout-{HASH}-abcde", metadata={"uid": "b" * 32}, status=STATUS)
    keys = {
        resolved(load, tmp_path, pod(status=STATUS), other, REPLICA_SET, annotations=said)
        .workload_key
        for said in (CRI, CRI | {"io.kubernetes.cri.sandbox-name": f"checkout-{HASH}-abcde"})
    }  # fmt: skip
    assert len(keys) == 1


def test_the_inventory_names_a_container_that_no_annotation_names(load, tmp_path):
    identity = resolved(load, tmp_path, pod(status=STATUS), annotations={})
    assert (identity.kind, identity.container, identity.source) == (
        "Deployment",
        "nginx",
        "inventory",
    )


def test_the_uid_in_the_path_alone_tells_the_workload_but_not_the_container(load, tmp_path):
    identity = resolved(load, tmp_path, pod(), annotations={})
    assert (identity.kind, identity.name, identity.container) == ("Deployment", "checkout", None)
    assert (identity.source, identity.state) == ("inventory", "pending")


def test_the_cgroup_of_a_pod_is_its_owners(load, tmp_path):
    host = Host(tmp_path)
    resolver = Resolver(tmp_path, load(pod(), REPLICA_SET))
    identity = resolver.resolve(SLICE, cgroup_id=host.cgroup(SLICE), mntns=1)
    assert (identity.kind, identity.name, identity.state) == ("Deployment", "checkout", "resolved")
    assert (identity.container, identity.container_kind) == (None, "none")


def test_a_pod_that_came_later_belongs_to_its_listed_replica_set(load, tmp_path):
    identity = resolved(load, tmp_path, REPLICA_SET)
    assert (identity.kind, identity.name) == ("Deployment", "checkout")
    assert "is not in the inventory" in identity.reason


def test_a_pod_that_came_later_under_no_listed_owner_is_itself(load, tmp_path):
    identity = resolved(load, tmp_path, NODE)
    assert (identity.kind, identity.name) == ("Pod", f"checkout-{HASH}-x2x9z")
    assert "owner not known" in identity.reason


def test_a_namesake_gives_its_owner_but_not_its_digest(load, tmp_path):
    earlier = pod(metadata={"uid": "e" * 32})
    earlier["status"]["containerStatuses"] = [{"name": "nginx", "imageID": f"nginx@{DIGEST}"}]
    identity = resolved(load, tmp_path, earlier, REPLICA_SET)
    assert (identity.name, identity.image_digest) == ("checkout", None)


def test_the_demos_inventory_is_one(tmp_path):
    placed = PlacedPod(
        DemoPod(NS, f"checkout-{HASH}-x2x9z", POD_UID, "nginx", "nginx:1.22"),
        "checkout",
        f"checkout-{HASH}",
        "10.77.0.2",
        HEX,
    )
    file = tmp_path / "inventory.json"
    file.write_text(json.dumps(inventory(NS, [placed])))
    found = Inventory.load(file)
    assert owner(found)[:2] == ("Deployment", "checkout")
    assert {row.kind for row in found.addresses()} == {"pod", "service", "node"}


def service(name="redis", *, namespace=NS, ports=None, **spec):
    ports = ports or [{"name": "tcp", "port": 6379, "targetPort": "redis", "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": ports} | spec,
        "status": {"loadBalancer": {}},
    }


def endpoints(name="redis", *, namespace=NS, addresses=("10.0.0.2",), port=6379, port_name="tcp"):
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-abcde",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": list(addresses)}],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }


NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1"},
    "status": {
        "addresses": [
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "Hostname", "address": "node-1"},
        ]
    },
}


def rows(inventory):
    return {(str(ip_address(row.addr)), row.kind, row.name) for row in inventory.addresses()}


def ports(inventory, kind):
    return [
        (port.port, port.target, port.protocol)
        for row in inventory.addresses()
        if row.kind == kind
        for port in row.ports
    ]


def test_pods_services_and_nodes_have_addresses(load):
    found = load(pod(), service(), endpoints(), NODE)
    assert rows(found) == {
        ("10.0.0.2", "pod", f"{NS}/checkout-{HASH}-x2x9z"),
        ("10.96.0.9", "service", f"{NS}/redis"),
        ("192.0.2.1", "node", "node-1"),
    }


def test_a_services_target_is_the_number_that_its_endpoints_have(load):
    assert ports(load(pod(), service(), endpoints()), "service") == [(6379, "6379", "TCP")]
    assert ports(load(service()), "service") == [(6379, "redis", "TCP")]
    two = load(pod(), service(), endpoints(), endpoints(port=6380))
    assert ports(two, "service") == [(6379, "6379", "TCP"), (6379, "6380", "TCP")]


def test_a_target_that_is_not_stated_is_the_port_itself(load):
    assert ports(load(service(ports=[{"port": 80}])), "service") == [(80, "80", "TCP")]


def test_the_api_server_and_the_resolver_are_known_by_their_services(load):
    found = load(
        service("kubernetes", namespace="default", clusterIP="10.96.0.1", clusterIPs=["10.96.0.1"]),
        endpoints("kubernetes", namespace="default", addresses=["192.0.2.1"], port=6443),
        service("kube-dns", namespace="kube-system", clusterIP="10.96.0.10", clusterIPs=None),
        NODE,
    )
    assert rows(found) == {
        ("10.96.0.1", "apiserver", "default/kubernetes"),
        ("192.0.2.1", "apiserver", "default/kubernetes"),
        ("192.0.2.1", "node", "node-1"),
        ("10.96.0.10", "dns", "kube-system/kube-dns"),
    }


def test_a_headless_service_has_no_address(load):
    assert rows(load(service(clusterIP="None", clusterIPs=["None"]))) == set()


def test_what_a_service_has_outside_the_cluster_is_external(load):
    found = load(service(externalIPs=["203.0.113.7"]), endpoints(addresses=["198.51.100.4"]))
    assert ("198.51.100.4", "external", f"{NS}/redis") in rows(found)
    assert ("203.0.113.7", "service", f"{NS}/redis") in rows(found)


def test_a_pod_on_the_hosts_network_has_the_nodes_address(load):
    on_host = pod(spec={"hostNetwork": True}, status={"podIP": "192.0.2.1", "podIPs": None})
    found = load(on_host, NODE)
    assert rows(found) == {("192.0.2.1", "node", "node-1")}
    assert found.pods[0].host_network


def test_a_pod_that_has_ended_has_no_address_any_more(load):
    assert rows(load(pod(status={"phase": "Succeeded"}))) == set()


def test_both_address_families_are_kept_and_mapped_addresses_are_folded(load):
    found = load(pod(status={"podIPs": [{"ip": "fd00::2"}, {"ip": "::ffff:10.0.0.2"}]}))
    assert {len(row.addr) for row in found.addresses()} == {4, 16}


def test_an_address_is_a_row_of_the_table(load):
    found = load(pod(), service(), endpoints(), NODE)
    for address in found.addresses():
        row = address.row(valid_from_ns=5)
        assert list(row) == [column.name for column in TABLES["addresses"].columns]
        assert row["kind"] in ENUMS["address_kind"]
        assert row["source"] in ENUMS["source"]
    by_kind = {address.kind: address for address in found.addresses()}
    assert by_kind["pod"].pod.owner.name == "checkout"
    assert by_kind["pod"].labels["pod-template-hash"] == HASH


def picked(inventory, kind):
    found = [address.row(valid_from_ns=5) for address in inventory.addresses()]
    names = ("namespace", "owner_kind", "owner_name", "selector")
    return [tuple(row[name] for name in names) for row in found if row["kind"] == kind]


def test_a_pods_address_is_its_owners(load):
    labels = {"app": "checkout"}
    assert picked(load(pod(), REPLICA_SET), "pod") == [(NS, "Deployment", "checkout", labels)]
    alone = pod(name="alone", metadata={"ownerReferences": None})
    assert picked(load(alone), "pod") == [(NS, "Pod", "alone", labels)]


def test_a_services_address_has_the_services_own_selector(load):
    by_pod = {"statefulset.kubernetes.io/pod-name": "redis-0"}
    assert picked(load(service(selector=by_pod)), "service") == [(NS, None, None, by_pod)]
    for absent in ({}, {"selector": None}):
        assert picked(load(service(**absent)), "service") == [(NS, None, None, {})]
    dns = service("kube-dns", namespace="kube-system", selector={"k8s-app": "kube-dns"})
    assert picked(load(dns), "dns") == [("kube-system", None, None, {"k8s-app": "kube-dns"})]


def test_no_labels_pick_nodes_and_endpoints(load):
    found = load(
        NODE,
        service("kubernetes", namespace="default", clusterIP="10.96.0.1", clusterIPs=["10.96.0.1"]),
        endpoints("kubernetes", namespace="default", addresses=["192.0.2.1"], port=6443),
        endpoints(addresses=["198.51.100.4"]),
    )
    assert picked(found, "node") == [(None, None, None, None)]
    assert picked(found, "external") == [(NS, None, None, None)]
    assert sorted(picked(found, "apiserver"), key=str) == [
        ("default", None, None, None),
        ("default", None, None, {}),
    ]


def test_what_is_not_used_may_be_anything(load):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": 7}
    knative = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": []}
    odd = pod()
    odd["spec"]["tolerations"] = "?"
    assert len(load(config, knative, odd).pods) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metadata": {"name": 7}}, "`metadata.name`"),
        ({"metadata": {"name": ""}}, "`metadata.name`"),
        ({"metadata": {"labels": {"a": 1}}}, "`metadata.labels.a`"),
        ({"metadata": {"ownerReferences": [{"kind": "ReplicaSet"}]}},
         "`metadata.ownerReferences.0.name`"),
        ({"spec": {"containers": {}}}, "`spec.containers`"),
        ({"spec": {"hostNetwork": "yes"}}, "`spec.hostNetwork`"),
        ({"status": {"podIPs": [{"ip": "10.0.0.256"}]}}, "`status.podIPs.0.ip`"),
        ({"status": {"podIP": ""}}, "`status.podIP`"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_refused_by_name(load, change, field):
    with pytest.raises(UsageError) as caught:
        load(REPLICA_SET, pod(**change))
    assert "inventory.json`: item 1 (Pod" in caught.value.message
    assert field in caught.value.message
    assert "kubectl get" in caught.value.hint


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (service(ports=[{"port": 70_000}]), "`spec.ports.0.port`"),
        (service(clusterIP="ten"), "`spec.clusterIP`"),
        (service(selector={"app": 7}), "`spec.selector.app`"),
        (endpoints(addresses=["somewhere"]), "does not appear to be an IPv4 or IPv6 address"),
        ({**NODE, "status": {"addresses": [{"type": "InternalIP", "address": "?"}]}},
         "`status.addresses.0`"),
        ({"kind": "Pod"}, "`apiVersion`"),
        (7, "item 0"),
    ],
)  # fmt: skip
def test_an_object_that_is_malformed_is_refused(load, item, field):
    with pytest.raises(UsageError) as caught:
        load(item)
    assert field in caught.value.message
    assert "\n" not in caught.value.message
