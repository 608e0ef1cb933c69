"""What `ethogram profiles` asks the API server, and tells it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from ethogram.cli.kubernetes_option import Where
from ethogram.cli.screen import say
from ethogram.errors import EthogramError, UsageError
from profiler.cluster.access import Access, in_cluster
from profiler.cluster.annotation import AnnotatingClient, annotate_node, annotation_of
from profiler.cluster.client import ClusterError, ReadOnlyClient, RefusedError
from profiler.cluster.kubeconfig import from_kubeconfig

__all__ = ["NodeReport", "pods_of"]


def pods_of(where: Where, node: str) -> list[dict[str, Any]]:
    """Return the pods of *node*; where they cannot all be had, nothing may be deleted."""
    client = ReadOnlyClient(_access(where))
    query = {"fieldSelector": f"spec.nodeName={node}"}
    try:
        parts = list(client.list("/api/v1/pods", query))
        return [pod for part in parts for pod in part.get("items") or [] if isinstance(pod, dict)]
    except ClusterError as error:
        raise EthogramError(
            f"the API server does not tell which pods run on `{node}`: {error}",
            hint="nothing was deleted; run it again",
        ) from error
    finally:
        client.close()


class NodeReport:
    """Keeps the annotation of Node *node* at what is held, until *stop* is set."""

    def __init__(self, where: Where, node: str, stop: threading.Event) -> None:
        self._where = where
        self._node = node
        self._stop = stop
        self._told: str | None = None

    def tell(self, names: Iterable[str]) -> EthogramError | None:
        """Write that the node holds *names*; return what went wrong, the same thing only once."""
        try:
            self._write(annotation_of(names))
        except EthogramError as error:
            is_new, self._told = error.message != self._told, error.message
            return error if is_new else None
        if self._told is not None:
            say(f"Node `{self._node}` says again what it holds")
        self._told = None
        return None

    def _write(self, value: str) -> None:
        client = AnnotatingClient(_access(self._where))
        try:
            annotate_node(client, self._node, value, wait=self._stop.wait)
        except ClusterError as error:
            raise EthogramError(
                f"Node `{self._node}` does not say what it holds: {error}", hint=_hint(error)
            ) from error
        finally:
            client.close()


def _hint(error: ClusterError) -> str | None:
    match error:
        case RefusedError(status=403):
            return "the account may not: component `deploy/kubernetes/node-annotation` lets it"
        case RefusedError(status=404):
            return "`--node` is a name that `kubectl get nodes` has"
        case _:
            return None


def _access(where: Where) -> Access:
    match where.kind:
        case "in-cluster":
            return in_cluster()
        case "kubeconfig":
            return from_kubeconfig(where.file, where.context)
        case _:
            raise UsageError("an API server is asked here: `in-cluster` or `kubeconfig`")
