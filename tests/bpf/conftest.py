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
        return self.run_each(argv or known(*actions), **options)

    def run_each(self, *commands: list[str], **options: object) -> Seen:
        """Run commands in turn within one window, each in a cgroup of its own."""
        self.loader.end_window()  # what came before is not ours
        cgroups = [self._mount / f"ethogram-test-{secrets.token_hex(4)}" for _ in commands]
        identifiers = []
        try:
            for cgroup, command in zip(cgroups, commands, strict=True):
                cgroup.mkdir()
                identifiers.append(cgroup.stat().st_ino)
                self.loader.set_target(identifiers[-1], is_recorded=True)
                join = cgroup / "cgroup.procs"
                subprocess.run(
                    command,
                    preexec_fn=lambda join=join: join.write_text("0") and None,
                    check=False,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=60,
                    **options,
                )
            return Seen(self.loader.end_window(), identifiers)
        finally:
            for cgroup in cgroups:
                if cgroup.exists():
                    cgroup.rmdir()
            for identifier in identifiers:
                self.loader.forget(identifier, self.loader.host_mntns, [])

    def run_in_windows(self, *parts: list[list[object]]) -> list[Seen]:
        """Run the known workload, with the end of a window between each two of *parts*."""
        self.loader.end_window()
        between: list[list[object]] = [["ready-fd", 1], ["wait-byte"]]
        actions = [action for part in parts for action in [*part, *between]][: -len(between)]
        cgroup = self._mount / f"ethogram-test-{secrets.token_hex(4)}"
        cgroup.mkdir()
        identifier = cgroup.stat().st_ino
        self.loader.set_target(identifier, is_recorded=True)
        seen: list[Seen] = []
        try:
            with subprocess.Popen(
                known(*actions),
                preexec_fn=lambda: (cgroup / "cgroup.procs").write_text("0") and None,  # noqa: PLW1509
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                for _ in parts[1:]:
                    assert process.stdout.read(1) == b"\n"
                    seen.append(Seen(self.loader.end_window(), [identifier], after=seen))
                    os.write(process.stdin.fileno(), b"\n")
                assert process.wait(60) == 0
            return [*seen, Seen(self.loader.end_window(), [identifier], after=seen)]
        finally:
            cgroup.rmdir()
            self.loader.forget(identifier, self.loader.host_mntns, [])

    def known_cgroups(self) -> int:
        """Return how many cgroups the kernel side has a word about."""
        assert self.loader._object is not None
        targets = self.loader._object.maps["targets"]
        keys, _ = targets.read()
        return len(keys) // targets.key_size


@pytest.fixture(scope="package")
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
