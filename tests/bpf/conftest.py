"""One loader for all tests of this tier; each run of the known workload is a cgroup of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from tests.bpf.seen import Seen
from tests.workloads import known


class Kernel:
    """Runs programs in recorded cgroups and says what was seen."""

    def __init__(self, loader: CoreLoader, mount: Path) -> None:
        self.loader = loader
        self._mount = mount

    def run(self, *actions: list[object], argv: list[str] | None = None, **options: object) -> Seen:
        """Run the known workload, or *argv*, in a cgroup of its own; return what was seen."""
        self.loader.end_window()  # what came before is not ours
        cgroup = self._mount / f"ethogram-test-{secrets.token_hex(4)}"
        cgroup.mkdir()
        identifier = cgroup.stat().st_ino
        try:
            self.loader.set_target(identifier, is_recorded=True)
            join = cgroup / "cgroup.procs"
            subprocess.run(
                argv or known(*actions),
                preexec_fn=lambda: join.write_text("0") and None,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
                **options,
            )
            return Seen(self.loader.end_window())
        finally:
            cgroup.rmdir()
            self.loader.forget(identifier, self.loader.host_namespaces[0], [])


@pytest.fixture(scope="session")
def kernel() -> Iterator[Kernel]:
    mount = Hierarchy().mount
    assert mount is not None
    loader = CoreLoader(KernelConfig(record_by_default=False, recorder_tgid=os.getpid()))
    try:
        loader.attach(lambda: None)
        loader.arm()
        yield Kernel(loader, mount)
    finally:
        loader.close()


Run = Callable[..., Seen]
