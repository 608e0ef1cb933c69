"""The cluster as a session uses it: a store, and the threads that keep it in step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from profiler.cluster.access import Access
from profiler.cluster.client import ReadOnlyClient
from profiler.cluster.reflector import Reflector, ResourceState
from profiler.cluster.resources import RESOURCES
from profiler.cluster.store import ClusterStore

__all__ = ["ClusterSource"]


class ClusterSource:
    """Follows the API server of *access* between `start` and `close`.

    *node* limits the pods to those of one node: then peers elsewhere are addresses. *now_ns* is
    UTC, by the clock of the recording.
    """

    def __init__(
        self,
        access: Access,
        *,
        node: str | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.store = ClusterStore()
        self._client = ReadOnlyClient(access)
        self._stop = threading.Event()
        pods = {"fieldSelector": f"spec.nodeName={node}"} if node else {}
        self._reflectors = [
            Reflector(
                self._client,
                resource,
                self.store,
                query=pods if resource.kind == "Pod" else {},
                now_ns=now_ns,
                stop=self._stop,
                changed=self._changed,
            )
            for resource in RESOURCES
        ]

    def start(self) -> None:
        """Begin, in threads that have the privileges of this one."""
        for reflector in self._reflectors:
            reflector.start()

    def close(self) -> None:
        """End the threads; what is known stays."""
        self._stop.set()
        self._client.close()
        for reflector in self._reflectors:
            reflector.end()

    def states(self) -> Mapping[str, ResourceState]:
        """Return how each resource stands, by its kind."""
        return {one.name.partition(" ")[2]: one.state for one in self._reflectors}

    def news(self) -> list[str]:
        """Return what went wrong, or is well again, since the last time: a line for each kind."""
        return [line for one in self._reflectors for line in one.news("the API server")]

    def _changed(self) -> None:
        self.store.is_complete = all(one.state.is_listed for one in self._reflectors)
