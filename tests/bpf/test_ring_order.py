"""The ring as it is read where a machine does not keep loads in order.

This machine may keep them; the way of reading is the other one's.
"""

import os
from collections.abc import Iterator

import pytest

from profiler.barrier import barrier
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from profiler.ring import Ring
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    mount = Hierarchy().mount
    assert mount is not None
    loader = CoreLoader(KernelConfig(record_by_default=False, recorder_tgid=os.getpid()))
    loader.attach(lambda: None)
    assert loader._object is not None
    for ring in loader._rings:
        ring.close()
    maps = loader._object.maps
    loader._rings = [Ring(maps[name], is_ordered=False) for name in ("life", "paths", "packets")]
    loader.arm()
    yield Kernel(loader, mount)
    loader.close()


def test_every_record_is_there_and_whole(kernel: Kernel) -> None:
    seen = kernel.run(["storm-exec", 230, "/bin/true"], ["openat", "/etc/hostname", "r"])
    assert [one.argv for one in seen.execs[1:]] == [["/bin/true"]] * 230
    assert seen.file("/etc/hostname").calls == 1
    assert seen.losses == []


def test_a_window_without_records_is_empty(kernel: Kernel) -> None:
    kernel.loader.end_window()
    assert kernel.loader.end_window().records.get("exec", []) == []


def test_a_barrier_can_be_asked_for_again_and_again() -> None:
    for _ in range(100):
        barrier()
