"""Whatever is sent to the webhook, what comes back is an error of HTTP or a whole review."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.webhook.app import Webhook
from ethogram.webhook.metrics import Counts
from tests.admission import SELECTOR, make_admission_baseline
from tests.asgi import post
from tests.reviews import TODAY, UID, make_policy, make_review, simple_pod

pytestmark = pytest.mark.property

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=8), one, max_size=3),
    max_leaves=6,
)  # fmt: skip
CONTEXT = {
    "privileged": True, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
    "seccompProfile": {"type": "Localhost", "localhostProfile": "x.json"},
    "seLinuxOptions": {"type": "t"}, "runAsUser": 0, "procMount": "Unmasked",
}  # fmt: skip
POD = simple_pod(
    context=CONTEXT,
    volumes=[{"name": "v", "hostPath": {"path": "/"}}],
    securityContext={"sysctls": [{"name": "kernel.x", "value": "1"}]},
    hostNetwork=True,
    ephemeralContainers=[{"name": "e", "image": "i", "ports": [{"hostPort": 1}]}],
)
POD["metadata"] |= {
    "labels": dict(SELECTOR),
    "annotations": {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"},
    "ownerReferences": [{"kind": "ReplicaSet", "name": "a-1", "controller": True}],
}
POD["spec"]["containers"][0] |= {
    "name": "nginx", "ports": [{"hostPort": 80}],
    "livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 1}},
    "lifecycle": {"preStop": {"tcpSocket": {"host": "x"}}},
}  # fmt: skip
REVIEW = make_review(POD, old={**POD, "spec": simple_pod()["spec"]})
BASELINE = make_admission_baseline("CAP_NET_BIND_SERVICE", subject={"namespace": "shop"})
POLICY = make_policy([BASELINE], learnt={"baselines": ["b"]}, pod_security={"level": "restricted"})


def places(node: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where in *node* something stands."""
    some = node if isinstance(node, list) else []
    items = node.items() if isinstance(node, dict) else enumerate(some)
    found = []
    for key, value in items:
        found += [(*above, key), *places(value, (*above, key))]
    return found


PLACES = places(REVIEW)


def replaced(place: tuple[Any, ...], value: Any, document: Any) -> Any:
    node = document
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = value
    return document


@st.composite
def reviews(draw: st.DrawFn) -> bytes:
    document = copy.deepcopy(REVIEW)
    for place in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        try:
            replaced(place, draw(ODD), document)
        except (LookupError, TypeError):
            continue  # what it stood in was replaced before
    content = json.dumps(document).encode()
    cut = draw(st.integers(0, len(content) * 8))
    return content[:cut]


@settings(max_examples=120)
@given(st.one_of(reviews(), st.binary(max_size=40), ODD.map(lambda one: json.dumps(one).encode())),
       st.sampled_from(["/validate", "/validate/warn", "/mutate"]))  # fmt: skip
def test_every_answer_is_whole(content: bytes, path: str) -> None:
    webhook = Webhook(POLICY, Counts(), lambda: TODAY, confirmed=frozenset())
    answered = post(webhook, content, path=path)
    assert webhook.held_bytes == 0
    assert webhook.counts.bad["internal"] == 0
    if answered.status != 200:
        assert answered.status == 400
        assert answered.json["kind"] == "Status"
        return
    sent = json.loads(content)["request"]
    response = answered.json["response"]
    assert answered.json["kind"] == "AdmissionReview"
    assert response["uid"] == sent["uid"]
    assert isinstance(response["allowed"], bool)
    if not response["allowed"]:
        assert response["status"]["message"].isprintable()
    for text in (*response.get("warnings", ()), *response.get("auditAnnotations", {}).values()):
        assert text.isprintable()
    if path == "/mutate":
        assert response["allowed"] is (response.get("status") is None)


def test_the_review_that_is_changed_is_one() -> None:
    webhook = Webhook(make_policy(), Counts(), lambda: TODAY)
    answered = post(webhook, json.dumps(REVIEW).encode())
    assert answered.json["response"]["uid"] == UID
    assert len(answered.json["response"]["status"]["message"]) > 500
