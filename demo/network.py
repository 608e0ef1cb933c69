"""A network of its own for each container: namespaces, links and addresses, and no way outside.

One more namespace holds a bridge that joins them. No address, route or link of the host changes,
so the addresses are the same on every run.
"""

import errno
import os
import secrets
import select
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.commands import run, shielded

__all__ = ["Attachment", "Network", "wait_until_listening"]

LISTEN_STATE = "0A"
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Attachment:
    """One network namespace: its name for `ip netns`, its path for OCI, and its addresses."""

    netns: str
    path: Path
    address: str
    address6: str


class Network:
    """Namespaces `<prefix>-<name>` on one bridge in `<prefix>-router`; all go away at exit.

    Addresses count up from `10.77.<subnet>.10` and `fd77:<subnet + 1>::10`; the bridge has `.1`.
    """

    def __init__(self, *, prefix: str | None = None, subnet: int = 0) -> None:
        self.prefix = prefix or f"eth{os.getpid()}-{secrets.token_hex(2)}"
        self.subnet = subnet
        self.router = f"{self.prefix}-router"
        self._next = 10
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as until_complete:
            until_complete.push(self._cleanup.__exit__)
            with shielded():
                self._add_netns(self.router)
                _ip("-n", self.router, "link", "add", "bridge", "type", "bridge")
                _ip("-n", self.router, "link", "set", "bridge", "up")
                self._address(self.router, "bridge", 1)
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

    def attach(self, name: str) -> Attachment:
        """Make the namespace of *name*, with `lo` and `eth0` up and the next free address."""
        netns, host = f"{self.prefix}-{name}", self._next
        self._next += 1
        self._add_netns(netns)
        link = f"port{host}"
        peer = ("peer", "name", "eth0", "netns", netns)
        _ip("-n", self.router, "link", "add", link, "type", "veth", *peer)
        _ip("-n", self.router, "link", "set", link, "master", "bridge", "up")
        _ip("-n", netns, "link", "set", "eth0", "up")
        address, address6 = self._address(netns, "eth0", host)
        return Attachment(netns, Path("/run/netns") / netns, address, address6)

    def _add_netns(self, name: str) -> None:
        with shielded():
            _ip("netns", "add", name)
            self._cleanup.callback(_ip, "netns", "delete", name)
        _ip("-n", name, "link", "set", "lo", "up")

    def _address(self, netns: str, link: str, host: int) -> tuple[str, str]:
        address, address6 = f"10.77.{self.subnet}.{host}", f"fd77:{self.subnet + 1:x}::{host}"
        _ip("-n", netns, "address", "add", f"{address}/24", "dev", link)
        # Duplicate address detection would keep the address from use for a second.
        _ip("-n", netns, "address", "add", f"{address6}/64", "dev", link, "nodad")
        return address, address6


def wait_until_listening(pid: int, port: int, *, timeout_s: float = 15) -> None:
    """Return when something listens on TCP *port* in the network namespace of process *pid*.

    It reads the kernel's table of sockets and makes no connection, so that a recording holds
    none that the workload did not have. Raises TimeoutError, and ChildProcessError when the
    process ends first.
    """
    pidfd = os.pidfd_open(pid)
    try:
        watch = select.poll()
        watch.register(pidfd, select.POLLIN)
        for _ in range(int(timeout_s / POLL_SECONDS)):
            if _listens(pid, port):
                return
            if watch.poll(POLL_SECONDS * 1000):
                raise ChildProcessError(errno.ECHILD, f"process {pid} ended before it listened")
    finally:
        os.close(pidfd)
    raise TimeoutError(f"nothing listens on port {port} after {timeout_s:g} s")


def _listens(pid: int, port: int) -> bool:
    for family in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError, OSError):
            return False
        for row in rows:
            _, local, _, state, *_ = row.split()
            if state == LISTEN_STATE and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def _ip(*words: str) -> None:
    run("ip", *words)
