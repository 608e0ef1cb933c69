"""The replicas that run, and those who use them all the time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.containers import Container
from demo.oci import Spec
from tests.cases.waiting import pause, wait_for_text
from tests.e2e.real_services import Client
from tests.e2e.sessions import enter
from tests.soak.cluster import Placed
from tests.soak.versions import service_of

__all__ = ["Fleet", "Replica"]

TMP = {
    "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
    "options": ["nosuid", "nodev", "mode=1777"],
}  # fmt: skip
PROBED = ("redis", "postgres")
PROBE_EVERY = 5  # uses


class Replica:
    """One pod that serves; it may be restarted in place, as a kubelet does."""

    def __init__(self, placed: Placed, images: Mapping[int, Path]) -> None:
        self.placed = placed
        self.service = service_of(placed.app, placed.version)
        self.lock = threading.Lock()  # who uses it, and who restarts it
        self.is_up = False
        self.container: Container
        self._image = images[placed.version]
        self._stack = ExitStack()

    def start(self) -> None:
        uid, gid = self.service.ids
        spec = Spec(
            self.service.words, netns=self.placed.at.path, hostname=self.placed.pod.name,
            uid=uid, gid=gid, pod=self.placed.pod, mounts=[TMP],
        )  # fmt: skip
        self.container = self._stack.enter_context(Container(self._image, spec))
        self.container.start(port=self.service.port)
        if self.service.ready:
            wait_for_text(
                self.container.log, self.service.ready, timeout_s=60,
                alive=Path(f"/proc/{self.container.pid}").exists,
            )  # fmt: skip
        self.is_up = True

    def stop(self) -> None:
        if self.is_up:
            self.is_up = False
            self.container.stop(self.service.stop, timeout_s=60)
        self._stack.close()

    def probe(self) -> None:
        """Ask it from inside whether it is well, as an exec probe does."""
        done = enter(self.container, *self.service.session)
        assert done.stdout.decode() == self.service.answer, done.stderr


class Fleet:
    """All that runs, by workload; *trouble* is what those who use it met."""

    def __init__(self, images: Mapping[int, Path], client: Client, pace_s: float) -> None:
        self.images, self.client, self.pace_s = images, client, pace_s
        self.replicas: dict[str, list[Replica]] = {}
        self.uses = 0
        self.trouble: list[str] = []
        self._ended = threading.Event()

    def add(self, placed: Placed) -> Replica:
        replica = Replica(placed, self.images)
        self.replicas.setdefault(placed.app, []).append(replica)
        replica.start()
        return replica

    def remove(self, replica: Replica) -> None:
        self.replicas[replica.placed.app].remove(replica)
        with replica.lock:
            replica.stop()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have every service used while the block runs; stop all that runs in the end."""
        threads = [threading.Thread(target=self._use, args=(app,)) for app in self.replicas]
        try:
            for thread in threads:
                thread.start()
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
            self.close()

    def close(self) -> None:
        """Stop all that runs; what failed to start may have left others."""
        for replica in [one for each in self.replicas.values() for one in each]:
            replica.stop()

    def _use(self, app: str) -> None:
        number = 0
        while not self._ended.is_set():
            for replica in list(self.replicas[app]):
                with replica.lock:
                    if replica.is_up and not self._ended.is_set():
                        number += 1
                        self._one(replica, app in PROBED and not number % PROBE_EVERY)
                pause(self.pace_s)

    def _one(self, replica: Replica, is_probed: bool) -> None:
        try:
            replica.service.use(self.client, replica.placed.at.address)
            if is_probed:
                replica.probe()
            self.uses += 1
        except Exception as error:
            self.trouble.append(f"{replica.placed.app}: {error!r}"[:300])
