"""Names from the node's own kubelet, where there is no API server: the pods that it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from profiler.cluster.access import ACCOUNT, Access, account_access
from profiler.cluster.client import ReadOnlyClient
from profiler.cluster.reflector import Reflector, ResourceState
from profiler.cluster.resources import RESOURCES
from profiler.cluster.store import ClusterStore

__all__ = ["KubeletSource", "kubelet_access"]

_DEFAULT = "https://127.0.0.1:10250"
_EVERY_S = 2.0


def kubelet_access(url: str | None, account: Path = ACCOUNT) -> Access:
    """Return the access to the kubelet at *url*, as the service account at *account*."""
    hint = "the kubelet believes a service account that may `get` `nodes/pods`"
    return account_access((url or _DEFAULT).rstrip("/"), account, hint=hint)


class KubeletSource:
    """Asks the kubelet for its pods every two seconds: it tells of no changes."""

    def __init__(self, access: Access, *, now_ns: Callable[[], int]) -> None:
        self.store = ClusterStore("kubelet")
        self._client = ReadOnlyClient(access)
        self._stop = threading.Event()
        pods = next(one for one in RESOURCES if one.kind == "Pod")
        self._reflector = Reflector(
            self._client,
            pods.at("/pods"),
            self.store,
            query={},
            now_ns=now_ns,
            stop=self._stop,
            changed=self._changed,
            every_s=_EVERY_S,
        )

    def start(self) -> None:
        """Begin, in a thread that has the privileges of this one."""
        self._reflector.start()

    def close(self) -> None:
        """End the thread; what is known stays."""
        self._stop.set()
        self._client.close()
        self._reflector.end()

    def states(self) -> Mapping[str, ResourceState]:
        """Return how the pods stand."""
        return {"Pod": self._reflector.state}

    def news(self) -> list[str]:
        """Return what went wrong, or is well again, since the last time."""
        return self._reflector.news("the kubelet")

    def _changed(self) -> None:
        self.store.is_complete = self._reflector.state.is_listed
