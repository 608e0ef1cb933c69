"""The object for aarch64, without such a machine: it finds in a kernel what it looks for."""

import pytest

from profiler.loaders.core import object_path
from tests.kernels.chosen import ROOT
from tests.kernels.types import Found, kernel_types, relocated

pytestmark = pytest.mark.bpf

# What newer kernels call otherwise, and what a module has that is not loaded.
OTHERWISE = (
    "inode.i_ctime_sec", "inode.i_ctime_nsec", "inode___v66.__i_ctime",
    "kernfs_node___rcu.__parent", "mnt_namespace.ns.ns_id", "ovl_inode",
)  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    images = sorted((ROOT / "build/kernels").glob("*-arm64/boot/vmlinuz-*"))
    if not images:
        pytest.skip("no kernel for arm64 below `build/kernels`: .ci/second-kernel")
    types = kernel_types(images[-1], tmp_path_factory.mktemp("types") / "types")
    return relocated(object_path("aarch64", is_plain=True), types)


def test_what_it_looks_for_is_there(found: Found) -> None:
    assert found.places > 500
    assert {one for one in found.missing if not one.startswith(OTHERWISE)} == set()


def test_what_is_missing_would_be_told(found: Found) -> None:
    assert {"inode.i_ctime_sec"} <= {one.split("(")[0].strip() for one in found.missing}
