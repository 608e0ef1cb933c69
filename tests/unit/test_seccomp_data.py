"""The shipped data against the real libseccomp, and against how it was measured."""

import json
import subprocess
from pathlib import Path

import pytest

from ethogram.contracts.syscall_names import names_of, number_of
from exporters.runtime_base import load_default_profile, load_known_names, load_runtime_bases
from tools.measure_default_profile import PACKAGE, PROFILE
from tools.measure_default_profile import measure as measure_default
from tools.measure_libseccomp import TOKENS, measure, resolver
from tools.measure_runtime_base import filtered_calls

pytestmark = pytest.mark.unit

DEBIAN_12 = "2.5.4-1+deb12u1"


@pytest.fixture(scope="module")
def _debian_12() -> None:
    query = ["dpkg-query", "-W", "-f", "${Version}", "libseccomp2"]
    found = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    if found != DEBIAN_12:
        pytest.skip(f"libseccomp here is `{found}`, the data is of `{DEBIAN_12}`")


@pytest.mark.usefixtures("_debian_12")
def test_the_known_names_are_those_of_the_real_library():
    assert load_known_names()[DEBIAN_12] == set(measure())


@pytest.mark.usefixtures("_debian_12")
@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_our_names_mean_the_same_numbers_to_libseccomp(arch):
    resolve = resolver()
    known = names_of(arch) & load_known_names()[DEBIAN_12]
    different = {
        name for name in known if resolve(TOKENS[arch], name.encode()) != number_of(arch, name)
    }
    assert different == set()


def test_names_newer_than_the_library_are_not_among_the_known():
    absent = {"mseal", "statmount", "listmount", "uretprobe", "open_tree_attr", "file_getattr"}
    assert absent <= names_of("x86_64")
    assert absent.isdisjoint(load_known_names()[DEBIAN_12])


def test_every_base_set_names_real_calls():
    for base in load_runtime_bases():
        assert set(base.calls(None)) <= names_of(base.arch), base.label


def test_what_is_measured_says_how_and_by_which_way_to_start():
    measured = [base for base in load_runtime_bases() if base.measured]
    assert [base.label for base in measured] == ["crun 1.8.1", "runc 1.1.5"]
    for base in measured:
        assert "strace" in base.how
        assert base.libseccomp == DEBIAN_12
        assert all(places for entry in base.sets for places in entry.calls.values())


def test_a_privileged_start_needs_more_than_one_with_no_new_privs():
    for base in load_runtime_bases():
        if base.measured:
            assert set(base.calls(True)) < set(base.calls(False)), base.label


@pytest.mark.parametrize(
    ("trace", "calls"),
    [
        (["getpid() = 1", "exit_group(0) = ?"], []),
        (
            [
                "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, NULL) = -1 EFAULT (x)",
                "mount(0) = 0",
            ],
            [],
        ),
        (
            [
                "prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len=9, filter=0xc0}) = 0",
                "close(6) = 0",
                'execve("/bin/absent", 0xc0, 0xc1) = -1 ENOENT (No such file or directory)',
                'execve("/bin/true", ["true"], 0x7f /* 3 vars */) = 0',
                "brk(NULL) = 0x1",
            ],
            ["close", "execve", "execve"],
        ),
        (
            [
                "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, {len=9,"
                " filter=0x55}) = 0",
                'write(2, "gone", 4) = 4',
                "+++ exited with 1 +++",
            ],
            ["write"],
        ),
    ],
    ids=["no filter", "a probe", "runc", "crun, no entrypoint"],
)
def test_a_trace_is_cut_between_filter_and_entrypoint(trace, calls):
    assert filtered_calls(trace) == calls


def test_the_page_about_profiles_has_the_sizes_of_the_base_sets():
    page = (Path(__file__).parents[2] / "docs/exporters/seccomp.md").read_text()
    for base in load_runtime_bases():
        by_privilege = {entry.no_new_privs: len(entry.calls) for entry in base.sets}
        either = by_privilege.get(None, 0)
        sizes = [by_privilege.get(key, either) for key in (True, False)]
        row = next(line for line in page.splitlines() if line.startswith(f"| {base.label} |"))
        assert f"| {sizes[0]} | {sizes[1]} |" in row


def test_the_default_profile_is_what_the_installed_one_allows():
    query = ["dpkg-query", "-W", "-f", "${Version}", PACKAGE]
    found = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    default = load_default_profile()
    if found != default.version or not PROFILE.exists():
        pytest.skip(f"{PACKAGE} here is `{found}`, the data is of `{default.version}`")
    measured = measure_default(json.loads(PROFILE.read_bytes()))
    for machine, names in measured["calls"].items():
        assert default.calls[machine] == set(names)
        assert default.by_argument[machine] == set(measured["by_argument"][machine])
        assert default.calls[machine] | default.by_argument[machine] <= names_of(machine)


def test_the_page_about_profiles_has_the_size_of_the_default_profile():
    page = " ".join((Path(__file__).parents[2] / "docs/exporters/seccomp.md").read_text().split())
    default = load_default_profile()
    theirs = len(default.calls["x86_64"]) + len(default.by_argument["x86_64"])
    assert f"({theirs} of x86_64's {len(names_of('x86_64'))} calls" in page
    assert f"{len(default.calls['aarch64'])} and 1 of aarch64's" in page
