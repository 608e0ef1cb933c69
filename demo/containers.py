"""Containers under runc or crun that are gone, with all that they made, when their block ends."""

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.commands import run, shielded
from demo.network import wait_until_listening
from demo.oci import Spec
from demo.rootfs import overlay

__all__ = ["Container", "ContainerError"]

CGROUPS = Path("/sys/fs/cgroup")
# crun refuses hosts where version 1 hierarchies stand beside version 2: it gets a view of its own.
CRUN = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"',
    *("sh", "crun"),
)
COMMANDS = {"runc": ("runc",), "crun": CRUN}


class ContainerError(Exception):
    """A runtime refused, or a container did not do what was waited for; *log* says why."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(f"{message}\n{log.rstrip()}" if log else message)
        self.log = log


class Container:
    """One container from *image* as *spec* says; entering prepares it, `start` or `run` runs it.

    The root is an overlay: *image* below, `.upper` above. At exit it is killed and deleted, its
    root unmounted, its cgroups and its directory removed, however the block ended.
    """

    def __init__(
        self,
        image: Path,
        spec: Spec,
        *,
        runtime: str = "runc",
        container_id: str | None = None,
    ) -> None:
        self.image = image
        self.spec = spec
        self.runtime = runtime
        self.container_id = container_id or secrets.token_hex(32)
        self.pid: int | None = None
        self._directory = Path()
        self._pidfd: int | None = None
        self._cleanup = ExitStack()

    @property
    def upper(self) -> Path:
        """The directory of the overlay that holds what the container wrote."""
        return self._directory / "upper"

    @property
    def log(self) -> Path:
        """The file that standard output and error of a started container go to."""
        return self._directory / "log"

    def __enter__(self) -> Self:
        with ExitStack() as until_complete:
            until_complete.push(self._cleanup.__exit__)
            with shielded():
                self._prepare()
            until_complete.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with shielded():
            self._cleanup.__exit__(kind, error, trace)

    def start(self, *, port: int | None = None) -> int:
        """Start it in the background; return the host's PID of its first process.

        With *port*, return when it listens there. Raises ContainerError with the log otherwise.
        """
        pid_file = self._directory / "pid"
        words = ("run", "--detach", "--bundle", self._directory, "--pid-file", pid_file)
        with self.log.open("wb") as log:
            result = subprocess.run(
                [*COMMANDS[self.runtime], *map(str, words), self.container_id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                check=False,
            )
        if result.returncode:
            raise ContainerError(f"{self.runtime} could not start it", self._log_text())
        self.pid = int(pid_file.read_text())
        self._pidfd = os.pidfd_open(self.pid)
        self._cleanup.callback(os.close, self._pidfd)
        if port is not None:
            self._wait_for_port(port)
        return self.pid

    def run(self, *, timeout_s: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Run it in the foreground to its end; the result has its exit code and its output."""
        words = ("run", "--bundle", str(self._directory), self.container_id)
        return self._runtime(*words, timeout_s=timeout_s)

    def exec(
        self, *args: str, timeout_s: float = 30, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run *args* inside, as `kubectl exec` does; the result has its exit code and output."""
        variables = [f"--env={name}={value}" for name, value in (env or {}).items()]
        return self._runtime("exec", *variables, self.container_id, *args, timeout_s=timeout_s)

    def kill(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send *number* to its first process."""
        result = self._runtime("kill", self.container_id, str(int(number)))
        if result.returncode:
            raise ContainerError(f"{self.runtime} could not signal it", result.stderr.decode())

    def wait(self, *, timeout_s: float = 30) -> None:
        """Return when the first process of a started container has ended."""
        if self._pidfd is None:
            raise ContainerError("it was not started")
        watch = select.poll()
        watch.register(self._pidfd, select.POLLIN)
        if not watch.poll(timeout_s * 1000):
            raise ContainerError(f"it still runs after {timeout_s:g} s", self._log_text())

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout_s: float = 30) -> None:
        """`kill`, then `wait`."""
        self.kill(number)
        self.wait(timeout_s=timeout_s)

    def state(self) -> dict[str, object]:
        """Return the OCI state: `status`, `pid`, `annotations` and the rest."""
        result = self._runtime("state", self.container_id)
        if result.returncode:
            raise ContainerError(f"{self.runtime} does not know it", result.stderr.decode())
        state: dict[str, object] = json.loads(result.stdout)
        return state

    def _prepare(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="ethogram-container-"))
        self._cleanup.callback(shutil.rmtree, self._directory)
        root = self._cleanup.enter_context(overlay(self.image, self._directory))
        config = self.spec.config(
            root, container_id=self.container_id, has_cgroups=self.runtime == "runc"
        )
        (self._directory / "config.json").write_text(json.dumps(config, indent=2))
        self._cleanup.callback(self._remove_cgroups, _cgroup_parents(config))
        self._cleanup.callback(self._delete)

    def _runtime(self, *words: str, timeout_s: float = 30) -> subprocess.CompletedProcess[bytes]:
        return run(*COMMANDS[self.runtime], *words, check=False, timeout_s=timeout_s)

    def _wait_for_port(self, port: int) -> None:
        assert self.pid is not None
        try:
            wait_until_listening(self.pid, port)
        except OSError as error:
            raise ContainerError(f"it does not serve: {error}", self._log_text()) from error

    def _log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _delete(self) -> None:
        # A container that never came to be, or is gone, has nothing to delete.
        self._runtime("delete", "--force", self.container_id)

    def _remove_cgroups(self, parents: Sequence[Path]) -> None:
        """Remove the directories above the container's own cgroup that were not there before."""
        for path in sorted(parents, reverse=True):
            if path.is_dir():
                path.rmdir()


def _cgroup_parents(config: Mapping[str, Mapping[str, object]]) -> list[Path]:
    """Return the directories that the runtime will have to make above its own cgroup."""
    relative = Path(str(config["linux"]["cgroupsPath"]).lstrip("/"))
    hierarchies = [CGROUPS, *CGROUPS.iterdir()]
    candidates = [
        hierarchy / parent
        for hierarchy in hierarchies
        for parent in relative.parents
        if parent != Path()
    ]
    return [path for path in candidates if not path.exists()]
