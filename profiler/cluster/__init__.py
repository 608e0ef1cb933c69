"""The cluster's API server as a source of names: pods, their owners, and whose an address is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from profiler.options import ClusterOptions

if TYPE_CHECKING:
    from profiler.cluster.reflector import ResourceState
    from profiler.cluster.store import ClusterStore

__all__ = ["Source", "open_cluster"]


class Source(Protocol):
    """What keeps a store in step between `start` and `close`."""

    @property
    def store(self) -> ClusterStore: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    def states(self) -> Mapping[str, ResourceState]: ...

    def news(self) -> list[str]: ...


def open_cluster(options: ClusterOptions | None, now_ns: Callable[[], int]) -> Source | None:
    """Return the source that *options* name, not yet started; None for None.

    Raises `UsageError` where there is no access. *now_ns* is UTC.
    """
    if options is None:
        return None
    # Not loaded by who asks no cluster: HTTP and TLS take their time and memory.
    from profiler.cluster.access import in_cluster  # noqa: PLC0415
    from profiler.cluster.kubeconfig import from_kubeconfig  # noqa: PLC0415
    from profiler.cluster.kubelet import KubeletSource, kubelet_access  # noqa: PLC0415
    from profiler.cluster.source import ClusterSource  # noqa: PLC0415

    match options.kind:
        case "in-cluster":
            return ClusterSource(in_cluster(), node=options.node, now_ns=now_ns)
        case "kubeconfig":
            access = from_kubeconfig(options.kubeconfig, options.context)
            return ClusterSource(access, node=options.node, now_ns=now_ns)
        case "kubelet":
            return KubeletSource(kubelet_access(options.kubelet), now_ns=now_ns)
