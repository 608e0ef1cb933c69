"""What the webhook says of pods, as an API server asks it."""

from __future__ import annotations

from typing import Any

import pytest

from ethogram.posture.standards import CHECKS
from ethogram.webhook.standards import FIXES
from tests.posture import CASES, make_pod
from tests.reviews import UID, answer, decide, make_policy, simple_pod

pytestmark = pytest.mark.unit

PRIVILEGED = simple_pod(context={"privileged": True})
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "app", "namespace": "shop"},
    "spec": {"replicas": 2, "template": {"metadata": {}, "spec": PRIVILEGED["spec"]}},
}


def with_debugger(pod: dict[str, Any], **context: Any) -> dict[str, Any]:
    debugger = {"name": "debugger-x", "image": "busybox", "securityContext": context}
    return {**pod, "spec": {**pod["spec"], "ephemeralContainers": [debugger]}}


def test_a_pod_within_the_level_is_let_in_without_a_word() -> None:
    assert answer(simple_pod()) == {"uid": UID, "allowed": True}


def test_a_refusal_names_field_value_rule_and_what_to_do() -> None:
    said = answer(PRIVILEGED)
    assert said["allowed"] is False
    assert said["status"]["code"] == 403
    assert said["status"]["message"] == (
        "ethogram refuses Pod shop/app: spec.containers[0].securityContext.privileged is true:"
        " rule privileged (Pod Security baseline v1.37) asks for not set, or false;"
        " remove it, and add the capabilities that are used instead"
    )
    assert "privileged" in said["auditAnnotations"]["enforce"]


def test_every_check_of_the_standards_says_how_to_meet_it() -> None:
    assert FIXES.keys() == CHECKS.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda one: f"{one.check}-{one.is_allowed}")
def test_each_check_refuses_what_it_is_to_refuse(case: Any) -> None:
    level = CHECKS[case.check].level
    policy = make_policy(pod_security={"level": level, "version": case.since})
    rules = {one.breach.rule for one in decide(make_pod(case.change), policy).rulings}
    assert (case.check in rules) is not case.is_allowed


@pytest.mark.parametrize(
    ("mode", "allowed", "key"), [("audit", True, "audit"), ("warn", True, "warn"),
                                 ("enforce", False, "enforce")],
)  # fmt: skip
def test_the_mode_of_the_label_decides_what_comes_of_a_breach(
    mode: Any, allowed: bool, key: str
) -> None:
    said = answer(PRIVILEGED, make_policy(mode="audit"), asked=mode)
    assert said["allowed"] is allowed
    assert list(said["auditAnnotations"]) == [key]
    assert ("warnings" in said) is (mode == "warn")


def test_a_rule_may_be_milder_than_its_namespace_and_never_sterner() -> None:
    milder = make_policy(rules={"privileged": "warn"})
    assert answer(PRIVILEGED, milder)["allowed"] is True
    sterner = make_policy(mode="audit", rules={"privileged": "enforce"})
    assert answer(PRIVILEGED, sterner)["allowed"] is True
    assert answer(PRIVILEGED, make_policy(rules={"privileged": "off"})) == {
        "uid": UID, "allowed": True,
    }  # fmt: skip


def test_namespaces_have_levels_and_modes_of_their_own() -> None:
    policy = make_policy(
        namespaces=[
            {"match": "shop-*", "level": "restricted"},
            {"match": "lab", "level": "privileged", "mode": "off"},
        ]
    )
    assert answer(simple_pod(), policy, namespace="shop-eu")["allowed"] is False
    assert answer(PRIVILEGED, policy, namespace="lab")["allowed"] is True
    assert answer(PRIVILEGED, policy, namespace="kube-system")["allowed"] is True
    assert answer(PRIVILEGED, policy, namespace="shop")["allowed"] is False


def test_a_privileged_debugging_container_is_refused() -> None:
    said = answer(
        with_debugger(simple_pod(), privileged=True),
        old=simple_pod(),
        subresource="ephemeralcontainers",
    )
    assert said["allowed"] is False
    assert "spec.ephemeralContainers[0].securityContext.privileged" in said["status"]["message"]


def test_a_harmless_debugging_container_may_join_a_pod_that_breaks_rules() -> None:
    said = answer(with_debugger(PRIVILEGED), old=PRIVILEGED, subresource="ephemeralcontainers")
    assert said["allowed"] is True


@pytest.mark.parametrize("part", ["finalizers", "labels", "annotations"])
def test_metadata_of_a_pod_that_breaks_rules_may_change(part: str) -> None:
    value: Any = ["a.example/b"] if part == "finalizers" else {"a": "b"}
    old = {**PRIVILEGED, "metadata": {**PRIVILEGED["metadata"], part: value}}
    assert answer(PRIVILEGED, old=old)["allowed"] is True
    assert answer(old, old=PRIVILEGED)["allowed"] is True


def test_nothing_is_in_the_way_of_a_pod_that_is_being_deleted() -> None:
    metadata = {**PRIVILEGED["metadata"], "deletionTimestamp": "2026-11-23T10:00:00Z"}
    assert answer({**PRIVILEGED, "metadata": metadata}, old=simple_pod())["allowed"] is True
    assert answer(None, old=PRIVILEGED, operation="DELETE")["allowed"] is True


def test_a_container_that_changes_is_judged_whole() -> None:
    newer = simple_pod(context={"privileged": True})
    newer["spec"]["containers"][0]["image"] = "registry.example/app:2"
    assert answer(newer, old=PRIVILEGED)["allowed"] is False


def test_a_controller_is_warned_of_and_never_refused() -> None:
    said = answer(DEPLOYMENT)
    assert said["allowed"] is True
    assert said["warnings"][0].startswith(
        "ethogram: spec.template.spec.containers[0].securityContext.privileged is true: rule"
    )
    scaled = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replicas": 3}}
    assert answer(scaled, old=DEPLOYMENT) == {"uid": UID, "allowed": True}
    assert answer(DEPLOYMENT, make_policy(mode="audit")).get("warnings") is None


def test_what_has_no_pods_is_let_in() -> None:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert answer(config_map) == {"uid": UID, "allowed": True}


def exempting(**fields: Any) -> Any:
    return make_policy(
        exemptions=[
            {
                "namespace": "shop", "rules": ["privileged"], "owner": "alice",
                "reason": "the driver needs it", "expires": "2026-11-23", **fields,
            }
        ]
    )  # fmt: skip


def test_an_exemption_holds_to_the_end_of_its_day_and_is_noted() -> None:
    said = answer(PRIVILEGED, exempting())
    assert said["allowed"] is True
    assert said["auditAnnotations"] == {"exempt": "privileged until 2026-11-23 by alice"}
    assert answer(PRIVILEGED, exempting(expires="2026-11-22"))["allowed"] is False


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"kind": "Pod", "name": "app"}, True),
        ({"name": "other"}, False),
        ({"container": "app"}, True),
        ({"container": "other"}, False),
        ({"user": "system:*"}, False),
        ({"user": "alice"}, True),
        ({"rules": ["hostPorts"]}, False),
        ({"rules": ["priv*"]}, True),
        ({"namespace": "shop-*"}, False),
    ],
)
def test_an_exemption_is_for_what_it_names(fields: dict[str, Any], allowed: bool) -> None:
    assert answer(PRIVILEGED, exempting(**fields))["allowed"] is allowed


def test_what_is_only_noted_hides_nothing_that_is_refused() -> None:
    ports = [{"hostPort": number} for number in range(1, 200)]
    pod = simple_pod(context={"privileged": True})
    pod["spec"]["containers"].append({"name": "many", "image": "x", "ports": ports})
    pod["spec"]["containers"].reverse()
    said = answer(pod, make_policy(rules={"hostPorts": "warn"}))
    assert said["allowed"] is False
    assert sum(len(text) for text in said["warnings"]) <= 4096
    assert max(map(len, said["warnings"])) <= 256


def test_what_others_chose_reaches_nobodys_terminal() -> None:
    pod = simple_pod(volumes=[{"name": "x", "hostPath": {"path": "/\x1b[2J\u202e"}}])
    pod["metadata"]["name"] = "a\x1b[31mb"
    said = answer(pod)
    assert said["status"]["message"].isprintable()
    assert said["auditAnnotations"]["enforce"].isprintable()


@pytest.mark.parametrize(
    "spec",
    [{"containers": "all"}, {"containers": [7]}, {"securityContext": []}, {"volumes": {}}, {}],
)
def test_a_pod_of_no_known_form_is_refused(spec: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec}
    said = answer(pod)
    assert said["allowed"] is False
    assert "rule shape" in said["status"]["message"]


def adding(*capabilities: str, name: str = "app") -> dict[str, Any]:
    context = {"capabilities": {"add": list(capabilities)}}
    return {"name": name, "image": "registry.example/app:1", "securityContext": context}


def test_what_is_too_much_to_be_looked_at_is_refused_whoever_is_exempt() -> None:
    exemption = {
        "namespace": "shop", "container": "app", "rules": ["capabilities_baseline"],
        "owner": "alice", "reason": "it needs them", "expires": "2027-01-31",
    }  # fmt: skip
    policy = make_policy(exemptions=[exemption])
    many = simple_pod(containers=[adding(*["NET_RAW"] * 256)])
    assert decide(many, policy=policy).is_allowed
    hidden = simple_pod(containers=[adding(*["NET_RAW"] * 300), adding("SYS_ADMIN", name="b")])
    decision = decide(hidden, policy=policy)
    assert [one.breach.rule for one in decision.at("enforce")] == ["shape"]
    assert "more than 256 times" in answer(hidden, policy=policy)["status"]["message"]
    # Nor is it known from before what was not looked at then.
    before = simple_pod(containers=[adding(*["NET_RAW"] * 300), adding("CHOWN", name="b")])
    assert not decide(hidden, policy=policy, old=before).is_allowed
