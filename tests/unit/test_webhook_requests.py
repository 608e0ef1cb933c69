"""Requests that are none, configurations that say nothing, and patches."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ethogram.errors import UsageError
from ethogram.webhook.config import load_config, parse_config
from ethogram.webhook.requests import BadReviewError, read_review
from ethogram.webhook.responses import patched
from ethogram.webhook.seccomp_patch import read_confirmed, seccomp_patch
from tests.admission import SELECTOR, make_admission_baseline
from tests.reviews import UID, answer, make_policy, make_review, simple_pod

pytestmark = pytest.mark.unit

BASE = "schema: ethogram.webhook/1\ntls: {certificate: a.crt, key: a.key}\n"
RUNTIME_DEFAULT = {"seccompProfile": {"type": "RuntimeDefault"}}


def request_of(pod: dict[str, Any], **fields: Any) -> Any:
    return read_review(json.dumps(make_review(pod, **fields)).encode())


# --- reviews --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "no object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": NaN}', "NaN"),
        (b'{"kind": "a", "kind": "b"}', "stands twice"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}', "v1beta1"),
        (b'{"kind": "Pod", "apiVersion": "v1"}', "`Pod` of `v1`"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}', "no `request`"),
    ],
)
def test_what_is_no_review_is_said_to_be_none(content: bytes, words: str) -> None:
    with pytest.raises(BadReviewError, match=words) as caught:
        read_review(content)
    assert caught.value.uid is None


@pytest.mark.parametrize("uid", [None, "", 7, "x" * 300])
def test_a_review_without_an_id_has_nobody_to_answer_to(uid: Any) -> None:
    with pytest.raises(BadReviewError, match="no id"):
        request_of(simple_pod(), uid=uid)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"operation": "PATCH"}, "`request.operation` is `PATCH`"),
        ({"object": None}, "`request.object` is missing"),
        ({"operation": "UPDATE"}, "`request.oldObject` is missing"),
        ({"object": []}, "no object of JSON"),
        ({"kind": "Pod"}, "`request.kind`"),
        ({"namespace": 7}, "`request.namespace` is no text"),
        ({"userInfo": {"username": []}}, "`request.userInfo.username`"),
    ],
)
def test_nonsense_with_an_id_is_refused_with_that_id(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadReviewError, match=words) as caught:
        request_of(simple_pod(), **fields)
    assert caught.value.uid == UID


def test_fields_of_newer_api_servers_are_passed_over() -> None:
    review = make_review(simple_pod(), future={"a": [1]}) | {"response": {"uid": "x"}}
    assert read_review(json.dumps(review).encode()).uid == UID


# --- the configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "has no `schema"),
        ("schema: ethogram.map/1", "is a map of environments"),
        ("schema: ethogram.webhook/1", "`tls`: field required"),
        (BASE + "mod: warn", "`mod`: there is no such field"),
        (BASE + "mode: deny", "mode"),
        (BASE + "rules: {privileges: warn}", "did you mean `privileged`"),
        (BASE + "pod_security: {version: soon}", "no version of Kubernetes"),
        (BASE + "exemptions: [{namespace: '*', rules: [privileged], owner: a, reason: b,"
         " expires: '2027-01-31'}]", "names no namespace"),
        (BASE + "exemptions: [{namespace: a, rules: [nothing], owner: a, reason: b,"
         " expires: '2027-01-31'}]", "no rule `nothing`"),
        (BASE + "exemptions: [{namespace: a, rules: [privileged], owner: a, reason: b}]",
         "expires"),
        (BASE + "a: &x 1", "anchors"),
    ],
)  # fmt: skip
def test_a_configuration_that_says_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_config(text, source="w.yaml")


def test_paths_of_a_configuration_begin_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(BASE + "learnt: {baselines: [b, /c], map: m.yaml}\n")
    config = load_config(tmp_path / "w.yaml")
    assert config.tls.key == str(tmp_path / "a.key")
    assert config.learnt is not None
    assert config.learnt.baselines == (str(tmp_path / "b"), "/c")


# --- rules of baselines ---------------------------------------------------------------------------


def learnt(**fields: Any) -> Any:
    baseline = make_admission_baseline("CAP_NET_BIND_SERVICE", subject={"namespace": "shop"})
    return make_policy([baseline], learnt={"baselines": ["b"]}, **fields)


def checkout(**context: Any) -> dict[str, Any]:
    pod = simple_pod(context={"allowPrivilegeEscalation": False, **context})
    pod["metadata"]["labels"] = dict(SELECTOR)
    pod["spec"]["containers"][0]["name"] = "nginx"
    return pod


def profile_of(policy: Any) -> str:
    return str(policy.learnt["shop"][0].constants["profiles"][0])


def test_a_capability_beyond_those_used_is_refused() -> None:
    policy = learnt(rules={"learnt-seccomp": "off"})
    assert answer(checkout(capabilities={"add": ["NET_BIND_SERVICE"]}), policy)["allowed"] is True
    said = answer(checkout(capabilities={"add": ["CHOWN"]}), policy)
    assert said["status"]["message"].endswith(
        'spec.containers[0].securityContext.capabilities.add[0] is "CHOWN": rule'
        " learnt-capabilities (baseline of Deployment shop/checkout) asks for no capability but"
        " those that were used: NET_BIND_SERVICE; remove it, or learn anew where it is used"
    )


def test_the_learnt_profile_is_asked_for_by_its_content() -> None:
    policy = learnt()
    said = answer(checkout(), policy)
    assert f"Localhost with the learnt profile {profile_of(policy)}" in said["status"]["message"]
    good = {"type": "Localhost", "localhostProfile": profile_of(policy)}
    assert answer(checkout(seccompProfile=good), policy)["allowed"] is True


def test_an_image_without_a_learnt_digest_is_noted_and_refused_on_demand() -> None:
    said = answer(checkout(), learnt(rules={"learnt-seccomp": "off"}))
    assert said["allowed"] is True
    assert "learnt-image" in said["auditAnnotations"]["audit"]
    assert answer(checkout(), learnt(rules={"learnt-image": "enforce"}))["allowed"] is False


def test_baselines_are_for_their_own_namespace() -> None:
    assert answer(checkout(), learnt(), namespace="other")["allowed"] is True


# --- patches --------------------------------------------------------------------------------------


def applied(pod: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """Return *pod* with the `add` operations of *patch* made, as RFC 6902 has them."""
    pod = copy.deepcopy(pod)
    for one in patch:
        assert one["op"] == "add"
        *above, last = one["path"].split("/")[1:]
        node: Any = pod
        for part in above:
            node = node[int(part)] if isinstance(node, list) else node[part]
        assert last not in node
        node[last] = one["value"]
    return pod


@pytest.mark.parametrize("context", [None, {}, {"runAsUser": 7}])
@pytest.mark.parametrize("pods", [None, {}, {"fsGroup": 7}])
def test_runtime_default_is_added_where_a_pod_says_nothing(context: Any, pods: Any) -> None:
    pod = simple_pod(context=context) if pods is None else simple_pod(
        context=context, securityContext=pods
    )  # fmt: skip
    policy = make_policy()
    patch = seccomp_patch(request_of(pod), policy, frozenset())
    done = applied(pod, patch)
    assert done["spec"]["securityContext"] == (pods or {}) | RUNTIME_DEFAULT
    assert seccomp_patch(request_of(done), policy, frozenset()) == []


def test_the_learnt_profile_is_added_once_every_node_holds_it(tmp_path: Path) -> None:
    policy = learnt()
    name = profile_of(policy)
    path = tmp_path / "confirmed.json"
    path.write_text(json.dumps({"schema": "ethogram.confirmed/1",
                                "nodes": {"a": [name, "x"], "b": ["y"]}}))  # fmt: skip
    patch = seccomp_patch(request_of(checkout()), policy, read_confirmed(path))
    assert [one["path"] for one in patch] == ["/spec/securityContext"]
    path.write_text(json.dumps({"schema": "ethogram.confirmed/1",
                                "nodes": {"a": [name, "x"], "b": [name]}}))  # fmt: skip
    patch = seccomp_patch(request_of(checkout()), policy, read_confirmed(path))
    done = applied(checkout(), patch)
    assert [one["path"] for one in patch] == ["/spec/containers/0/securityContext/seccompProfile"]
    assert answer(done, policy)["allowed"] is True
    assert seccomp_patch(request_of(done), policy, read_confirmed(path)) == []


def test_no_profile_is_confirmed_by_no_node(tmp_path: Path) -> None:
    path = tmp_path / "confirmed.json"
    path.write_text('{"schema": "ethogram.confirmed/1", "nodes": {}}')
    assert read_confirmed(path) == frozenset()
    path.write_text('{"schema": "ethogram.confirmed/1", "nodes": {"a": 7}}')
    with pytest.raises(UsageError, match="does not say which profiles"):
        read_confirmed(path)


@pytest.mark.parametrize(
    ("pod", "fields"),
    [
        (simple_pod(securityContext={"seccompProfile": {"type": "Unconfined"}}), {}),
        (simple_pod(context=RUNTIME_DEFAULT), {}),
        (simple_pod(os={"name": "windows"}), {}),
        (simple_pod(securityContext=[]), {}),
        (simple_pod(context=7), {}),
        (simple_pod(), {"namespace": "kube-system"}),
        (simple_pod(), {"old": simple_pod()}),
        (simple_pod(), {"old": simple_pod(), "subresource": "ephemeralcontainers"}),
    ],
)
def test_nothing_is_added_where_nothing_is_missing(pod: Any, fields: Any) -> None:
    assert seccomp_patch(request_of(pod, **fields), make_policy(), frozenset()) == []


def test_a_patch_travels_as_the_api_has_it() -> None:
    patch = seccomp_patch(request_of(simple_pod()), make_policy(), frozenset())
    response = patched(UID, patch)["response"]
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == patch
    assert patched(UID, [])["response"] == {"uid": UID, "allowed": True}
