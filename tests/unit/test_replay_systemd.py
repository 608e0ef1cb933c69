"""What drop-ins of systemd would have refused a recorded unit."""

import pytest

from ethogram.contracts.flags import Access
from ethogram.contracts.recording import Recording
from ethogram.contracts.syscall_names import number_of
from ethogram.errors import ExportError
from exporters.replay.observations import Observations
from exporters.replay.protocol import NOTHING_TO_RELAX, Denied, Judged, Policy, Unjudged
from exporters.replay.registry import replayer_of
from tests.recordings import make_recording

pytestmark = pytest.mark.unit

UNIT = {"workload": 1, "kind": "Unit", "name": "web.service", "source": "systemd"}
POD = {"workload": 2, "namespace": "s", "kind": "Deployment", "name": "web", "container": "web"}


@pytest.fixture
def replay(tmp_path):
    """Replay what the unit `web.service` did through a drop-in of *lines*."""

    def replayed(*lines, path="web.service.d/50-ethogram.conf"):
        keys = {"workload": 1, "instance": 1, "phase": "steady"}
        calls = [
            {**keys, "arch": "x86_64", "nr": number_of("x86_64", name), "name": name, "calls": 7}
            for name in ("read", "mount")
        ]
        make_recording(
            tmp_path / "r",
            workloads=[UNIT, POD],
            instances=[{"instance": 1, "workload": 1}, {"instance": 2, "workload": 2}],
            syscalls=[
                *calls,
                {**calls[0], "nr": number_of("x86_64", "ptrace"), "phase": "runtime"},
                {**calls[0], "nr": number_of("x86_64", "bpf"), "workload": 2, "instance": 2},
            ],
            privileges=[{**keys, "exec_id": "e", "operation": "capability", "capability": 12,
                         "granted": True, "calls": 2}],
            files=[
                {**keys, "exe": 1, "path": b"/srv/data", "access": int(Access.WRITE), "calls": 3},
                {**keys, "exe": 1, "path": b"/srv/gone", "access": int(Access.WRITE), "errno": 2,
                 "calls": 3},
            ],
            network=[{**keys, "exe": 1, "direction": "listen", "family": 2, "type": 1,
                      "protocol": 6, "local_port": 80, "connections": 1}],
        )  # fmt: skip
        seen = Observations(Recording.open(tmp_path / "r"), "r")
        policy = Policy(path, {"text": "\n".join(["[Service]", *lines, ""])})
        replayer = replayer_of(path, policy.document)
        found = list(replayer.replay([policy], seen))
        return (
            {one.rule: one for one in found if isinstance(one, Denied)},
            [one.reason for one in found if isinstance(one, Unjudged)],
            sum(one.count for one in found if isinstance(one, Judged)),
        )

    return replayed


def test_nothing_in_force_refuses_nothing(replay):
    denied, unjudged, judged = replay("#SystemCallFilter=~mount")
    assert (denied, unjudged) == ({}, [])
    assert judged == 7 + 7 + 2 + 2 + 3 + 1 + 1


@pytest.mark.parametrize(
    ("line", "rule", "relaxation"),
    [
        ("SystemCallFilter=~mount", "mount", "add `SystemCallFilter=mount`"),
        ("SystemCallFilter=read", "mount", "add `SystemCallFilter=mount`"),
        ("SystemCallFilter=~@mount", "mount", "add `SystemCallFilter=mount`"),
        ("CapabilityBoundingSet=CAP_CHOWN", "CAP_NET_ADMIN",
         "add `CapabilityBoundingSet=CAP_NET_ADMIN`"),
        ("ProtectSystem=strict", "change /srv/data", "add `ReadWritePaths=/srv/data`"),
        ("RestrictAddressFamilies=AF_UNIX", "socket AF_INET",
         "add `RestrictAddressFamilies=AF_INET`"),
        ("PrivateNetwork=yes", "socket AF_INET", NOTHING_TO_RELAX.words),
        ("SocketBindDeny=any", "bind tcp 80", "add `SocketBindAllow=tcp:80`"),
    ],
)  # fmt: skip
def test_what_a_setting_refuses_is_told_with_what_lets_it_through(replay, line, rule, relaxation):
    denied, _, _ = replay(line)
    assert list(denied) == [rule]
    assert denied[rule].effect == "denied"
    assert denied[rule].relaxation.words == relaxation


@pytest.mark.parametrize("line", ["SystemCallLog=mount", "SystemCallLog=~read"])
def test_a_call_that_is_logged_is_not_denied(replay, line):
    denied, _, _ = replay(line)
    assert {rule: one.effect for rule, one in denied.items()} == {"mount": "logged"}


def test_a_setting_of_which_nothing_is_known_stays_open(replay):
    _, unjudged, _ = replay("NoNewPrivileges=yes", "Nice=5")
    assert unjudged == ["what `NoNewPrivileges` refuses is not judged"]


def test_a_file_of_another_unit_is_not_for_it(replay):
    assert replay("SystemCallFilter=~mount", path="other.service.d/a.conf") == ({}, [], 0)


def test_an_unknown_group_is_named(replay):
    with pytest.raises(ExportError, match="@nosuch"):
        replay("SystemCallFilter=~@nosuch")
