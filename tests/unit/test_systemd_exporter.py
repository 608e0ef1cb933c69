"""A drop-in refuses what a unit never did, and leaves out what nobody knows."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.argument_models import ArgumentValue, CallArguments
from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.policy_systemd import parse_drop_in
from ethogram.errors import ExportError, UsageError
from exporters.systemd_groups import load_groups
from exporters.systemd_paths import quoted
from tests.admission import capability_rule
from tests.baselines import syscall_rule
from tests.systemd import GROUPS, UNIT, drop_in, export, make_unit, said
from tools.measure_systemd_groups import expanded, parse_groups

pytestmark = pytest.mark.unit

TCP = {"protocol": "tcp", "address": "0.0.0.0", "port": 80}
EVERYTHING = {
    "calls": ("read", "mount", "setuid", syscall_rule("openat", arch="i386")),
    "files": {
        "/var/lib/a b/x": "rw", "/var/log/q\"u\\x5co/y": "wc", "/srv/50%/z": "wa", "/run/s": "nd",
        "/opt/\\xff/deep/f": "w", "/tmp/é/g": "w", "/dev/kvm": "rw", "/root/.cfg": "r",
        "/proc/sys/vm/x": "w",
    },
    "listens": (TCP, {"protocol": "udp", "address": "::", "port": 53}),
    "operations": ("unshare", "chmod_set_id"),
}  # fmt: skip


def analyze(tmp_path: Path, artifact: Any, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `systemd-analyze` of the drop-in for a service that does nothing."""
    unit = tmp_path / "web.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    place = tmp_path / artifact.installs_as
    place.parent.mkdir()
    place.write_bytes(artifact.content)
    return subprocess.run(
        ["systemd-analyze", *words, unit], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("enforce", [False, True])
@pytest.mark.parametrize("how", ["deny", "allow"])
@pytest.mark.parametrize("fields", [{}, EVERYTHING], ids=["quiet", "everything"])
def test_systemd_takes_every_line(
    tmp_path: Path, fields: dict[str, Any], how: str, enforce: bool
) -> None:
    baseline = make_unit(*sorted(CAPABILITIES)[:3], **fields)
    (artifact,), _ = export(baseline, f"filter={how}", enforce=enforce)
    done = analyze(tmp_path, artifact, "verify")
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_have_said_what_it_does_not_take(tmp_path: Path) -> None:
    (artifact,), _ = export(make_unit())
    wrong = artifact.content.replace(b"ProtectSystem=strict", b"ProtectSystem=tight")
    object.__setattr__(artifact, "content", wrong)
    assert "protect system value" in analyze(tmp_path, artifact, "verify").stderr


def test_a_quiet_unit_is_hardly_exposed_any_more(tmp_path: Path) -> None:
    (artifact,), _ = export(make_unit())
    done = analyze(tmp_path, artifact, "security", "--offline=true", "--threshold=20")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("enforce", [False, True])
def test_without_enforcing_only_what_logs_is_in_force(enforce: bool) -> None:
    (artifact,), findings = export(make_unit(), enforce=enforce)
    policy = parse_drop_in(artifact.content.decode())
    assert (set(policy.settings) == {"SystemCallLog"}) is not enforce
    assert ("SystemCallLog" in policy.settings) is not enforce
    assert any("stand in the drop-in as comments" in one.message for one in findings) is not enforce


def test_groups_of_which_a_call_was_made_are_not_refused() -> None:
    policy = drop_in(calls=("read", "mount"))
    refused = policy.settings["SystemCallFilter"][0].removeprefix("~").split()
    assert "@reboot" in refused
    assert "@swap" in refused
    assert not {"@mount", "@file-system", "@default", "@process"} & set(refused)
    assert policy.allows_call("mount", GROUPS)
    assert not policy.allows_call("reboot", GROUPS)


def test_what_only_came_before_the_unit_ran_is_refused() -> None:
    assert not drop_in(calls=("read", syscall_rule("mount", phases=["runtime"]))).allows_call(
        "mount", GROUPS
    )


def test_a_list_of_allowed_calls_begins_anew_and_allows_the_start() -> None:
    policy = drop_in(calls=("read", "setuid"), settings=["filter=allow"])
    assert policy.settings["SystemCallErrorNumber"] == ("ENOSYS",)
    assert all(
        policy.allows_call(name, GROUPS)
        for name in ("read", "setuid", "execve", "close", "exit_group", "rt_sigreturn")
    )
    assert not policy.allows_call("openat", GROUPS)
    (artifact,), _ = export(make_unit(), "filter=allow")
    assert b"SystemCallFilter=\nSystemCallFilter=@default " in artifact.content


def test_a_call_that_systemd_does_not_know_is_a_loss_of_a_list_of_allowed_ones() -> None:
    unknown = make_unit(calls=("read", "mseal", syscall_rule(None, nr=999)))
    assert "loss" not in said(unknown)
    assert "does not know mseal" in said(unknown, "filter=allow")
    assert "loss: call 999 of x86_64 has no name here" in said(unknown, "filter=allow")


def test_other_architectures_are_named_beside_the_machines_own() -> None:
    calls = ("read", syscall_rule("openat", arch="i386"), syscall_rule("read", arch="aarch64"))
    assert drop_in().settings["SystemCallArchitectures"] == ("native",)
    assert drop_in(calls=calls).settings["SystemCallArchitectures"] == ("native x86",)


def arguments(call: str, index: int, *values: int, others: bool = False) -> CallArguments:
    told = tuple(
        ArgumentValue.model_validate({"value": value, "calls": 1, "phases": ["steady"]})
        for value in values
    )
    return CallArguments(arch="x86_64", name=call, index=index, others=others, values=told)


def test_families_are_a_list_where_every_socket_is_known() -> None:
    calls = ("read", "socket")
    known = drop_in(calls=calls, arguments=(arguments("socket", 0, 2, 10),))
    assert known.settings["RestrictAddressFamilies"] == ("AF_INET AF_INET6 AF_UNIX",)
    none = drop_in(calls=("read",), arguments=())
    assert none.settings["RestrictAddressFamilies"] == ("AF_UNIX",)
    for told in (None, (), (arguments("socket", 0, 2, others=True),)):
        policy = drop_in(calls=calls, arguments=told)
        assert policy.allows_family("AF_INET6")
        assert not policy.allows_family("AF_ALG")
        assert policy.settings["RestrictAddressFamilies"][0].startswith("~")


def test_a_family_that_was_used_is_allowed() -> None:
    netlink = {"protocol": "netlink", "address": "route"}
    assert drop_in(calls=("socket",), listens=[netlink]).allows_family("AF_NETLINK")
    assert not drop_in(calls=("socket",)).allows_family("AF_NETLINK")
    odd = [{"protocol": "family-45", "address": ""}]
    assert "RestrictAddressFamilies" not in drop_in(calls=("socket",), listens=odd).settings


def test_the_network_is_private_where_no_socket_of_it_was_made() -> None:
    assert "PrivateNetwork" in drop_in().settings
    assert "PrivateNetwork" not in drop_in(calls=("socket",)).settings
    unix = (arguments("socket", 0, 1),)
    assert "PrivateNetwork" in drop_in(calls=("socket",), arguments=unix).settings
    abstract = [{"protocol": "unix", "address": "\\x00x"}]
    assert "PrivateNetwork" not in drop_in(listens=abstract).settings


def test_only_ports_that_were_bound_can_be() -> None:
    policy = drop_in(calls=("socket",), listens=[TCP])
    assert policy.allows_bind("tcp", 80)
    assert not policy.allows_bind("tcp", 81)
    assert not policy.allows_bind("udp", 80)


@pytest.mark.parametrize("socket", [{"protocol": "udp", "address": ""}, TCP | {"protocol": "sctp"}])
def test_ports_of_the_kernels_choice_leave_all_open(socket: dict[str, Any]) -> None:
    policy = drop_in(calls=("socket",), listens=[TCP, socket])
    assert "SocketBindDeny" not in policy.settings
    assert "SocketBindAllow" not in policy.settings


def test_capabilities_are_those_that_were_used() -> None:
    policy = drop_in("CAP_CHOWN", capability_rule("CAP_SETUID", "runtime"))
    assert policy.settings["CapabilityBoundingSet"] == ("CAP_CHOWN",)
    assert policy.settings["AmbientCapabilities"] == ("CAP_CHOWN",)
    assert drop_in().settings["CapabilityBoundingSet"] == ()


@pytest.mark.parametrize("users", [(0,), (0, 33), None])
def test_ambient_capabilities_stay_where_root_may_have_needed_them(users: Any) -> None:
    assert "AmbientCapabilities" not in drop_in("CAP_CHOWN", runs_as=users).settings
    assert "`AmbientCapabilities` is left" in said(make_unit("CAP_CHOWN", runs_as=users))


@pytest.mark.parametrize("gained", [True, None])
def test_filters_are_left_out_where_they_would_stop_a_set_user_id_program(gained: Any) -> None:
    policy = drop_in(privileges_gained=gained)
    assert not {"NoNewPrivileges", "SystemCallFilter", "RestrictRealtime"} & set(policy.settings)
    assert "ProtectSystem" in policy.settings
    root = drop_in(privileges_gained=gained, runs_as=(0,))
    assert "NoNewPrivileges" not in root.settings
    assert "SystemCallFilter" in root.settings


@pytest.mark.parametrize(
    ("files", "level", "writable"),
    [
        ({"/etc/a": "r"}, "strict", []),
        ({"/var/a/x": "w", "/var/a/b/y": "c", "/proc/self/x": "w"}, "strict", ["/var/a"]),
        ({"/var/lib/*/x": "w"}, "strict", ["/var/lib"]),
        ({"/var/lib/a/x": "nd", "/var/lib/b/y": "n"}, "strict", ["/var/lib"]),
        ({"/var/lib/a/x": "n", "/run/a/x": "d"}, "strict", ["/run/a", "/var/lib/a"]),
        ({"/srv/a/x": "d", "/var/a/y": "n"}, "full", []),
        ({"/x": "w"}, "full", []),
        ({"/x": "w", "/etc/a": "w"}, "yes", []),
        ({"/x": "w", "/usr/a": "w"}, None, []),
        ({".../x": "w"}, None, []),
        ({"/srv/a b/%/\\x22/x": "w"}, "strict", ['/srv/a b/%/"']),
        ({"/srv/\\xff/x": "w"}, "strict", ["/srv"]),
        ({"/srv/a\\x0ab/x": "w"}, "strict", ["/srv"]),
    ],
)  # fmt: skip
def test_the_system_is_as_protected_as_its_writes_allow(
    files: dict[str, str], level: str | None, writable: list[str]
) -> None:
    policy = drop_in(files=files)
    assert policy.settings.get("ProtectSystem", (None,))[0] == level
    assert policy.words("ReadWritePaths") == [f"-{place}" for place in writable]


def test_without_the_changes_of_names_the_system_is_not_protected() -> None:
    assert "ProtectSystem" not in drop_in(file_changes=None).settings


def test_a_path_is_one_word_and_itself() -> None:
    assert quoted("-/srv/a-b.c") == "-/srv/a-b.c"
    assert quoted('-/a "b" \\ %n') == '"-/a \\"b\\" \\\\ %%n"'


@pytest.mark.parametrize(
    ("setting", "fields"),
    [
        ("ProtectHome", {"files": {"/home/u/x": "w"}}),
        ("PrivateTmp", {"files": {"/tmp/x": "r"}}),
        ("PrivateTmp", {"listens": [{"protocol": "unix", "address": "/tmp/s"}]}),
        ("PrivateDevices", {"files": {"/dev/sda": "r"}}),
        ("PrivateDevices", {"files": {"/dev/zero": "rx"}}),
        ("PrivateDevices", {"calls": ("iopl",)}),
        ("ProtectClock", {"files": {"/dev/sda": "r"}}),
        ("ProtectClock", {"calls": ("adjtimex",)}),
        ("ProtectKernelTunables", {"files": {"/proc/sys/x": "w"}}),
        ("ProtectKernelTunables", {"files": {"/proc/kallsyms": "r"}}),
        ("ProtectKernelModules", {"files": {"/usr/lib/modules/6.1/x": "r"}}),
        ("ProtectKernelLogs", {"files": {"/dev/kmsg": "w"}}),
        ("ProtectControlGroups", {"files": {"/sys/fs/cgroup/x/cgroup.procs": "w"}}),
        ("ProtectProc", {"files": {"/proc/*/stat": "r"}}),
        ("ProtectHostname", {"operations": ["set_hostname"]}),
        ("RestrictNamespaces", {"operations": ["clone_namespace"]}),
        ("RestrictSUIDSGID", {"operations": ["chmod_set_id"]}),
        ("RestrictRealtime", {"calls": ("sched_setscheduler",)}),
        ("LockPersonality", {"calls": ("personality",)}),
        ("PrivateTmp", {"operations": ["mount"]}),
        ("ProtectHome", {"files": {".../x": "w"}}),
    ],
)
def test_what_was_used_is_not_taken_away(setting: str, fields: dict[str, Any]) -> None:
    assert setting in drop_in().settings
    assert setting not in drop_in(**fields).settings
    assert setting in said(make_unit(**fields))
    (artifact,), _ = export(make_unit(**fields))
    assert f"# left out: {setting}: ".encode() in artifact.content
    assert any(one.place == f"Service.{setting}" for one in artifact.left_out)


def test_homes_that_were_only_read_can_be() -> None:
    assert drop_in(files={"/root/.x": "r"}).settings["ProtectHome"] == ("read-only",)


def test_personality_is_locked_where_it_was_only_asked_about() -> None:
    told = (arguments("personality", 0, 0, 0xFFFFFFFF),)
    assert "LockPersonality" in drop_in(calls=("personality",), arguments=told).settings
    other = (arguments("personality", 0, 8),)
    assert "LockPersonality" not in drop_in(calls=("personality",), arguments=other).settings


@pytest.mark.parametrize(
    ("told", "is_set"),
    [
        (None, False),
        ((), False),
        ((arguments("mmap", 2, 3, 5), arguments("mprotect", 2, 1)), True),
        ((arguments("mmap", 2, 7), arguments("mprotect", 2, 1)), False),
        ((arguments("mmap", 2, 3), arguments("mprotect", 2, 5)), False),
        ((arguments("mprotect", 2, 1),), False),
    ],
)
def test_memory_is_restricted_only_with_evidence_of_arguments(told: Any, is_set: bool) -> None:
    policy = drop_in(calls=("mmap", "mprotect"), arguments=told)
    assert ("MemoryDenyWriteExecute" in policy.settings) is is_set


@pytest.mark.parametrize(
    ("subject", "about"),
    [
        ({"kind": "Deployment", "namespace": "shop"}, "Deployment `web.service` is no unit"),
        ({"name": "web.socket"}, "is no service"),
        ({"name": "user@1000.service/app.service"}, "belongs to a user's own systemd"),
        ({"name": "a b.service"}, "is no service"),
    ],
)
def test_what_is_no_service_gets_no_drop_in(subject: dict[str, Any], about: str) -> None:
    assert export(make_unit(subject=subject))[0] == []
    assert about in said(make_unit(subject=subject))


def test_an_escaped_name_is_the_units_own() -> None:
    (artifact,), _ = export(make_unit(subject={"name": "a\\x5cx2db@c.service"}))
    assert artifact.installs_as == "a\\x2db@c.service.d/50-ethogram.conf"


def test_nothing_is_made_of_no_calls() -> None:
    with pytest.raises(ExportError, match="no system call"):
        export(make_unit(calls=()))
    with pytest.raises(UsageError, match="setting `systemd` is `1`"):
        export(make_unit(), "systemd=1")


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"state": "lossy"}, "warning: the recorder lost events"),
        ({"state": "partial"}, "info: the baseline is partial"),
        ({"phases": {"steady": 1}}, "warning: the unit's start was not recorded"),
        ({"quarantined": ("CAP_CHOWN",)}, "info: 1 value is quarantined"),
    ],
)
def test_the_reader_is_told_what_the_evidence_lacks(fields: dict[str, Any], about: str) -> None:
    assert about in said(make_unit(**fields))


def test_every_setting_has_its_reason_above_it() -> None:
    (artifact,), _ = export(make_unit("CAP_CHOWN", **EVERYTHING))
    lines = artifact.content.decode().splitlines()
    for reason in artifact.reasons:
        name = reason.place.removeprefix("Service.")
        first = next(i for i, line in enumerate(lines) if line.startswith(f"{name}="))
        assert lines[first - 1].startswith("# ")
    assert UNIT["name"] in lines[0]


def test_the_groups_are_those_of_the_installed_systemd_where_it_is_that_one() -> None:
    package = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "systemd"], capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    if package not in load_groups():
        pytest.skip(f"systemd {package} is not measured")
    text = subprocess.run(
        ["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True
    ).stdout
    measured = parse_groups(text)
    assert {name: expanded(measured, name) for name in measured} == load_groups()[package].groups
