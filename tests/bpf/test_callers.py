"""Whose the caller is, where programs of cgroups may not look into task storage.

This kernel may let them; it is told here that it does not.
"""

import os
import socket
from collections.abc import Iterator

import pytest

from profiler.identity.hierarchy import Hierarchy
from profiler.libbpf import Btf
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from profiler.loaders.features import KernelFeatures
from tests.bpf.conftest import Kernel
from tests.workloads import build_known

pytestmark = pytest.mark.bpf


def attached(tier: str) -> Kernel:
    with Btf.of_kernel() as kernel:
        features = KernelFeatures.of(kernel)
    without = KernelFeatures(has_rdonly_cast=features.has_rdonly_cast, has_task_storage=False)
    loader = CoreLoader(
        KernelConfig(
            record_by_default=False, recorder_tgid=os.getpid(), tier=tier, features=without
        )  # type: ignore[arg-type]
    )
    mount = Hierarchy().mount
    assert mount is not None
    loader.attach(lambda: None)
    loader.arm()
    return Kernel(loader, mount)


@pytest.fixture(scope="module", params=["full", "calls", "light"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel = attached(request.param)
    yield kernel
    kernel.loader.close()


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def published(kernel: Kernel) -> int:
    assert kernel.loader._object is not None
    callers = kernel.loader._object.maps["callers"]
    keys, _ = callers.read()
    return len(keys) // callers.key_size


def test_connections_and_listeners_are_the_caller_s(kernel: Kernel, port: int) -> None:
    seen = kernel.run(["listen", 0], ["repeat", 3, [["connect", "127.0.0.1", port]]])
    assert [flow[0] for flow in seen.flows if flow[0] != "bind"] == ["listen", "out"]
    assert ("out", "127.0.0.1", None, port, 3) in seen.flows
    keys, _ = seen.drained.sets["flows"]
    own = next(one for one in seen.execs if one.path == str(build_known()))
    assert set(keys["exe_key"].tolist()) == {int(own.head["exe_key"])}


def test_children_and_threads_are_callers_too(kernel: Kernel, port: int) -> None:
    connect = ["connect", "127.0.0.1", port]
    seen = kernel.run(["fork", 3, [connect]], ["thread", 2, [connect]])
    assert ("out", "127.0.0.1", None, port, 5) in seen.flows


def test_what_is_executed_next_has_an_executable_of_its_own(kernel: Kernel, port: int) -> None:
    connect = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
    seen = kernel.run(argv=["/bin/sh", "-c", f"exec /bin/bash -c '{connect}'"])
    keys, _ = seen.drained.sets["flows"]
    last = seen.execs[-1]
    assert last.path.endswith("bash")
    # Where the end of the connection comes in the next window, it has a row there.
    assert {int(key["exe_key"]) for key in keys if key["peer_port"] == port} == {
        int(last.head["exe_key"])
    }


def test_who_ended_is_forgotten(kernel: Kernel) -> None:
    before = published(kernel)
    kernel.run(["fork", 20, [["call", 110, 1]]], ["thread", 3, [["call", 110, 1]]])
    assert published(kernel) == before


def test_others_are_not_recorded(kernel: Kernel, port: int) -> None:
    kernel.loader.end_window()
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    keys, _ = kernel.loader.end_window().sets["flows"]
    assert len(keys) == 0
