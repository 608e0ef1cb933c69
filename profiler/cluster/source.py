"""The cluster as a session uses it: a store, and the threads that keep it in step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from profiler.cluster.access import Access
from profiler.cluster.client import ReadOnlyClient
from profiler.cluster.reflector import Reflector, ResourceState
from profiler.cluster.resources import RESOURCES
from profiler.cluster.store import ClusterStore

__all__ = ["ClusterSource"]

_JOIN_S = 2.0


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
        self._told: dict[str, str] = {}
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
            if reflector.ident is not None:
                reflector.join(_JOIN_S)

    def states(self) -> Mapping[str, ResourceState]:
        """Return how each resource stands, by its kind."""
        return {one.name.partition(" ")[2]: one.state for one in self._reflectors}

    def news(self) -> list[str]:
        """Return what went wrong, or is well again, since the last time: a line for each kind."""
        lines = []
        for kind, state in self.states().items():
            before, now = self._told.get(kind), state.trouble
            if now == before:
                continue
            if now is None:
                lines.append(f"the API server tells of {kind} objects again")
                self._told.pop(kind, None)
            else:
                lines.append(f"{kind} objects are not told of: {now}")
                self._told[kind] = now
        return lines

    def _changed(self) -> None:
        self.store.is_complete = all(one.state.is_listed for one in self._reflectors)


def rows_as_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return *rows* of one table as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}
