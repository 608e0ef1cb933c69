"""The webhook says of pods what the exported admission policy says of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.posture.pods import pod_at
from ethogram.webhook.learnt import RULES, learnt_breaches, rule_name
from exporters.admission import exporter
from exporters.protocol import Options
from tests.admission import DIGEST, SELECTOR, make_admission_baseline
from tests.vap import bound, violations

pytestmark = pytest.mark.property

BASELINE = make_admission_baseline(
    "CAP_NET_BIND_SERVICE",
    files={"/etc/nginx/nginx.conf": "r"},
    host_paths=("/var/log",),
    host_ports=(8080,),
    runs_as=(101,),
    writes_root=False,
)
POLICY, _ = exporter().rules.policy(BASELINE, Options(settings={"bind-digest": "true"}))
assert POLICY is not None
PROFILES = POLICY.constants["profiles"]
BY_MESSAGE = {claim.message: claim.name for claim in POLICY.claims}


def maybe(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


PROFILE = st.sampled_from(
    [{"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": PROFILES[0]},
     {"type": "Localhost", "localhostProfile": "x.json"}]
)  # fmt: skip
USERS = {
    "runAsNonRoot": st.booleans(),
    "runAsUser": st.sampled_from([0, 1, 101]),
    "seccompProfile": PROFILE,
}
CONTEXT = maybe(
    privileged=st.booleans(),
    allowPrivilegeEscalation=st.booleans(),
    readOnlyRootFilesystem=st.booleans(),
    procMount=st.sampled_from(["Default", "Unmasked"]),
    capabilities=maybe(add=st.lists(st.sampled_from(["NET_BIND_SERVICE", "cap_net_bind_service",
                                                     "SYS_ADMIN", "ALL"]), max_size=2)),
    **USERS,
)  # fmt: skip
CONTAINER = st.fixed_dictionaries(
    {"image": st.sampled_from([f"nginx@{DIGEST}", "nginx:1", "nginx@sha256:" + "0" * 64])},
    optional={
        "securityContext": CONTEXT,
        "ports": st.lists(maybe(hostPort=st.sampled_from([0, 80, 8080])), max_size=2),
    },
)
VOLUME = st.one_of(
    st.just({"emptyDir": {}}),
    st.fixed_dictionaries(
        {"hostPath": st.fixed_dictionaries({"path": st.sampled_from(["/", "/var/log"])})}
    ),
)
LABELS = st.sampled_from([SELECTOR, {**SELECTOR, "more": "x"}, {"app": "checkout"}, {}])


def named(names: list[str], bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, **body} for name, body in zip(names, bodies, strict=False)]


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "containers": named(["nginx", "sidecar"], draw(st.lists(CONTAINER, min_size=1, max_size=2)))
    }
    if draw(st.booleans()):
        spec["ephemeralContainers"] = named(["debugger"], [draw(CONTAINER)])
    if draw(st.booleans()):
        spec["initContainers"] = named(["setup"], [draw(CONTAINER)])
    if draw(st.booleans()):
        spec["securityContext"] = draw(maybe(**USERS))
    spec["volumes"] = named(["a", "b"], draw(st.lists(VOLUME, max_size=2)))
    spec |= draw(maybe(hostPID=st.booleans(), hostNetwork=st.booleans()))
    return {"metadata": {"name": "checkout-1", "labels": draw(LABELS)}, "spec": spec}


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return a pod and what it was: nothing, something else, or much the same."""
    new = draw(pods())
    match draw(st.sampled_from(["created", "other", "joined", "grown"])):
        case "created":
            return new, None
        case "other":
            return new, draw(pods())
        case "joined":
            return new, {**new, "metadata": {**new["metadata"], "labels": draw(LABELS)}}
    spec = {key: value for key, value in new["spec"].items() if key != "ephemeralContainers"}
    return new, {**new, "spec": spec}


@settings(max_examples=60)
@given(changes())
def test_the_same_rules_are_broken(change: tuple[dict[str, Any], dict[str, Any] | None]) -> None:
    new, old = change
    data: dict[str, Any] = {"object": new, "oldObject": old}
    variables = [*POLICY.literals(), *POLICY.variables()]
    data["variables"] = bound(
        [{"name": one.name, "expression": one.expression} for one in variables], data
    )
    claims = [{"expression": one.expression, "message": one.message} for one in POLICY.claims]
    is_asked = any(
        SELECTOR.items() <= pod["metadata"]["labels"].items() for pod in (new, old) if pod
    )
    said = {BY_MESSAGE[text] for text in violations(claims, data)} if is_asked else set()
    found = list(learnt_breaches(POLICY, pod_at(new, ()), pod_at(old, ()) if old else None))
    assert {one.rule for one in found} == {rule_name(name) for name in said}


def test_every_rule_of_the_policy_is_one_of_ours() -> None:
    assert {claim.name for claim in POLICY.claims} == RULES.keys()
