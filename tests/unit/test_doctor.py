"""What the doctor concludes from what it finds; that it finds it is tested as root."""

import pytest

from ethogram.errors import CaptureError
from profiler import doctor
from profiler.doctor import Check, can_record
from profiler.loaders import programs

pytestmark = pytest.mark.unit


def test_what_is_only_partly_there_does_not_keep_from_recording():
    assert can_record([Check("a", True, ""), Check("b", None, "")])
    assert not can_record([Check("a", True, ""), Check("b", False, "")])


def test_without_root_a_host_cannot_record_and_no_program_is_tried(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = {check.name: check for check in doctor.checks()}
    assert found["privileges"] == Check(
        "privileges", False, "this is not root", "run it with `sudo`"
    )
    assert not [name for name in found if name.startswith("program ")]
    assert not can_record(list(found.values()))


def test_engines_are_found_by_what_they_keep(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "version_of", lambda runtime: None)
    assert [check.ok for check in doctor._runtimes(tmp_path)] == [None]
    for place in ("run/crio", "var/lib/docker/containers", "run/systemd/system"):
        (tmp_path / place).mkdir(parents=True)
    assert [(check.name, check.detail) for check in doctor._runtimes(tmp_path)] == [
        ("engine CRI-O", "`/run/crio`: parsed only"),
        ("engine Docker", "`/var/lib/docker/containers`: parsed only"),
        ("engine systemd", "`/run/systemd/system`: parsed only"),
    ]


def test_a_runtime_of_another_version_than_was_tested_says_so(tmp_path, monkeypatch):
    versions = {"runc": "1.1.5+ds1", "crun": "1.99"}
    monkeypatch.setattr(doctor, "version_of", versions.get)
    assert [check.detail for check in doctor._runtimes(tmp_path)] == [
        "version 1.1.5+ds1: tested live",
        "version 1.99: tested live with 1.8.1",
    ]


def test_a_host_without_a_unified_hierarchy_cannot_record(tmp_path):
    check = doctor._cgroups(tmp_path)
    assert check.ok is False
    assert "mount -t cgroup2" in (check.hint or "")


def test_where_bcc_works_nothing_of_the_other_loader_is_needed():
    lacking = Check("kernel types (BTF)", False, "the kernel has no BTF", "use another kernel")
    assert doctor._spared(lacking).ok is None
    assert "--loader bcc" in (doctor._spared(lacking).hint or "")
    there = Check("libbpf", True, "")
    assert doctor._spared(there) is there


def test_a_base_program_that_is_refused_is_a_failure_and_another_is_a_lack():
    base = doctor._failed("exec_done", "tp_btf/sched_process_exec", "EPERM")
    assert (base.ok, base.detail) == (False, "`tp_btf/sched_process_exec`: EPERM")
    optional = doctor._failed("packet_received", "cgroup_skb/ingress", "EPERM")
    assert optional.ok is None
    assert optional.hint == (
        "without it a recording does not have DNS replies, and so the names of peers"
    )


def test_the_reason_of_a_refusal_is_the_verifiers_last_word():
    log = "libbpf: prog 'a': BPF program load failed\nR1 is bad\nprocessed 3 insns\nlibbpf: end\n"
    error = CaptureError("the BPF programs did not load: EACCES", log=log)
    assert doctor._reason(error) == "EACCES: R1 is bad"
    assert doctor._reason(CaptureError("the BPF programs did not load: EPERM")) == "EPERM"


@pytest.mark.parametrize(
    ("absent", "not_missed"),
    [
        (["ring_submitted_by_sqe", "signal_sent"], {"ring_submitted_by_sqe"}),
        (["ring_submitted"], {"ring_submitted"}),
        (["ring_submitted", "ring_submitted_by_sqe"], {"ring_submitted_by_sqe"}),
        (["signal_sent"], set()),
    ],
)
def test_a_hook_that_has_another_name_here_is_not_missed(absent, not_missed):
    assert programs.not_missed(absent) == not_missed
