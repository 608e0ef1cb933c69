"""Rules beyond the Pod Security Standards: for each an object that it allows and one it refuses."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import kubernetes_validate
import pytest
import trustme

from ethogram.posture.audit import TITLES, audit
from ethogram.posture.grades import BENCHMARKS, CIS, GRADES, benchmark_of, cis_of
from ethogram.posture.host import capability_names, normal_path
from ethogram.posture.objects import Source, World, objects_in
from ethogram.posture.pods import pod_at
from ethogram.posture.standards import CHECKS, version_of
from ethogram.posture.webhooks import selects
from tests.posture import make_pod

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, tzinfo=UTC)
RBAC = "rbac.authorization.k8s.io/v1"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
NO_TOKEN = {"automountServiceAccountToken": False}


def checks_of(*documents: Mapping[str, Any], is_whole: bool = False) -> set[str]:
    """Return the rules that say something of *documents*, the standards' own left out."""
    objects = [one for document in documents for one in objects_in(document, Source("a.yaml"))]
    world = World(tuple(objects), is_whole=is_whole)
    report = audit(world, level="privileged", version=(1, 37), now=NOW)
    return {one.check for one in report.findings}


def host_path(path: str, **mount: Any) -> dict[str, Any]:
    mounts = [{"name": "data", "mountPath": "/data", **mount}]
    return make_pod({"volumes": [{"name": "data", "hostPath": {"path": path}}],
                     "container": {"volumeMounts": mounts}, **NO_TOKEN})  # fmt: skip


def pod(**spec: Any) -> dict[str, Any]:
    return make_pod({**NO_TOKEN, **spec})


def role(*resources: str, group: str = "", verbs: Iterable[str] = ("get",)) -> dict[str, Any]:
    rule = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": [rule]}


def binding(name: str, subject: str = "alice", kind: str = "User") -> dict[str, Any]:
    return {
        "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}],
    }  # fmt: skip


def bundle(*, days: int = 365) -> str:
    ends = datetime.now(UTC) + timedelta(days=days)
    issued = trustme.CA().issue_cert("a.shop.svc", not_after=ends)
    return base64.b64encode(issued.cert_chain_pems[0].bytes()).decode()


GOOD_BUNDLE = bundle()


def webhook(
    *, kind: str = "Validating", bundle: str | None = None, **fields: Any
) -> dict[str, Any]:
    service = {"namespace": "guard", "name": "guard"}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["pods", "pods/ephemeralcontainers"]}  # fmt: skip
    names = ["guard", "kube-system"]
    selector = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": names}
    hook = {
        "name": "a.example.org",
        "rules": [rule],
        "clientConfig": {"service": service, "caBundle": GOOD_BUNDLE if bundle is None else bundle},
        "namespaceSelector": {"matchExpressions": [selector]},
        "timeoutSeconds": 3,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    } | fields
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": "guard"},
        "webhooks": [hook],
    }


def nested(depth: int, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *body* within *depth* lists."""
    for _ in range(depth):
        body = {"apiVersion": "v1", "kind": "List", "items": [body]}
    return body


def sockets(number: int) -> dict[str, Any]:
    """Return what of a pod breaks a rule *number* times."""
    path = {"path": "/run/docker.sock"}
    return {"volumes": [{"name": f"v{one}", "hostPath": path} for one in range(number)]}


PODS_ALONE = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
               "resources": ["pods"]}]  # fmt: skip
POLICY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
          "metadata": {"name": "p", "namespace": "shop"}, "spec": {"podSelector": {}}}  # fmt: skip
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
    "name": "default", "namespace": "shop"}, "automountServiceAccountToken": False}  # fmt: skip
SECRET_ENV = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
BOUND = {"hostPID": True, "context": {"capabilities": {"drop": ["ALL"]}}}

# Rule -> documents that it says nothing of, documents that it does.
CASES: dict[str, tuple[list[list[Mapping[str, Any]]], list[list[Mapping[str, Any]]]]] = {
    "runtime-socket": (
        [[host_path("/srv")], [host_path("/run/systemd/private")], [pod()]],
        [
            [host_path("/var/run/docker.sock")],
            [host_path("/run/containerd")],
            [host_path("/var//run/../run/crio/crio.sock")],
            [host_path("/run", readOnly=True)],
            [host_path("/")],
        ],
    ),
    "dangerous-host-path": (
        [[host_path("/srv")], [host_path("/etc/localtime")], [host_path("/var/log")]],
        [
            [host_path("/")],
            [host_path("/etc/kubernetes/pki")],
            [host_path("/proc")],
            [host_path("/var/lib/kubelet/pods")],
            [host_path("/srv/../etc")],
        ],
    ),
    "host-pid-ptrace": (
        [[pod()], [pod(**BOUND)], [pod(context={"capabilities": {"add": ["SYS_PTRACE"]}})]],
        [
            [pod(hostPID=True, context={"capabilities": {"add": ["SYS_PTRACE"]}})],
            [pod(hostPID=True, context={"capabilities": {"add": ["CAP_SYS_ADMIN"]}})],
            [pod(hostPID=True, context={"privileged": True})],
        ],
    ),
    "shared-processes": ([[pod()]], [[pod(shareProcessNamespace=True)]]),
    "token-automount": ([[pod()], [make_pod(), ACCOUNT]], [[make_pod()]]),
    "default-service-account": (
        [[pod()], [make_pod({"serviceAccountName": "shop"})]],
        [[make_pod()], [make_pod({"serviceAccountName": "default"})]],
    ),
    "secret-in-environment": (
        [[pod()], [pod(container={"env": [{"name": "A", "value": "b"}]})]],
        [[pod(container=SECRET_ENV)], [pod(container={"envFrom": [{"secretRef": {"name": "s"}}]})]],
    ),
    "default-namespace": (
        [[pod()], [pod(metadata={"namespace": None})]],
        [[pod(metadata={"namespace": "default"})]],
    ),
    "malformed": (
        [[pod()], [nested(8, pod())]],
        [
            [{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": "a"}}],
            [nested(20, pod())],
            [{"apiVersion": "v1", "kind": "List", "items": {"a": 1}}],
        ],
    ),
    "too-many": ([[pod(**sockets(64))]], [[pod(**sockets(65))]]),
    "malformed-exemption": (
        [[pod(metadata={"annotations": {"exempt.ethogram.dev/hostPorts": "al, 2027-01-31: x"}})]],
        [
            [pod(metadata={"annotations": {"exempt.ethogram.dev/hostPorts": "because"}})],
            [pod(metadata={"annotations": {"exempt.ethogram.dev/hostPorts": "a, 2027-13-01: x"}})],
            [pod(metadata={"annotations": {"exempt.ethogram.dev/ports": "a, 2027-01-31: x"}})],
        ],
    ),
    "namespace-without-enforcement": (
        [
            [NAMESPACE | {"metadata": {"name": "a", "labels": {
                "pod-security.kubernetes.io/enforce": "baseline"}}}],
            [NAMESPACE | {"metadata": {"name": "kube-system"}}],
        ],
        [
            [NAMESPACE],
            [NAMESPACE | {"metadata": {"name": "a", "labels": {
                "pod-security.kubernetes.io/enforce": "privileged"}}}],
        ],
    ),
    "namespace-without-network-policy": ([[NAMESPACE, POLICY]], [[NAMESPACE]]),
    "webhook-blocks-itself": (
        [
            [webhook()],
            [webhook(namespaceSelector={}, failurePolicy="Ignore")],
            [webhook(namespaceSelector={}, objectSelector={"matchLabels": {"a": "b"}})],
        ],
        [
            [webhook(namespaceSelector={})],
            [webhook(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "guard"}})],
        ],
    ),
    "webhook-fails-open": ([[webhook()]], [[webhook(failurePolicy="Ignore")]]),
    "webhook-timeout": (
        [[webhook()]], [[webhook(timeoutSeconds=30)], [webhook(timeoutSeconds=None)]],
    ),
    "webhook-misses-ephemeral-containers": (
        [[webhook()], [webhook(kind="Mutating", rules=PODS_ALONE)]],
        [[webhook(rules=PODS_ALONE)]],
    ),
    "webhook-without-ca": ([[webhook()]], [[webhook(bundle="")]]),
    "webhook-certificate": (
        [[webhook()]], [[webhook(bundle="AAAA")], [webhook(bundle="not base64")]],
    ),
    "rbac-cluster-admin": (
        [[binding("view")], [binding("cluster-admin", "system:masters", "Group")]],
        [[binding("cluster-admin")]],
    ),
    "rbac-system-masters": ([[binding("view")]], [[binding("view", "system:masters", "Group")]]),
    "rbac-secrets": (
        [[role("configmaps")], [role("secrets", verbs=["create"])]],
        [[role("secrets")], [role("*", verbs=["list"])]],
    ),
    "rbac-wildcard": (
        [[role("pods")]],
        [[role("*")], [role("pods", verbs=["*"])], [role("pods", group="*")]],
    ),
    "rbac-create-pods": ([[role("pods")]], [[role("pods", verbs=["create"])]]),
    "rbac-escalation": (
        [[role("clusterroles", group="rbac.authorization.k8s.io")]],
        [[role("clusterroles", verbs=["bind"])], [role("users", verbs=["impersonate"])]],
    ),
    "rbac-persistent-volumes": (
        [[role("persistentvolumeclaims", verbs=["create"])]],
        [[role("persistentvolumes", verbs=["create"])]],
    ),
    "rbac-node-proxy": (
        [[role("nodes")]], [[role("nodes/proxy")], [role("nodes/*")], [role("*/proxy")]],
    ),
    "rbac-certificate-approval": (
        [[role("certificatesigningrequests", group="certificates.k8s.io", verbs=["update"])]],
        [[role("certificatesigningrequests/approval", group="certificates.k8s.io",
               verbs=["update"])]],
    ),
    "rbac-webhook-configuration": (
        [[role("validatingwebhookconfigurations", group="admissionregistration.k8s.io")]],
        [[role("validatingwebhookconfigurations", group="admissionregistration.k8s.io",
               verbs=["patch"])]],
    ),
    "rbac-token-creation": (
        [[role("serviceaccounts", verbs=["create"])]],
        [[role("serviceaccounts/token", verbs=["create"])]],
    ),
}  # fmt: skip
EVERY = [
    pytest.param(
        check, documents, is_refused, id=f"{check}-{'refused' if is_refused else 'allowed'}-{n}"
    )
    for check, sides in CASES.items()
    for is_refused, side in enumerate(sides)
    for n, documents in enumerate(side)
]


@pytest.mark.parametrize(("check", "documents", "is_refused"), EVERY)
def test_a_rule_allows_and_refuses(check: str, documents: list[Any], is_refused: int) -> None:
    assert (check in checks_of(*documents)) == bool(is_refused)


def test_every_rule_has_objects_for_and_against_it_a_grade_and_a_title() -> None:
    # What needs all of a cluster is tested below.
    assert set(CASES) | {"webhook-without-backend"} == set(TITLES) - set(CHECKS)
    assert {name.partition("/")[0] for name in GRADES} == set(TITLES)
    assert {name.partition("/")[0] for name in CIS} <= set(TITLES)


@pytest.mark.parametrize("check", [name for name in CASES if name.startswith("rbac-")])
def test_an_api_server_takes_the_roles_of_the_cases(check: str) -> None:
    for documents in (*CASES[check][0], *CASES[check][1]):
        for document in documents:
            kubernetes_validate.validate(dict(document), "1.37", strict=True)


def test_an_api_server_takes_the_webhooks_of_the_cases() -> None:
    kubernetes_validate.validate(webhook(), "1.37", strict=True)
    kubernetes_validate.validate(webhook(kind="Mutating"), "1.37", strict=True)


def test_a_certificate_that_ends_soon_is_told_with_its_day() -> None:
    ending = webhook(bundle=bundle(days=3))
    world = World(tuple(objects_in(ending, Source("a"))))
    now = datetime.now(UTC)
    [found] = audit(world, level="privileged", version=(1, 37), now=now).findings
    assert found.check == "webhook-certificate"
    assert found.value.startswith("ends on 20")
    later = audit(world, level="privileged", version=(1, 37), now=now + timedelta(days=9))
    assert later.findings[0].value.startswith("ended on 20")


def test_who_answers_for_a_webhook_is_judged_where_everything_is_known() -> None:
    service = {"apiVersion": "v1", "kind": "Service",
               "metadata": {"name": "guard", "namespace": "guard"}, "spec": {}}  # fmt: skip
    slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
              "metadata": {"name": "guard-1", "namespace": "guard",
                           "labels": {"kubernetes.io/service-name": "guard"}},
              "endpoints": [{"conditions": {"ready": True}}]}  # fmt: skip
    unready = slices | {"endpoints": [{"conditions": {"ready": False}}]}
    check = "webhook-without-backend"
    assert check not in checks_of(webhook())
    assert check in checks_of(webhook(), is_whole=True)
    assert check in checks_of(webhook(), service, is_whole=True)
    assert check in checks_of(webhook(), service, unready, is_whole=True)
    assert check not in checks_of(webhook(), service, slices, is_whole=True)


def test_what_the_cluster_comes_with_is_not_told_of() -> None:
    built_in = role("*", verbs=["*"], group="*")
    built_in["metadata"]["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    assert checks_of(built_in) == set()


def test_kinds_of_another_api_are_not_those_of_kubernetes() -> None:
    other = pod(hostPID=True, shareProcessNamespace=True) | {"apiVersion": "example.org/v1"}
    assert checks_of(other) == set()


@pytest.mark.parametrize(
    ("selector", "is_picked"),
    [
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "2"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "b", "operator": "In", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
    ],
)
def test_a_selector_picks_as_kubernetes_does(selector: dict[str, Any], is_picked: bool) -> None:
    assert selects(selector, {"a": "1"}) is is_picked


def test_capabilities_are_those_that_a_process_has_in_the_end() -> None:
    def names(**context: Any) -> tuple[str, ...]:
        [one] = pod_at({"spec": {"containers": [{"securityContext": context}]}}, ()).containers()
        return capability_names(one)

    assert names(privileged=True) == ("ALL",)
    assert names(capabilities={"drop": ["ALL"], "add": ["CAP_CHOWN"]}) == ("CHOWN",)
    assert "NET_RAW" in names()
    assert "NET_RAW" not in names(capabilities={"drop": ["NET_RAW"]})


def test_paths_are_compared_as_the_kernel_has_them() -> None:
    assert normal_path("/var/run/docker.sock") == "/run/docker.sock"
    assert normal_path("//a/./b/../c/") == "/a/c"
    assert normal_path("/../..") == "/"


def test_numbers_of_cis_are_those_of_the_version() -> None:
    assert dict(cis_of("capabilities_baseline", "SYS_ADMIN")) == {
        "1.9": "5.2.9", "1.10": "5.2.9", "1.11": "5.2.9",
    }  # fmt: skip
    assert dict(cis_of("capabilities_baseline", "NET_RAW"))["1.12"] == "5.2.8"
    assert dict(cis_of("capabilities_restricted", "drop"))["1.11"] == "5.2.10"
    assert dict(cis_of("capabilities_restricted", "drop"))["1.12"] == "5.2.9"
    assert dict(cis_of("hostPathVolumes", "")) == {
        "1.9": "5.2.12", "1.10": "5.2.12", "1.11": "5.2.12", "1.12": "5.2.11",
    }  # fmt: skip
    assert dict(cis_of("hostNamespaces", "hostIPC"))["1.12"] == "5.2.4"
    assert [dict(cis_of("seccompProfile_restricted", ""))[one] for one in BENCHMARKS] == [
        "5.7.2", "5.7.2", "5.6.2", "5.6.2",
    ]  # fmt: skip
    versions = ["1.25", "1.27", "1.28", "1.29", "1.31", "1.32", "1.37"]
    assert [benchmark_of(version_of(one)) for one in versions] == [
        "1.9", "1.9", "1.10", "1.11", "1.11", "1.12", "1.12",
    ]  # fmt: skip
