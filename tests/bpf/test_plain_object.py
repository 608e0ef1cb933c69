"""The object for kernels without `bpf_rdonly_cast` records the same."""

import os
from collections.abc import Iterator

import pytest

from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from profiler.loaders.features import KernelFeatures
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

GETPPID, PRCTL = 110, 157


@pytest.fixture(scope="module")
def plain() -> Iterator[Kernel]:
    mount = Hierarchy().mount
    assert mount is not None
    features = KernelFeatures(has_rdonly_cast=False, has_task_storage=False)
    config = KernelConfig(record_by_default=False, recorder_tgid=os.getpid(), features=features)
    loader = CoreLoader(config)
    try:
        loader.attach(lambda: None)
        loader.arm()
        yield Kernel(loader, mount)
    finally:
        loader.close()


def test_everything_loads(plain: Kernel, kernel: Kernel) -> None:
    attached, others = (
        {program.name for program in one.loader.programs if program.state == "attached"}
        for one in (plain, kernel)
    )
    assert attached == others


def test_it_records_the_same(plain: Kernel, kernel: Kernel) -> None:
    actions: list[list[object]] = [
        ["call", GETPPID, 23], ["open", "/etc/passwd", "r"], ["open", "/nonexistent", "r"],
        ["spawn", "/bin/true"], ["connect", "127.0.0.1", 1], ["unshare", "uts"],
        ["call", PRCTL, 5, 3],
    ]  # fmt: skip
    seen, other = (one.run(*actions) for one in (plain, kernel))
    assert seen.calls()["getppid"] == 23
    for what in ("errors", "operations", "flows", "capabilities", "arguments"):
        assert getattr(seen, what) == getattr(other, what), what
    assert {(f.path, f.asked, f.errno) for f in seen.files} == {
        (f.path, f.asked, f.errno) for f in other.files
    }
    assert [one.path for one in seen.execs] == [one.path for one in other.execs]
