"""What a seccomp profile decides, as libseccomp would."""

import pytest

from ethogram.contracts.policy_seccomp import Verdict, allows, verdict
from ethogram.errors import ExportError

pytestmark = pytest.mark.unit

PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}],
        },
    ],
}


@pytest.mark.parametrize(
    ("arch", "name", "expected"),
    [
        ("x86_64", "read", Verdict("SCMP_ACT_ALLOW")),
        ("i386", "write", Verdict("SCMP_ACT_ALLOW")),
        ("x86_64", "mount", Verdict("SCMP_ACT_ERRNO", 1)),
        ("x86_64", "bpf", Verdict("SCMP_ACT_ERRNO", 13)),
        ("x86_64", "ptrace", Verdict("SCMP_ACT_ERRNO", 38)),
        ("x86_64", "socket", Verdict("SCMP_ACT_ERRNO", 38)),
        ("x32", "read", Verdict("SCMP_ACT_KILL")),
    ],
)
def test_a_call_gets_the_answer_of_its_rule(arch, name, expected):
    assert verdict(PROFILE, arch, name) == expected
    assert allows(PROFILE, arch, name) == (expected.action == "SCMP_ACT_ALLOW")


def test_a_call_that_is_only_logged_goes_through():
    profile = PROFILE | {"defaultAction": "SCMP_ACT_LOG"}
    assert verdict(profile, "x86_64", "ptrace") == Verdict("SCMP_ACT_LOG")
    assert allows(profile, "x86_64", "ptrace")


def test_an_unlisted_architecture_is_killed_even_where_the_default_is_to_log():
    profile = {"defaultAction": "SCMP_ACT_LOG", "syscalls": []}
    assert not allows(profile, "i386", "read")
    assert allows(profile, "x86_64", "read")
    assert allows(profile, "aarch64", "read")


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"defaultAction": 5},
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": "ENOSYS"},
        {"defaultAction": "SCMP_ACT_LOG", "syscalls": {}},
        {"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": [], "action": "x"}]},
        {"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"name": "read", "action": "x"}]},
        {"defaultAction": "SCMP_ACT_LOG", "syscalls": ["read"]},
    ],
)
def test_a_malformed_profile_is_refused(profile):
    with pytest.raises(ExportError, match="malformed"):
        verdict(profile, "x86_64", "read")
