"""Cgroups that come and go, also those that a workload makes below its own."""

import sys

import pytest

from profiler.identity.hierarchy import Hierarchy
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

_MAKE_AND_REMOVE = """
import os
own = open("/proc/self/cgroup").read().rpartition("0::")[2].strip()
for number in range(230):
    path = f"{mount}{own}/{number}"
    os.mkdir(path)
    os.rmdir(path)
"""


def test_cgroups_that_were_removed_take_no_room(kernel: Kernel) -> None:
    code = f"mount = {str(Hierarchy().mount)!r}\n{_MAKE_AND_REMOVE}"
    # In a mount namespace of its own, as a container is: what it makes is then its own.
    kernel.run(argv=["unshare", "--mount", sys.executable, "-S", "-c", code])
    assert kernel.known_cgroups() == 0


def test_a_path_that_is_too_long_to_be_expected_is_handed_back(kernel: Kernel) -> None:
    fits, long = "/ethogram-test-" + "x" * 239, "/ethogram-test-" + "x" * 240
    assert (len(fits), kernel.loader.expect([fits, long])) == (254, {long})
