"""The doctor on this kernel: every program is tried by loading it, and none stays."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from profiler import doctor
from profiler.libbpf import Object
from profiler.loaders.core import object_path
from profiler.loaders.programs import BASE_PROGRAMS

pytestmark = pytest.mark.bpf

ROOT = Path(__file__).parents[2]


def programs() -> set[str]:
    opened = Object(object_path())
    try:
        return set(opened.programs)
    finally:
        opened.close()


@pytest.fixture(scope="module")
def found() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.checks()}


def test_every_program_has_a_line_and_those_that_recording_needs_load(found):
    tried = {name.removeprefix("program ") for name in found if name.startswith("program ")}
    assert tried == programs()
    assert all(found[f"program {name}"].ok for name in BASE_PROGRAMS)


def test_this_host_can_record(found):
    assert doctor.can_record(list(found.values()))
    for name in ("privileges", "kernel", "libbpf", "kernel types (BTF)", "BPF object", "cgroups"):
        assert found[name].ok is not False, found[name]


def test_every_optional_program_says_what_is_lost_without_it():
    unsaid = [
        name
        for name in programs() - BASE_PROGRAMS
        if doctor._failed(name, "hook", "EPERM").hint is None
    ]
    assert unsaid == []


def test_programs_load_alone_as_well_as_together():
    names = ["cgroup_made", "packet_received"]
    recorded_with = object_path(is_plain=doctor._is_plain())
    assert doctor._refusals(recorded_with, names) == {}


def test_a_program_that_the_kernel_refuses_is_told_from_one_that_it_takes():
    # Without CAP_PERFMON tracing programs are refused and cgroup programs are not.
    source = """
import json
from profiler import doctor, privileges
privileges.drop(frozenset({"CAP_BPF", "CAP_NET_ADMIN", "CAP_DAC_OVERRIDE"}))
names = ["exec_done", "socket_made"]
path = doctor.object_path(is_plain=doctor._is_plain())
print(json.dumps(doctor._refusals(path, names)))
"""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, text=True, check=True, stdout=subprocess.PIPE
    )
    refused = json.loads(done.stdout)
    assert "exec_done" in refused
    assert refused["exec_done"].startswith(("EPERM", "EINVAL"))  # the latter by older kernels


def test_a_hook_under_its_newer_name_is_not_looked_for_under_its_older_one(found):
    states = [found[f"program {name}"].ok for name in ("ring_submitted", "ring_submitted_by_sqe")]
    assert states == [True, True]
