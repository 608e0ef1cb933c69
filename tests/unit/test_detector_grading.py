"""Grades: how grave each kind of deviation is, which technique it has, what tempers it."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from detector.grading import Grade, grade, rule_of
from ethogram.contracts.baseline import (
    DIMENSIONS,
    VALUE_MODELS,
    AnyValue,
    CapabilityValue,
    DnsValue,
    ExecValue,
    FileValue,
    ListenValue,
    OperationValue,
    PeerIdentity,
    PeerValue,
    SyscallValue,
)
from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.finding import SEVERITIES, Attack, WorkloadState
from ethogram.contracts.syscall_names import name_of, number_of
from ethogram.contracts.tables import ENUMS
from ethogram.indicators.protocol import ATTACK_VERSION

pytestmark = pytest.mark.unit


def call(name: str, arch: str = "x86_64") -> SyscallValue:
    return SyscallValue.model_validate({"arch": arch, "name": name, "nr": number_of(arch, name)})


def peer(address: str, port: int | None = 443, **fields: Any) -> PeerValue:
    whole = {"direction": "out", "protocol": "tcp", "address": address, "port": port} | fields
    return PeerValue.model_validate(whole)


def file(path: str, access: str = "r") -> FileValue:
    return FileValue(path=path, access=access)


def techniques(graded: Grade) -> str:
    return " ".join(one.technique for one in graded.attack)


@pytest.mark.parametrize(
    ("value", "severity", "attack", "title"),
    [
        # calls
        (call("getppid"), "low", "T1106", "System call"),
        (call("ptrace"), "medium", "T1055.008", "that services hardly need"),
        (call("unshare"), "medium", "T1611", "that services hardly need"),
        (call("bpf"), "medium", "T1014", "that services hardly need"),
        (call("init_module"), "medium", "T1547.006", "that services hardly need"),
        (call("read", "i386"), "low", "T1106", "System call"),
        (SyscallValue(arch="x32", nr=3), "medium", "T1106", "x32"),
        (SyscallValue(arch="x86_64", nr=4000), "low", "T1106", "System call"),
        # executables
        (ExecValue(path="/usr/bin/curl"), "medium", "T1059", "Executable"),
        (ExecValue(path="/bin/sh"), "medium", "T1059.004", "Shell"),
        (ExecValue(path="/bin/busybox"), "medium", "T1059.004", "Shell"),
        (ExecValue(path="/usr/bin/python3.11"), "medium", "T1059.006", "Interpreter"),
        (ExecValue(path="/usr/bin/node"), "medium", "T1059.007", "Interpreter"),
        (ExecValue(path="/usr/bin/perl"), "medium", "T1059", "Interpreter"),
        (ExecValue(path="/usr/bin/shred"), "medium", "T1059", "Executable"),
        (ExecValue(path="/bin/sh", upper=True), "high", "T1105 T1059", "not the image's"),
        (ExecValue(path="/dev/shm/x"), "high", "T1059", "temporary directory"),
        (ExecValue(path="/memfd:x"), "high", "T1620", "in memory"),
        # peers
        (peer("203.0.113.7"), "medium", "T1071.001", "Peer"),
        (peer("203.0.113.7", 6667), "medium", "T1071", "Peer"),
        (peer("203.0.113.7", None), "medium", "T1071", "Peer"),
        (peer("203.0.113.7", 53, protocol="udp"), "medium", "T1071.004", "Peer"),
        (peer("203.0.113.7", 80, direction="in"), "low", "T1190", "Client"),
        (peer("169.254.169.254", 80), "high", "T1552.005", "metadata"),
        (peer("127.0.0.1", 6379), "low", "T1071", "loopback"),
        (peer("::1", 6379), "low", "T1071", "loopback"),
        (peer("/run/docker.sock", None, protocol="unix"), "high", "T1611", "container runtime"),
        (peer("/run/containerd/containerd.sock", None, protocol="unix"), "high", "T1611", ""),
        (peer("/run/app.sock", None, protocol="unix"), "low", "T1559", "UNIX socket"),
        (peer("", None, protocol="packet"), "medium", "T1040", "Raw packets"),
        (peer("", None, protocol="netlink"), "low", "T1016", "Kernel socket"),
        (
            peer("10.96.0.1", identity=PeerIdentity(kind="apiserver", name="kubernetes")),
            "medium", "T1613", "Kubernetes API",
        ),
        # sockets
        (ListenValue(protocol="tcp", address="0.0.0.0", port=4444), "medium", "T1571", "port"),
        (ListenValue(protocol="udp", address="0.0.0.0", port=None), "low", "T1571", "bound"),
        (ListenValue(protocol="unix", address="/run/x.sock"), "low", "T1559", "Local socket"),
        (ListenValue(protocol="packet", address=""), "medium", "T1040", "Raw packets"),
        (ListenValue(protocol="family-44", address=""), "medium", "T1040", "Raw packets"),
        (ListenValue(protocol="raw-icmp", address="0.0.0.0"), "medium", "T1040 T1095", "Raw"),
        (ListenValue(protocol="netlink", address="route"), "low", "T1016", "Kernel socket"),
        (ListenValue(protocol="family-38", address=""), "low", "T1016", "Kernel socket"),
        # names
        (DnsValue(name="evil.example.com"), "medium", "T1071.004", "Name asked for"),
        (DnsValue(name="db.shop.svc.cluster.local"), "low", "T1071.004", "Local name"),
        (DnsValue(name="db"), "low", "T1071.004", "Local name"),
        (DnsValue(name="7.113.0.203.in-addr.arpa"), "low", "T1071.004", "Local name"),
        (DnsValue(name=f"{'a' * 60}.evil.example"), "medium", "T1071.004 T1048", "Long name"),
        (DnsValue(name=""), "low", "T1071.004", "Local name"),
        # privileges
        (CapabilityValue(name="CAP_SETUID"), "medium", "T1548", "Capability"),
        (CapabilityValue(name="CAP_DAC_OVERRIDE"), "low", "T1548", "Capability"),
        (CapabilityValue(name="CAP_SYS_ADMIN"), "high", "T1611 T1548", "Powerful capability"),
        (OperationValue(operation="mount", target="/x"), "high", "T1611", "Privileged"),
        (OperationValue(operation="unshare"), "medium", "T1611", "Privileged"),
        (OperationValue(operation="ptrace"), "high", "T1055.008", "Privileged"),
        (OperationValue(operation="set_user"), "medium", "T1548", "Privileged"),
        (OperationValue(operation="no_new_privs"), "info", "", "Privileged"),
        (OperationValue(operation="of-the-future"), "medium", "T1548", "Privileged"),
    ],
)  # fmt: skip
def test_the_value_decides(value: AnyValue, severity: str, attack: str, title: str) -> None:
    graded = grade(value)
    assert (graded.severity, techniques(graded)) == (severity, attack)
    assert title in graded.title
    assert graded.reason


@pytest.mark.parametrize(
    ("path", "access", "severity", "attack"),
    [
        ("/srv/data", "r", "low", "T1005"),
        ("/srv/data", "", "low", "T1083"),
        ("/srv/data", "x", "low", "T1059"),
        ("/srv/data", "w", "medium", "T1565.001"),
        ("/srv/data", "rwc", "medium", "T1565.001"),
        ("/srv/data", "t", "medium", "T1565.001"),
        ("/tmp/x", "wct", "low", "T1074.001"),
        ("/etc/cron.d/x", "wc", "high", "T1053.003"),
        ("/etc/cron.d/x", "r", "low", "T1005"),
        ("/var/spool/cron/crontabs/root", "w", "high", "T1053.003"),
        ("/host/etc/crontab", "a", "high", "T1053.003"),
        ("/etc/systemd/system/x.service", "wc", "high", "T1543.002"),
        ("/root/.ssh/authorized_keys", "a", "high", "T1098.004"),
        ("/root/.ssh/id_ed25519", "r", "medium", "T1552.004"),
        ("/root/.bashrc", "a", "high", "T1546.004"),
        ("/root/.bash_history", "t", "medium", "T1685.006 T1070.002 T1070.003"),
        ("/etc/profile.d/x.sh", "w", "high", "T1546.004"),
        ("/etc/ld.so.preload", "wc", "high", "T1574.006"),
        ("/etc/ld.so.cache", "r", "low", "T1005"),
        ("/etc/passwd", "w", "high", "T1136.001 T1098"),
        ("/etc/passwd", "r", "low", "T1005"),
        ("/etc/shadow", "r", "medium", "T1003.008"),
        ("/etc/sudoers.d/x", "w", "high", "T1548.003"),
        ("/etc/pam.d/sshd", "w", "high", "T1556.003"),
        ("/usr/bin/ls", "wt", "high", "T1554"),
        ("/usr/bin/ls", "r", "low", "T1005"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "w", "high", "T1554"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "rx", "low", "T1059"),
        ("/var/log/nginx/access.log", "wa", "medium", "T1565.001"),
        ("/var/log/nginx/access.log", "wt", "medium", "T1685.006 T1070.002 T1070.003"),
        ("/proc/sys/kernel/core_pattern", "w", "high", "T1611"),
        ("/proc/sys/kernel/core_pattern", "r", "low", "T1005"),
        ("/sys/fs/cgroup/rdma/release_agent", "w", "high", "T1611"),
        ("/proc/1/root/etc/hostname", "r", "high", "T1611"),
        ("/dev/sda1", "r", "high", "T1006 T1611"),
        ("/dev/null", "w", "info", "T1005"),
        ("/proc/17/mem", "rw", "high", "T1055.009"),
        ("/proc/17/mem", "r", "medium", "T1003.007"),
        ("/proc/17/environ", "r", "medium", "T1552"),
        ("/proc/17/status", "r", "low", "T1005"),
        ("/run/secrets/kubernetes.io/serviceaccount/..data/token", "r", "medium", "T1528"),
        ("/root/.aws/credentials", "r", "medium", "T1552.001"),
        (r"/srv/\x1b[2J\x2a", "r", "low", "T1005"),
    ],
)
def test_a_file_is_graded_by_its_path_and_how_it_was_opened(
    path: str, access: str, severity: str, attack: str
) -> None:
    graded = grade(file(path, access))
    assert (graded.severity, techniques(graded)) == (severity, attack)


HIGH, MEDIUM = ExecValue(path="/tmp/x"), ExecValue(path="/bin/sh")
LOW, INFO = call("getppid"), OperationValue(operation="seccomp")


@pytest.mark.parametrize(
    ("state", "severities", "words"),
    [
        ("ok", ["high", "medium", "low", "info"], None),
        ("degraded", ["high", "medium", "low", "info"], None),
        ("blind", ["high", "medium", "low", "info"], None),
        ("learning", ["medium", "low", "low", "info"], "one step down"),
        ("rollout", ["high", "low", "low", "info"], "low at most"),
    ],
)
def test_the_state_tempers_and_the_reason_says_so(
    state: WorkloadState, severities: list[str], words: str | None
) -> None:
    graded = [grade(value, state) for value in (HIGH, MEDIUM, LOW, INFO)]
    assert [one.severity for one in graded] == severities
    if words is None:
        assert [one.reason for one in graded] == [
            grade(v).reason for v in (HIGH, MEDIUM, LOW, INFO)
        ]
    else:
        assert words in graded[1].reason
    assert graded[0].attack == grade(HIGH).attack


@pytest.mark.parametrize("state", ["rollout", "learning"])
def test_a_state_says_so_only_where_it_changes_something(state: WorkloadState) -> None:
    assert grade(LOW, state) == grade(LOW)


@pytest.mark.parametrize(
    ("phase", "words"), [("startup", "is starting"), ("exec", "a session that entered")]
)
def test_a_start_and_a_session_are_graded_down_but_for_what_is_grave(
    phase: str, words: str
) -> None:
    graded = [grade(value, phase=phase) for value in (HIGH, MEDIUM, LOW, INFO)]
    assert [one.severity for one in graded] == ["high", "low", "low", "info"]
    assert words in graded[1].reason
    assert graded[0].reason == grade(HIGH).reason
    assert grade(HIGH, "learning", phase=phase).severity == "medium"


def test_what_was_refused_is_one_step_less_grave_and_never_less_than_low() -> None:
    graded = [grade(value, granted=False) for value in (HIGH, MEDIUM, LOW)]
    assert [one.severity for one in graded] == ["medium", "low", "low"]
    assert all("tried and refused" in one.reason for one in graded)


def test_every_system_call_has_a_grade_and_none_is_above_medium() -> None:
    for nr in range(600):
        value = SyscallValue(arch="x86_64", name=name_of("x86_64", nr), nr=nr)
        assert grade(value).severity in {"low", "medium"}


def test_every_operation_and_capability_has_a_grade_of_its_own_words() -> None:
    words = {
        grade(OperationValue(operation=name)).reason
        for name in ENUMS["operation"]
        if name != "capability"
    }
    assert not any("it needs privilege" in reason for reason in words)
    for name in CAPABILITIES:
        assert grade(CapabilityValue(name=name)).severity in {"low", "medium", "high"}


def test_techniques_are_those_of_the_catalogue_in_use() -> None:
    for value in (HIGH, LOW, file("/etc/passwd", "w")):
        for one in grade(value).attack:
            assert Attack(technique=one.technique, version=one.version).version == ATTACK_VERSION


def test_severities_are_words_of_a_finding() -> None:
    for state in get_args(WorkloadState):
        assert grade(MEDIUM, state).severity in SEVERITIES


def test_each_dimension_has_a_rule_of_its_own() -> None:
    assert [rule_of(dimension) for dimension in DIMENSIONS] == [
        "deviation-syscalls", "deviation-execs", "deviation-files", "deviation-peers",
        "deviation-listens", "deviation-dns", "deviation-capabilities", "deviation-operations",
    ]  # fmt: skip
    assert set(DIMENSIONS) == set(VALUE_MODELS)
