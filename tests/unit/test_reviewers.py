"""Relaxing policies that others wrote, and files that are none."""

import pytest

from ethogram.contracts.policy_seccomp import verdict
from ethogram.errors import ExportError
from exporters.review.documents import dump, load
from exporters.review.protocol import Relaxing
from exporters.review.registry import reviewer_of

pytestmark = pytest.mark.unit


ONE = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}


def relaxed(*documents):
    found = reviewer_of(documents)
    assert isinstance(found, Relaxing)
    return found.relax(documents, reason="INC-1").documents


def cluster(kind, spec, api="kyverno.io/v1"):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec}


def test_a_profile_that_killed_traps_or_asks_only_logs():
    [profile] = relaxed(
        {
            "defaultAction": "SCMP_ACT_KILL_PROCESS",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64"],
            "listenerPath": "/run/x",
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "mine"},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [ONE]},
                {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
                {"names": ["bpf"], "action": "SCMP_ACT_TRAP"},
                {"names": ["ptrace"], "action": "SCMP_ACT_NOTIFY"},
            ],
        }
    )
    assert profile["defaultAction"] == "SCMP_ACT_LOG"
    assert [rule["names"] for rule in profile["syscalls"]] == [["read"], ["clone"]]
    assert profile["syscalls"][0]["comment"] == "mine"
    assert {"defaultErrnoRet", "listenerPath"}.isdisjoint(profile)
    for call in ("mount", "bpf", "ptrace", "clone"):
        assert verdict(profile, "x86_64", call).action == "SCMP_ACT_LOG"
    assert verdict(profile, "i386", "read").is_permitted  # killed where it is not listed
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def test_the_operators_profile_is_relaxed_in_its_spec():
    [found] = relaxed(cluster("SeccompProfile", {"defaultAction": "SCMP_ACT_ERRNO"}))
    assert found["spec"]["defaultAction"] == "SCMP_ACT_LOG"
    assert found["metadata"]["annotations"] == {"ethogram.dev/relaxed": "INC-1"}


def test_a_policy_that_denies_by_default_restricts_nobody():
    [cilium] = relaxed(cluster("CiliumNetworkPolicy", {"ingress": [], "egressDeny": [{}]}))
    assert cilium["spec"] == {
        "ingress": [],
        "enableDefaultDeny": {"ingress": False, "egress": False},
    }


def test_kyverno_reports():
    [new, old] = relaxed(
        cluster("ValidatingPolicy", {"validationActions": ["Deny"]}, "policies.kyverno.io/v1"),
        cluster(
            "ClusterPolicy",
            {
                "validationFailureAction": "Enforce",
                "rules": [{"name": "a", "validate": {"failureAction": "Enforce"}}, {"name": "b"}],
            },
        ),
    )
    assert new["spec"] == {"validationActions": ["Audit"], "failurePolicy": "Ignore"}
    assert old["spec"]["validationFailureAction"] == "Audit"
    assert old["spec"]["rules"][0]["validate"] == {"failureAction": "Audit"}


def test_gatekeeper_audits():
    template = cluster("ConstraintTemplate", {"targets": []}, "templates.gatekeeper.sh/v1")
    constraint = cluster("X", {"enforcementAction": "deny"}, "constraints.gatekeeper.sh/v1beta1")
    [same, audited] = relaxed(template, constraint)
    assert same == template
    assert audited["spec"]["enforcementAction"] == "dryrun"


def test_a_drop_in_becomes_comments_and_logs_what_it_refused():
    text = (
        "[Service]\nSystemCallFilter=\nSystemCallFilter=read write\nProtectHome=yes\n"
        'SystemCallFilter=~@clock:EPERM mount\nReadWritePaths="/a b" \\\n  /c\n# mine\n'
    )
    [found] = relaxed({"text": text})
    assert found["text"].splitlines() == [
        "# relaxed: INC-1", "[Service]", "#SystemCallFilter=", "#SystemCallFilter=read write",
        "#ProtectHome=yes", "#SystemCallFilter=~@clock:EPERM mount",
        '#ReadWritePaths="/a b" \\', "#  /c", "# mine",
        "SystemCallLog=@clock mount", "SystemCallLog=~read write",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"[1]", b"- a", b"\xff", b"{", b'{"a": 1, "a": 2}', b"a: &x 1\nb: *x",
        b"[" * 100_000, b"a: " * 100_000, b'{"a": NaN}', b"!!python/object:x {}",
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(content):
    with pytest.raises(ExportError, match="it is no policy"):
        load(content)


@pytest.mark.parametrize(
    "document",
    [
        {"defaultAction": 1},
        {"defaultAction": "SCMP_ACT_LOG", "syscalls": {}},
        {"defaultAction": "SCMP_ACT_LOG", "syscalls": [1]},
        {"kind": "SeccompProfile", "spec": []},
        {"kind": "NetworkPolicy", "spec": {"podSelector": []}},
        {"kind": "NetworkPolicy", "spec": {"podSelector": {"matchExpressions": 1}}},
        {"kind": "NetworkPolicy", "metadata": 1},
        {"kind": "CiliumNetworkPolicy", "spec": 1},
        {"kind": "ClusterPolicy", "apiVersion": "kyverno.io/v1", "spec": {"rules": [1]}},
    ],
)
def test_what_is_malformed_is_refused(document):
    with pytest.raises(ExportError, match="malformed"):
        relaxed(document)


def test_several_documents_are_written_and_read():
    documents = [{"kind": "A"}, {"kind": "B", "x": "no"}]
    assert load(dump(documents, "x.yaml")) == documents
