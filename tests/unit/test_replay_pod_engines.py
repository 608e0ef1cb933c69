"""What policies of Kyverno and Gatekeeper would have done to pods, by the rules of admission."""

import copy

import pytest

from ethogram.contracts.recording import Recording
from ethogram.errors import ExportError
from exporters.replay.observations import Observations
from exporters.replay.protocol import Denied, Judged, Policy, Unjudged
from exporters.replay.registry import replayer_of
from tests.admission import changed, container, export, make_admission_baseline, make_pod, policy_of
from tests.recordings import make_recording

pytestmark = pytest.mark.unit

FORMS = {
    "kyverno": ("kyverno", ()),
    "cluster policy": ("kyverno", ("kind=ClusterPolicy",)),
    "gatekeeper": ("gatekeeper", ()),
}
every_form = pytest.mark.parametrize("form", FORMS)
BASELINE = make_admission_baseline("CAP_NET_BIND_SERVICE")
GOOD = make_pod(policy_of("CAP_NET_BIND_SERVICE"), container())
GOOD["metadata"]["namespace"] = BASELINE.subject.namespace
BAD = changed(GOOD, hostPID=True)


def documents(form, *settings, enforce=True, baseline=BASELINE):
    target, own = FORMS[form]
    return copy.deepcopy(export(baseline, *own, *settings, enforce=enforce, target=target)[0])


def replay(tmp_path, given, *pods, workloads=(), instances=()):
    """Return what is denied, the reasons of what is left open, and how many pods were judged."""
    tmp_path.mkdir(exist_ok=True)
    make_recording(tmp_path / "r", workloads=workloads, instances=instances)
    seen = Observations(Recording.open(tmp_path / "r"), "r", pods)
    policies = [Policy("p.yaml", one) for one in given]
    replayer = replayer_of("p.yaml", given[0])
    assert all(replayer.reads("p.yaml", one) for one in given)
    found = list(replayer.replay(policies, seen))
    return (
        [one for one in found if isinstance(one, Denied)],
        [one.reason for one in found if isinstance(one, Unjudged)],
        sum(one.count for one in found if isinstance(one, Judged)),
    )


@every_form
def test_a_pod_is_refused_by_the_rule_that_it_breaks(tmp_path, form):
    denied, unjudged, judged = replay(tmp_path, documents(form), GOOD, BAD)
    refused = [one for one in denied if one.effect == "denied"]
    assert [one.rule for one in refused] == [
        "no hostPID: no instance was in the host's pid namespace"
    ]
    assert (unjudged, judged >= 2) == ([], True)


@every_form
def test_without_enforcement_it_is_let_in_and_noted(tmp_path, form):
    denied, _, _ = replay(tmp_path, documents(form, enforce=False), BAD)
    assert "no hostPID: no instance was in the host's pid namespace" in {o.rule for o in denied}
    assert {one.effect for one in denied} == {"logged"}


@every_form
def test_pods_of_others_are_not_judged(tmp_path, form):
    other = {**BAD, "metadata": {**BAD["metadata"], "namespace": "elsewhere"}}
    assert replay(tmp_path, documents(form), other) == ([], [], 0)
    other = {**BAD, "metadata": {**BAD["metadata"], "labels": {"app": "other"}}}
    assert replay_again(tmp_path, form, other) == ([], [], 0)


def replay_again(tmp_path, form, pod):
    return replay(tmp_path / "again", documents(form), pod)


@every_form
def test_a_recorded_pod_is_judged_as_far_as_it_is_known(tmp_path, form):
    subject = BASELINE.subject
    row = {
        "workload": 1, "namespace": subject.namespace, "kind": subject.kind, "name": subject.name,
        "container": subject.container, "image": "a:1", "labels": dict(subject.selector),
        "source": "cri",
    }  # fmt: skip
    instance = {
        "instance": 1, "workload": 1, "no_new_privs": True, "caps_bounding": 0,
        "seccomp_mode": 2, "host_namespaces": ["pid"],
    }  # fmt: skip
    denied, unjudged, judged = replay(
        tmp_path, documents(form), workloads=[row], instances=[instance]
    )
    refused = {one.rule for one in denied if one.effect == "denied"}
    assert refused == {"no hostPID: no instance was in the host's pid namespace"}
    assert any("a recording does not tell" in reason for reason in unjudged)
    assert judged >= 1


def test_a_template_and_its_constraint_need_each_other(tmp_path):
    template, constraint, *_ = documents("gatekeeper")
    _, [reason], _ = replay(tmp_path, [template], BAD)
    assert "alone it does nothing" in reason
    _, [reason], _ = replay(tmp_path / "again", [constraint], BAD)
    assert "is not here" in reason


def test_rego_is_not_judged(tmp_path):
    template, constraint, *_ = documents("gatekeeper")
    template["spec"]["targets"][0]["code"][0]["engine"] = "Rego"
    _, [reason], judged = replay(tmp_path, [template, constraint], BAD)
    assert ("is not in CEL" in reason, judged) == (True, 0)


def test_rules_by_patterns_are_not_judged(tmp_path):
    [policy] = documents("cluster policy")
    policy["spec"]["rules"][0]["validate"] = {"pattern": {"spec": {}}}
    _, [reason], judged = replay(tmp_path, [policy], BAD)
    assert ("not in CEL" in reason, judged) == (True, 0)


@every_form
def test_a_malformed_policy_is_named(tmp_path, form):
    given = documents(form)
    del given[0]["spec"]
    with pytest.raises(ExportError, match=r"`p\.yaml`: the policy is malformed"):
        replay(tmp_path, given, BAD)
