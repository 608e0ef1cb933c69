"""What is read of the API server: where it is, and the model that it is read with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import BaseModel

from profiler.identity.kubernetes import (
    Controller,
    EndpointSlice,
    Namespace,
    Node,
    PodObject,
    Service,
)

__all__ = ["RESOURCES", "Resource"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object, in all namespaces. The role of docs/kubernetes.md names the same."""

    kind: str
    path: str
    model: type[BaseModel]

    def at(self, path: str) -> Resource:
        """Return this resource as another server has it."""
        return replace(self, path=path)


RESOURCES = (
    Resource("Pod", "/api/v1/pods", PodObject),
    Resource("Namespace", "/api/v1/namespaces", Namespace),
    Resource("Node", "/api/v1/nodes", Node),
    Resource("Service", "/api/v1/services", Service),
    Resource("EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices", EndpointSlice),
    Resource("ReplicaSet", "/apis/apps/v1/replicasets", Controller),
    Resource("Deployment", "/apis/apps/v1/deployments", Controller),
    Resource("StatefulSet", "/apis/apps/v1/statefulsets", Controller),
    Resource("DaemonSet", "/apis/apps/v1/daemonsets", Controller),
    Resource("Job", "/apis/batch/v1/jobs", Controller),
    Resource("CronJob", "/apis/batch/v1/cronjobs", Controller),
)
