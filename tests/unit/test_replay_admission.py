"""What admission policies would have done to pods: recorded ones, and those handed in."""

import sys

import pytest
import yaml

from ethogram.contracts.recording import Recording
from ethogram.errors import PreflightError
from exporters.replay import cel
from exporters.replay.admission import replayer
from exporters.replay.observations import Observations
from exporters.replay.protocol import Denied, Judged, Policy, Unjudged
from tests.recordings import make_recording

pytestmark = pytest.mark.unit

DIGEST = "sha256:" + "9f" * 32
PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
WEB = {
    "workload": 1, "namespace": "shop", "kind": "Deployment", "name": "web", "container": "web",
    "image": "example.com/web:1", "image_digest": DIGEST, "labels": {"app": "web"}, "source": "cri",
}  # fmt: skip
INSTANCE = {
    "instance": 1, "workload": 1, "no_new_privs": False, "caps_bounding": 0xA80425FB,
    "seccomp_mode": 0, "host_namespaces": ["time", "net"],
}  # fmt: skip


def policy(*expressions, name="p", actions=("Deny",), **spec):
    api = "admissionregistration.k8s.io/v1"
    made = {
        "matchConstraints": {"resourceRules": [PODS]},
        "validations": [{"expression": each, "message": each} for each in expressions],
    }
    return [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
         "spec": made | spec},
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
         "spec": {"policyName": name, "validationActions": list(actions)}},
    ]  # fmt: skip


@pytest.fixture
def admit(tmp_path):
    """Admit the recorded pod `web`, or *pods*; return what is denied and what is left open."""

    def admitted(documents, pods=(), workloads=(WEB,), **instance):
        path = tmp_path / "r"
        if not path.exists():
            make_recording(path, workloads=workloads, instances=[INSTANCE | instance])
        seen = Observations(Recording.open(path), "r", tuple(pods))
        given = [Policy("p.yaml", document) for document in documents]
        found = list(replayer().replay(given, seen))
        return (
            [one for one in found if isinstance(one, Denied)],
            [one for one in found if isinstance(one, Unjudged)],
            sum(one.count for one in found if isinstance(one, Judged)),
        )

    return admitted


@pytest.mark.parametrize(
    "holds",
    [
        "object.metadata.labels['app'] == 'web'",
        "object.spec.?hostNetwork.orValue(false)",
        "!object.spec.?hostPID.orValue(false)",
        "object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))",
        "object.spec.containers.all(c, c.?securityContext.?capabilities.?add.orValue([]) == [])",
        "object.spec.containers.all(c, c.securityContext.allowPrivilegeEscalation)",
        "object.spec.containers[0].securityContext.seccompProfile.type == 'Unconfined'",
        "object.metadata.ownerReferences.exists(o, o.name == 'web-' +"
        " object.metadata.labels['pod-template-hash'])",
    ],
)
def test_what_a_recording_tells_is_judged(admit, holds):
    assert admit(policy(holds)) == ([], [], 1)
    [denied], [], _ = admit(policy(f"!({holds})"))
    assert (denied.rule, denied.effect, denied.workload) == (f"!({holds})", "denied", 1)
    assert denied.relaxation.patch == ({"op": "remove", "path": "/spec/validations/0"},)


@pytest.mark.parametrize(
    ("asks", "field"),
    [
        ("object.spec.containers.all(c, c.securityContext.readOnlyRootFilesystem)", "readOnlyRoot"),
        ("!has(object.spec.volumes)", "volumes"),
        ("object.metadata.annotations['a'] == 'b'", "annotations"),
        ("variables.indirect", "runAsNonRoot"),
        ("object['spec'].hostUsers", "hostUsers"),
    ],
)
def test_what_a_recording_does_not_tell_is_left_open(admit, asks, field):
    variables = [
        {"name": "deep", "expression": "object.spec.securityContext.runAsNonRoot"},
        {"name": "indirect", "expression": "variables.deep"},
    ]
    denied, [left], _ = admit(policy(asks, variables=variables))
    assert denied == []
    assert field in left.reason


def test_fields_that_are_null_in_the_recording_are_left_open(admit):
    asks = "!object.spec.?hostNetwork.orValue(false)"
    denied, [left], _ = admit(policy(asks), host_namespaces=None)
    assert (denied, "hostNetwork" in left.reason) == ([], True)


def test_a_digest_is_judged_where_the_name_of_the_image_does_not_matter(admit):
    pinned = f"object.spec.containers.all(c, c.image.endsWith('@{DIGEST}'))"
    denied, [left], _ = admit(policy(pinned))
    assert (denied, "by digest" in left.reason) == ([], True)
    [denied], [], _ = admit(policy(pinned.replace("9f9f", "aaaa")))
    assert denied.count == 1


def test_a_policy_that_only_warns_denies_nothing(admit):
    [found], _, _ = admit(policy("false", actions=("Warn", "Audit")))
    assert found.effect == "logged"
    assert found.answer == "admitted with a warning, noted in the audit log"


def test_a_policy_without_a_binding_does_nothing(admit):
    denied, [left], judged = admit(policy("false")[:1])
    assert (denied, judged) == ([], 0)
    assert "no binding" in left.reason


@pytest.mark.parametrize(
    "other",
    [
        {"matchConstraints": {"resourceRules": [PODS | {"resources": ["services"]}]}},
        {"matchConstraints": {"resourceRules": [PODS | {"operations": ["DELETE"]}]}},
        {"matchConstraints": {"resourceRules": [PODS],
                              "objectSelector": {"matchLabels": {"app": "x"}}}},
        {"matchConditions": [{"name": "c", "expression": "object.metadata.namespace == 'x'"}]},
    ],
)  # fmt: skip
def test_a_policy_of_something_else_refuses_nothing(admit, other):
    denied, left, _ = admit(policy("false", **other))
    assert (denied, left) == ([], [])


def test_an_expression_of_a_library_that_is_not_here_is_left_open(admit):
    denied, [left], _ = admit(policy("quantity('1Gi').isGreaterThan(quantity('1Mi'))"))
    assert (denied, "cannot evaluate" in left.reason) == ([], True)


def test_a_pod_that_is_handed_in_is_known_whole(admit):
    pod = yaml.safe_load("""
        kind: Pod
        metadata:
          {name: web-7-x, namespace: shop, labels: {pod-template-hash: "7"},
           ownerReferences: [{kind: ReplicaSet, name: web-7}]}
        spec: {containers: [{name: web, securityContext: {runAsNonRoot: false}}]}
    """)
    asks = "object.spec.containers.all(c, c.securityContext.runAsNonRoot)"
    [denied], [left], _ = admit(policy(asks), [pod])
    assert str(denied.workload) == "_/shop/Deployment/web/_/none"
    assert left.workload == 1  # the recorded one


@pytest.mark.parametrize(("failure", "denied"), [("Fail", 1), ("Ignore", 0)])
def test_an_expression_that_fails_is_as_the_policy_has_it(admit, failure, denied):
    pod = {"kind": "Pod", "metadata": {"name": "p", "namespace": "x"}, "spec": {"containers": []}}
    asks = "object.spec.missing == 1"
    found, _, _ = admit(policy(asks, failurePolicy=failure), [pod])
    assert len(found) == denied


def test_without_an_engine_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    for cached in (cel._engine, cel._environment, cel._compiled):
        cached.cache_clear()
    with pytest.raises(PreflightError, match="CEL engine") as caught:
        cel.evaluate("true", {})
    assert "ethogram[verify]" in caught.value.hint
