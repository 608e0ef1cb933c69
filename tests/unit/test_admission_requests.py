"""Which requests an admission policy judges: new pods, joined ones, what is added to old ones."""

import pytest

from tests.admission import (
    SELECTOR,
    changed,
    container,
    make_pod,
    policy_of,
)
from tests.vap import review

pytestmark = pytest.mark.unit

POLICY = policy_of()
GOOD = make_pod(POLICY)
# From before there was a policy: everything about it is refused.
OLD = make_pod(
    None,
    container(privileged=True, capabilities={"add": ["ALL"]}, allowPrivilegeEscalation=True),
    hostNetwork=True,
    hostPID=True,
    hostIPC=True,
    ephemeralContainers=[container("debugger-1", privileged=True)],
)
DEBUGGER = container("debugger-2")


def judge(pod, *, old=None, documents=POLICY, **request):
    answer = review(documents, pod, old=old, **request)
    assert answer.is_matched
    return len(answer.violations)


def with_metadata(pod, **fields):
    return {**pod, "metadata": {**pod["metadata"], **fields}}


def test_the_old_pod_would_not_be_created():
    assert judge(OLD) == 7


@pytest.mark.parametrize(
    "fields",
    [
        {"finalizers": []},
        {"labels": SELECTOR | {"more": "x"}},
        {"labels": {}},
        {"annotations": {"a": "b"}},
        {"ownerReferences": [{"kind": "ReplicaSet", "name": "x"}]},
    ],
)
def test_a_change_that_leaves_the_spec_alone_is_admitted(fields):
    assert judge(with_metadata(OLD, **fields), old=OLD) == 0


def test_a_change_beside_the_containers_is_admitted():
    new = changed(OLD, tolerations=[{"key": "a"}], activeDeadlineSeconds=5)
    assert judge(new, old=OLD) == 0


def test_a_container_that_is_changed_is_judged():
    new = changed(GOOD, containers=[container(image="other", privileged=True)])
    assert judge(new, old=GOOD) == 1
    assert judge(changed(GOOD, containers=[container(image="other")]), old=GOOD) == 0


def test_an_init_container_that_is_changed_is_judged():
    old = changed(OLD, initContainers=[container("init", privileged=True)])
    assert judge(old, old=old) == 0
    assert (
        judge(changed(old, initContainers=[container("init", image="x", privileged=True)]), old=old)
        == 1
    )


@pytest.mark.parametrize("pod", [GOOD, OLD], ids=["good", "old"])
def test_what_is_added_for_debugging_is_judged_alone(pod):
    before = pod["spec"].get("ephemeralContainers", [])

    def adding(new):
        return changed(pod, ephemeralContainers=[*before, new])

    assert judge(adding(DEBUGGER), old=pod, subresource="ephemeralcontainers") == 0
    for security in ({"privileged": True}, {"capabilities": {"add": ["SYS_PTRACE"]}}):
        worse = adding(container("debugger-2", **security))
        assert judge(worse, old=pod, subresource="ephemeralcontainers") == 1


def test_the_pods_own_settings_are_compared_too():
    """An API server keeps them as they are; the policy does not rely on it."""
    weaker = changed(GOOD, securityContext={"seccompProfile": {"type": "Unconfined"}})
    assert judge(weaker, old=GOOD) == 1
    assert judge(changed(GOOD, hostPID=True), old=GOOD) == 1


def test_a_pod_that_joins_by_its_labels_is_judged_as_a_new_one():
    stray = with_metadata(OLD, labels={"app": "checkout"})
    assert not review(POLICY, stray).is_matched
    assert judge(OLD, old=stray) == 7
    assert judge(GOOD, old=with_metadata(GOOD, labels={})) == 0


def test_a_pod_that_leaves_is_noted():
    gone = with_metadata(GOOD, labels={"app": "checkout"})
    answer = review(POLICY, gone, old=GOOD)
    assert answer.is_admitted
    assert list(answer.annotations) == ["left-the-policy"]
    assert review(POLICY, GOOD, old=GOOD).annotations == {}


def test_leaving_and_adding_at_once_is_judged():
    worse = changed(GOOD, ephemeralContainers=[container("debugger-2", privileged=True)])
    assert judge(with_metadata(worse, labels={}), old=GOOD) == 1


@pytest.mark.parametrize(
    ("namespace", "subresource"), [("shop", ""), ("shop-staging", "status"), ("", "")]
)
def test_other_requests_are_not_met(namespace, subresource):
    assert not review(POLICY, OLD, old=OLD, namespace=namespace, subresource=subresource).is_matched


@pytest.mark.parametrize("labels", [{}, {"app": "checkout"}, SELECTOR | {"tier": "db"}])
def test_other_pods_are_not_met(labels):
    assert not review(POLICY, with_metadata(OLD, labels=labels)).is_matched


def test_a_pod_without_the_learnt_container_is_noted():
    answer = review(POLICY, make_pod(None, container("renamed")))
    assert answer.violations == ()
    assert list(answer.annotations) == ["learnt-container-missing"]


# --- without the owner's labels --------------------------------------------------------------

OWNERS = {
    "Deployment": (
        {"kind": "ReplicaSet", "name": "checkout-5d4f"},
        [{"kind": "ReplicaSet", "name": "checkout-5d4e"}, {"kind": "Job", "name": "checkout-5d4f"}],
    ),
    "CronJob": (
        {"kind": "Job", "name": "checkout-29391840"},
        [{"kind": "Job", "name": "checkout-x"}, {"kind": "Job", "name": "my-checkout-29391840"}],
    ),
    "StatefulSet": (
        {"kind": "StatefulSet", "name": "checkout"},
        [{"kind": "StatefulSet", "name": "checkout-2"}, {"kind": "DaemonSet", "name": "checkout"}],
    ),
}


def owned(owner):
    labels = {"pod-template-hash": "5d4f"}
    return with_metadata(OLD, labels=labels, ownerReferences=[owner] if owner else [])


@pytest.mark.parametrize("kind", OWNERS)
def test_without_labels_the_owner_tells_the_pods(kind):
    documents = policy_of(subject={"kind": kind, "selector": {}})
    own, others = OWNERS[kind]
    assert judge(owned(own), documents=documents) == 7
    assert judge(owned(own), old=owned(None), documents=documents) == 7
    assert judge(owned(None), old=owned(own), documents=documents) == 0
    for other in others:
        assert not review(documents, owned(other)).is_matched
    assert not review(documents, OLD).is_matched


def test_a_bare_pod_without_labels_is_told_by_its_name():
    documents = policy_of(subject={"kind": "Pod", "selector": {}})
    assert judge(with_metadata(OLD, name="checkout", labels={}), documents=documents) == 7
    assert not review(documents, with_metadata(OLD, name="checkout2")).is_matched


def test_labels_that_change_with_each_revision_are_not_asked_for():
    selector = {"pod-template-hash": "5d4f", **SELECTOR}
    documents = policy_of(subject={"selector": selector})
    match = documents[0]["spec"]["matchConstraints"]
    assert match["objectSelector"] == {"matchLabels": SELECTOR}
    assert judge(OLD, documents=documents) == 7
