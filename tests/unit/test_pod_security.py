"""Which level of the Pod Security Standards a behaviour is within."""

import pytest

from exporters.admission_privileged import privilege_of
from exporters.pod_security import VERSION, namespace_findings, pod_security
from tests.admission import EVERY_CAPABILITY, capability_rule, export, make_admission_baseline

pytestmark = pytest.mark.unit

KNOWN = {"runs_as": (101,), "writes_root": False, "host_paths": (), "host_ports": ()}
RESTRICTED = make_admission_baseline("CAP_NET_BIND_SERVICE", **KNOWN)


def level(*capabilities, **fields):
    baseline = make_admission_baseline(*capabilities, **(KNOWN | fields))
    return pod_security(baseline, privilege_of(baseline, frozenset())).level


def test_a_service_that_asks_for_nothing_is_restricted():
    assert level() == level("CAP_NET_BIND_SERVICE") == "restricted"
    # What only the runtime used before the entrypoint is not the workload's.
    assert level(capability_rule("CAP_SYS_ADMIN", "runtime")) == "restricted"


@pytest.mark.parametrize(
    "fields",
    [
        {"runs_as": (0, 101)},
        {"runs_as": None},
        {"privileges_gained": True},
        {"privileges_gained": None},
    ],
)
def test_who_runs_as_root_or_may_have_gained_privileges_is_not(fields):
    assert level(**fields) == "baseline"


@pytest.mark.parametrize("name", ["CAP_CHOWN", "CAP_NET_RAW", "CAP_SETUID"])
def test_capabilities_that_containers_have_anyway_are_of_the_baseline(name):
    assert level(name) == "baseline"


@pytest.mark.parametrize(
    "fields",
    [
        {"host_namespaces": ("net", "user")},
        {"host_paths": ("/var/log",)},
        {"host_ports": (80,)},
        {"files": {"/dev/sda": "r"}, "bounding": EVERY_CAPABILITY},
    ],
)
def test_what_is_the_hosts_is_of_no_level(fields):
    assert level(**fields) == "privileged"
    assert level("CAP_SYS_PTRACE") == "privileged"


def test_no_new_privileges_are_as_good_as_none_gained():
    assert level(privileges_gained=None, no_new_privs=True) == "restricted"


def test_what_is_not_known_is_said():
    baseline = make_admission_baseline(runs_as=(101,))
    (finding,) = pod_security(baseline, privilege_of(baseline, frozenset())).findings()
    assert "not known is what its pods mounted and which ports" in finding.message
    assert "`restricted` (v1.37)" in finding.message


@pytest.mark.parametrize("target", ["admission", "kyverno"])
def test_the_level_is_an_annotation(target):
    documents, _ = export(RESTRICTED, target=target)
    annotations = documents[0]["metadata"]["annotations"]
    assert annotations["ethogram.dev/pod-security"] == "restricted"
    assert annotations["ethogram.dev/pod-security-version"] == VERSION
    constraint = export(RESTRICTED, target="gatekeeper")[0][1]
    assert constraint["metadata"]["annotations"]["ethogram.dev/pod-security"] == "restricted"


def test_a_namespace_has_the_level_of_its_weakest_once():
    cart = make_admission_baseline("CAP_CHOWN", subject={"name": "cart"}, **KNOWN)
    there = make_admission_baseline("CAP_SYS_ADMIN", subject={"namespace": "other"}, **KNOWN)
    every = [RESTRICTED, there, cart]
    (finding,) = namespace_findings(RESTRICTED, every)
    assert "all 2" in finding.message
    assert "pod-security.kubernetes.io/warn=baseline" in finding.hint
    assert f"pod-security.kubernetes.io/warn-version={VERSION}" in finding.hint
    assert list(namespace_findings(cart, every)) == []
    assert list(namespace_findings(there, every)) == []
    (alone,) = namespace_findings(RESTRICTED, [RESTRICTED])
    assert "the one" in alone.message
