"""Container engines of their own for a test: podman with a private store, containerd alone."""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.commands import run
from demo.containers import COMMANDS

__all__ = ["Containerd", "Podman", "without_traces"]

CGROUPS = Path("/sys/fs/cgroup")
PODMAN_CONFIG = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"
[engine.runtimes]
{runtime} = ["{path}"]
"""
# crun wants controllers in the unified hierarchy, and to lift its limit of locked memory for a
# program that watches devices. Not every host lets it, and runc does without.
LAUNCHER = """\
#!/usr/bin/python3
import json, os, sys
words = sys.argv[1:]
if "crun" in {command} and "--bundle" in words:
    file = os.path.join(words[words.index("--bundle") + 1], "config.json")
    with open(file) as opened:
        config = json.load(opened)
    config["linux"].pop("resources", None)
    with open(file, "w") as opened:
        json.dump(config, opened)
os.execvp({command}[0], [*{command}, *words])
"""
CONTAINERD_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = [{disabled}]
[grpc]
address = "{directory}/grpc.sock"
[ttrpc]
address = "{directory}/ttrpc.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{directory}/cni"
bin_dir = "{directory}/cni"
"""
CRI_PLUGIN = '"io.containerd.grpc.v1.cri"'
PAUSE = "example.test/pause:1"
SLEEP = ("/bin/sleep", "1000")


@contextmanager
def without_traces(*directories: str, cgroups: Sequence[str]) -> Iterator[None]:
    """Remove at the end those of *directories* and top-level *cgroups* that were not there."""
    hierarchies = [CGROUPS, *CGROUPS.iterdir()]
    parents = [hierarchy / name for hierarchy in hierarchies for name in cgroups]
    new_parents = [path for path in parents if not path.exists()]
    new_directories = [Path(name) for name in directories if not Path(name).exists()]
    try:
        yield
    finally:
        for parent in new_parents:
            for directory in sorted((path for path, _, _ in os.walk(parent)), reverse=True):
                Path(directory).rmdir()
        for directory in new_directories:
            run("rm", "-rf", "--one-file-system", directory)


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 30)[0], f"process {pid} does not end"
    finally:
        os.close(descriptor)


class Podman:
    """podman with a store in *directory*, and *runtime* for its containers."""

    def __init__(self, directory: Path, runtime: str = "runc") -> None:
        self.directory = directory
        self._runtime = runtime
        self._run_root = directory
        self._environment = {"CONTAINERS_CONF": str(directory / "containers.conf")}

    @contextmanager
    def with_image(self, image: Path) -> Iterator[Podman]:
        """Have *image* as `example.test/web:1` until the block ends."""
        (self.directory / "containers.conf").write_text(
            PODMAN_CONFIG.format(runtime=self._runtime, path=self._launcher())
        )
        archive = self.directory / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(image, arcname=".")
        with (
            # podman takes 50 characters at most.
            tempfile.TemporaryDirectory(prefix="podman-") as run_root,
            without_traces("/run/libpod", "/var/lib/containers", cgroups=["libpod_parent"]),
        ):
            self._run_root = Path(run_root)
            try:
                self("import", str(archive), "example.test/web:1")
                yield self
            finally:
                # podman leaves its store mounted on itself.
                run("umount", self.directory / "store" / "overlay", check=False)

    def _launcher(self) -> Path:
        """Return a program that is the runtime, wherever and whatever the host lets it do."""
        launcher = self.directory / self._runtime
        launcher.write_text(LAUNCHER.format(command=COMMANDS[self._runtime]))
        launcher.chmod(0o755)
        return launcher

    def __call__(self, *words: str) -> str:
        """Run podman with *words*; return what it printed."""
        store = ["--root", self.directory / "store", "--runroot", self._run_root]
        result = subprocess.run(
            ["podman", *map(str, store), "--storage-driver", "overlay", *words],
            capture_output=True,
            check=False,
            env=os.environ | self._environment,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert result.returncode == 0, (words, result.stderr)
        return result.stdout.decode().strip()

    @contextmanager
    def container(self, *options: str, command: Sequence[str] = SLEEP) -> Iterator[tuple[str, int]]:
        """Run a container until the block ends; yield its id and the PID of its first process."""
        container_id = self("run", "--detach", *options, "example.test/web:1", *command)
        pids = "{{.State.Pid}} {{.State.ConmonPid}}"
        pid, monitor = map(int, self("inspect", "--format", pids, container_id).split())
        try:
            yield container_id, pid
        finally:
            self("rm", "--force", "--time", "0", container_id)
            _wait_for_end(monitor)


class Containerd:
    """containerd with sockets, root and state in *directory*, driven by ctr.

    *has_cri*: a kubelet may talk to it too.
    """

    def __init__(self, directory: Path, *, has_cri: bool = False) -> None:
        self.directory = directory
        self.address = directory / "grpc.sock"
        self._disabled = "" if has_cri else CRI_PLUGIN

    @contextmanager
    def running(self) -> Iterator[Containerd]:
        """Run the daemon until the block ends; it is ready when the block begins."""
        config = self.directory / "config.toml"
        config.write_text(
            CONTAINERD_CONFIG.format(directory=self.directory, disabled=self._disabled, pause=PAUSE)
        )
        ready = self.directory / "ready.sock"
        log = self.directory / "log"
        with (
            without_traces("/run/containerd", cgroups=["default", "k8s.io"]),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified,
            log.open("wb") as output,
        ):
            notified.bind(str(ready))
            notified.settimeout(60)
            command = ["containerd", "--config", str(config)]
            environment = os.environ | {"NOTIFY_SOCKET": str(ready)}
            with subprocess.Popen(command, env=environment, stderr=output) as daemon:
                try:
                    while b"READY=1" not in notified.recv(4096):
                        pass
                    yield self
                finally:
                    daemon.terminate()

    @contextmanager
    def container(self, image: Path, namespace: str, *options: str) -> Iterator[tuple[str, int]]:
        """Run a container until the block ends; yield its id and the PID of its first process."""
        container_id = f"web-{secrets.token_hex(4)}"
        pid_file = self.directory / f"{container_id}.pid"
        words = ("run", "--detach", "--rootfs", "--read-only", "--pid-file", str(pid_file))
        self.ctr(namespace, *words, *options, str(image), container_id, *SLEEP)
        try:
            yield container_id, int(pid_file.read_text())
        finally:
            self.ctr(namespace, "tasks", "delete", "--force", container_id)
            self.ctr(namespace, "containers", "delete", container_id)

    def ctr(self, namespace: str, *words: str) -> str:
        """Run ctr with *words*; return what it printed."""
        options = ("--address", str(self.address), "--namespace", namespace)
        return run("ctr", *options, *words, timeout_s=60).stdout.decode()
