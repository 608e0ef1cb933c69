"""The Pod Security Standards: pods that each check allows and refuses, by version."""

from __future__ import annotations

import kubernetes_validate
import pytest

from ethogram.errors import UsageError
from ethogram.posture.pods import Pod, field_of, pod_at, shape_problems
from ethogram.posture.standards import (
    CHECKS,
    LATEST,
    Version,
    every_violation,
    version_of,
    violations,
)
from tests.posture import CASES, Case, make_pod

pytestmark = pytest.mark.unit

_SCHEMAS_BEGIN = (1, 25)


def _named(case: Case) -> str:
    word = "allowed" if case.is_allowed else "refused"
    return f"{case.check}-{word}-{case.since}-{case.until}"


def _versions(case: Case) -> list[Version]:
    (_, first), (_, last) = version_of(case.since), version_of(case.until)
    return [(1, minor) for minor in range(first, last + 1)]


def _asked(case: Case, version: Version) -> bool:
    """Return whether the check refuses the pod; those that another replaces are asked apart."""
    level = CHECKS[case.check].level
    found = violations(make_pod(case.change), level=level, version=version)
    return case.check in {one.check for one in found}


@pytest.mark.parametrize("case", CASES, ids=_named)
def test_a_check_allows_and_refuses_what_kubernetes_does(case: Case) -> None:
    assert [_asked(case, version) for version in _versions(case)] == [
        not case.is_allowed for _ in _versions(case)
    ]


@pytest.mark.parametrize("case", CASES, ids=_named)
def test_an_api_server_takes_the_pods_of_the_cases(case: Case) -> None:
    _, minor = max(_versions(case)[-1], _SCHEMAS_BEGIN)
    kubernetes_validate.validate(make_pod(case.change), f"1.{minor}", strict=True)


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_pods_for_and_against_it_in_the_newest_version(check: str) -> None:
    newest = [one for one in CASES if one.check == check and version_of(one.until) == LATEST]
    assert {one.is_allowed for one in newest} == {True, False}


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_pods_for_and_against_it_in_every_version_that_has_it(check: str) -> None:
    def told(minor: int) -> set[bool]:
        return {one.is_allowed for one in CASES if one.check == check and (1, minor) in
                _versions(one)}  # fmt: skip

    since = CHECKS[check].versions[0][0][1]
    found = {minor: told(minor) for minor in range(_SCHEMAS_BEGIN[1], LATEST[1] + 1)}
    assert found == {minor: {True, False} if minor >= since else {True} for minor in found}


# Of those that look at containers, one that is refused in each kind of them that may have it.
_ONE = {case.check: case for case in CASES if not case.is_allowed and case.until == "1.37"
        and case.change.keys() <= {"context", "container"}}  # fmt: skip
# An API server takes them nowhere else.
_IN_MAIN_ALONE = {"hostProbesAndHostLifecycle"}
_NOT_IN_EPHEMERAL = {*_IN_MAIN_ALONE, "hostPorts"}
_OF_THE_POD = {"hostNamespaces", "hostPathVolumes", "sysctls", "restrictedVolumes"}


def test_every_check_looks_at_containers_or_at_the_pod() -> None:
    assert set(CHECKS) == {*_ONE, *_OF_THE_POD}


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        *((check, "containers") for check in _ONE),
        *((check, "initContainers") for check in sorted(_ONE.keys() - _IN_MAIN_ALONE)),
        *((check, "ephemeralContainers") for check in sorted(_ONE.keys() - _NOT_IN_EPHEMERAL)),
    ],
)
def test_a_container_of_any_kind_is_refused_on_its_own(check: str, kind: str) -> None:
    pod, odd = make_pod(), make_pod(_ONE[check].change)
    pod["spec"][kind] = odd["spec"][kind]
    found = violations(pod, level=CHECKS[check].level, version=LATEST)
    assert {one.path[1] for one in found if one.check == check} == {kind}


def test_a_pod_that_restricted_allows_has_nothing_to_be_said_of() -> None:
    for minor in range(LATEST[1] + 1):
        assert violations(make_pod(), level="restricted", version=(1, minor)) == []


def test_a_violation_names_field_value_and_what_is_required() -> None:
    pod = make_pod({"context": {"privileged": True}, "ephemeralContainers": None})
    deployment = {"kind": "Deployment", "spec": {"template": pod}}
    first, _ = violations(deployment, level="baseline", at=("spec", "template"))
    assert (first.field, first.value, first.required) == (
        "spec.template.spec.containers[0].securityContext.privileged",
        True,
        "not set, or false",
    )
    assert first.container is not None
    assert (first.container.name, first.container.kind) == ("containers-0", "container")


def test_all_kinds_of_containers_are_looked_at() -> None:
    found = violations(make_pod({"context": {"privileged": True}}), level="baseline")
    kinds = [one.container.kind for one in found if one.container]
    assert kinds == ["container", "init", "ephemeral"]


def test_a_stricter_check_stands_for_the_one_that_it_replaces() -> None:
    pod = make_pod({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]})
    assert [one.check for one in violations(pod, level="baseline")] == ["hostPathVolumes"]
    assert [one.check for one in violations(pod, level="restricted")] == ["restrictedVolumes"]


def test_every_violation_tells_a_field_once_at_the_lowest_level() -> None:
    pod = make_pod({"volumes": [{"name": "a", "hostPath": {"path": "/"}}],
                    "context": {"capabilities": {"add": ["NET_RAW", "CHOWN"]}},
                    "initContainers": None, "ephemeralContainers": None})  # fmt: skip
    found = every_violation(pod_at(pod, ()), level="restricted")
    assert [(one.check, one.detail) for one in found] == [
        ("capabilities_baseline", "NET_RAW"),
        ("hostPathVolumes", ""),
        ("capabilities_restricted", "drop"),
        ("capabilities_restricted", "CHOWN"),
    ]
    assert every_violation(pod_at(pod, ()), level="privileged") == []


@pytest.mark.parametrize(
    ("text", "version"),
    [("v1.25", (1, 25)), ("1.33", (1, 33)), ("latest", LATEST), ("1.99", LATEST), ("2.0", LATEST)],
)
def test_a_version_is_read_as_an_api_server_does(text: str, version: Version) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize("text", ["", "1", "1.x", "1.25.3", "newest"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no version of Kubernetes"):
        version_of(text)


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": {"a": 1}},
        {"containers": ["text", None, 3]},
        {"containers": [{"name": 7, "securityContext": "none"}]},
        {"containers": [{"securityContext": {"capabilities": {"add": [{}, [], None], "drop": 1}}}]},
        {"containers": [{"livenessProbe": [], "lifecycle": 1, "ports": {}}], "volumes": ["x", 1]},
        {"securityContext": [], "containers": [{}], "os": "windows"},
        {"securityContext": {"sysctls": "all", "seccompProfile": "none"}, "containers": [{}]},
        {},
        "text",
        None,
    ],
)
def test_what_no_api_server_takes_is_told_and_breaks_nothing(spec: object) -> None:
    pod = pod_at({"spec": spec, "metadata": []}, ())
    every_violation(pod, level="restricted")
    assert list(shape_problems(pod)) or pod.spec["containers"] == [{}]


def test_a_pod_of_the_usual_shape_has_no_problem_of_shape() -> None:
    assert list(shape_problems(pod_at(make_pod(), ()))) == []


def test_a_value_of_a_wrong_type_is_no_way_around_a_check() -> None:
    spec = {"hostPID": "true", "containers": [{"securityContext": {"privileged": "yes"}}]}
    checks = {one.check for one in violations({"spec": spec}, level="baseline")}
    assert checks == {"hostNamespaces", "privileged"}


def test_keys_that_are_no_words_are_quoted_in_fields() -> None:
    assert field_of(("metadata", "annotations", "a/b.c", 0)) == "metadata.annotations['a/b.c'][0]"
    assert isinstance(pod_at({}, ()), Pod)
