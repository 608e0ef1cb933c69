"""What a seccomp profile decides, as libseccomp would."""

import pytest

from ethogram.contracts.policy_seccomp import Host, Verdict, allows, read_profile, verdict
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
        ("x86_64", "socket", Verdict("SCMP_ACT_ERRNO", 38, is_certain=False)),
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


def filtered(*args, default="SCMP_ACT_ERRNO", action="SCMP_ACT_ALLOW"):
    entry = {"names": ["socket"], "action": action, "args": list(args)}
    return {"defaultAction": default, "architectures": ["SCMP_ARCH_X86"], "syscalls": [entry]}


def equal(index, value):
    return {"index": index, "op": "SCMP_CMP_EQ", "value": value}


def masked(index, mask, value):
    return {"index": index, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value}


@pytest.mark.parametrize(
    ("args", "arguments", "is_allowed"),
    [
        ([equal(0, 2)], {0: 2}, True),
        ([equal(0, 2)], {0: 10}, False),
        ([equal(0, 2), equal(1, 1)], {0: 2, 1: 1}, True),
        ([equal(0, 2), equal(1, 1)], {0: 2, 1: 3}, False),
        # Two comparisons of one argument are alternatives, and so is everything beside them.
        ([equal(0, 2), equal(0, 10)], {0: 10}, True),
        ([equal(0, 2), equal(0, 10), equal(1, 1)], {0: 16, 1: 1}, True),
        # A C library leaves what it likes in the upper half of an int's register.
        ([equal(0, 2)], {0: 2 + (1 << 32)}, False),
        ([masked(0, 0xFFFFFFFF, 2)], {0: 2 + (1 << 32)}, True),
    ],
)
def test_arguments_decide(args, arguments, is_allowed):
    answer = verdict(filtered(*args), "x86_64", "socket", arguments)
    assert (answer.is_permitted, answer.is_certain) == (is_allowed, True)


def test_a_32_bit_call_has_32_bits_to_compare():
    assert allows(filtered(equal(0, 2 + (1 << 32))), "i386", "socket", {0: 2})


def test_an_argument_that_nobody_told_leaves_the_strictest_answer_uncertain():
    assert verdict(filtered(equal(0, 2)), "x86_64", "socket") == Verdict(
        "SCMP_ACT_ERRNO", 1, is_certain=False
    )
    refusing = filtered(equal(0, 2), default="SCMP_ACT_LOG", action="SCMP_ACT_KILL_PROCESS")
    assert verdict(refusing, "x86_64", "socket") == Verdict(
        "SCMP_ACT_KILL_PROCESS", is_certain=False
    )


def test_an_unconditional_rule_stands_whatever_is_beside_it():
    profile = filtered(equal(0, 2))
    profile["syscalls"].append({"names": ["socket"], "action": "SCMP_ACT_TRAP"})
    assert verdict(profile, "x86_64", "socket", {0: 2}) == Verdict("SCMP_ACT_TRAP")


MOBY = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ],
    "syscalls": [
        {"name": "read", "action": "SCMP_ACT_ALLOW", "comment": "what a person wrote"},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    ],
}


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (Host(), {"read", "chroot", "arch_prctl", "ptrace"}),
        (Host(machine="aarch64"), {"read", "chroot", "ptrace"}),
        (Host(kernel=(4, 4)), {"read", "chroot", "arch_prctl"}),
        (
            Host(capabilities=frozenset({"CAP_SYS_ADMIN"})),
            {"read", "mount", "bpf", "arch_prctl", "ptrace"},
        ),
    ],
)
def test_conditions_are_those_of_the_host(host, allowed):
    profile = read_profile(MOBY, host)
    names = {"read", "mount", "chroot", "bpf", "arch_prctl", "ptrace"}
    assert {name for name in names if allows(profile, host.machine, name)} == allowed
    assert profile.architectures == (
        {"x86_64", "i386"} if host.machine == "x86_64" else {"aarch64", "arm"}
    )


def test_podman_names_its_errno():
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "ENOSYS"}
    assert verdict(profile, "x86_64", "read") == Verdict("SCMP_ACT_ERRNO", 38)


def operators(**spec):
    group = "security-profiles-operator.x-k8s.io/v1beta1"
    return {"apiVersion": group, "kind": "SeccompProfile", "spec": {**PROFILE, **spec}}


def test_an_object_of_the_operator_is_read_by_its_spec():
    rule = {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": "13"}
    assert verdict(operators(syscalls=[rule]), "x86_64", "mount").errno == 13
    with pytest.raises(ExportError, match="`baseProfileName` is `runc`"):
        read_profile(operators(baseProfileName="runc"))
    with pytest.raises(ExportError, match="no SeccompProfile"):
        read_profile({"apiVersion": "v1", "kind": "Pod"})


def one(**entry):
    return {
        "defaultAction": "SCMP_ACT_LOG",
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"} | entry],
    }


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ([], "no object"),
        ({}, "`defaultAction`"),
        ({"defaultAction": 5}, "`defaultAction`"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": "ENOSYS"}, "`defaultErrnoRet`"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EVIL"}, "`defaultErrno`"),
        ({"defaultAction": "SCMP_ACT_LOG", "syscalls": {}}, "`syscalls`"),
        ({"defaultAction": "SCMP_ACT_LOG", "syscalls": ["read"]}, r"`syscalls\[0\]`"),
        ({"defaultAction": "SCMP_ACT_LOG", "architectures": ["ARM64"]}, "`architectures`"),
        (MOBY | {"architectures": ["SCMP_ARCH_X86"]}, "`archMap`"),
        (one(names=[]), r"`syscalls\[0\].names`"),
        (one(names=[{}]), r"`syscalls\[0\].names`"),
        (one(name="write"), r"`syscalls\[0\].name`"),
        (one(action="SCMP_ACT_BLESS"), r"`syscalls\[0\].action`"),
        (one(action="SCMP_ACT_ERRNO", errnoRet=4096), r"`syscalls\[0\].errnoRet`"),
        (one(action="SCMP_ACT_ERRNO", errnoRet=True), r"`syscalls\[0\].errnoRet`"),
        (one(args=[equal(0, 1)] * 7), r"`syscalls\[0\].args`"),
        (one(args=[equal(6, 1)]), r"args\[0\].index`"),
        (one(args=[equal(0, 1.0)]), r"args\[0\].value`"),
        (one(args=[equal(0, 1 << 64)]), r"args\[0\].value`"),
        (one(args=[{"index": 0, "op": "=="}]), r"args\[0\].op`"),
        (one(includes=["amd64"]), r"`syscalls\[0\].includes`"),
        (one(includes={"caps": [[]]}), r"includes.caps`"),
        (one(excludes={"minKernel": "new"}), r"minKernel`"),
    ],
)
def test_a_malformed_profile_is_refused_by_the_name_of_the_field(profile, field):
    with pytest.raises(ExportError, match=field) as error:
        read_profile(profile)
    assert error.value.message.isprintable()
