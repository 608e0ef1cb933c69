"""The hook that a kernel may refuse: attached or refused, and recording goes on.

What it records where it is attached is tested on the kernel that lets it: tests/kernels.
"""

import pytest

from profiler.loaders.optional import FILE_OPENED, is_taken
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf


def test_the_hook_is_attached_or_refused_and_says_so(kernel: Kernel) -> None:
    (told,) = (one for one in kernel.loader.programs if one.name == FILE_OPENED)
    assert (told.hook, told.tier) == ("lsm/file_open", "optional")
    assert told.state == "attached" if is_taken() else "refused"
    assert (told.error is None) == (told.state == "attached")


def test_an_open_is_counted_once_whether_or_not_it_is_attached(kernel: Kernel) -> None:
    seen = kernel.run(["openat", "/etc/hostname", "r"], ["openat", "/etc/hostname", "r"])
    assert seen.file("/etc/hostname").calls == 2
