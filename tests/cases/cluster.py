"""The pods of the cases: each container is one of a Deployment of its kind.

`ethogram watch` tells a finding once for a workload and then counts it. So that one case does not
hide another, each has a namespace of its own, and with it workloads of its own; a baseline applies
to a workload of its name in any namespace.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections import defaultdict
from pathlib import Path

from demo.inventory import PlacedPod, inventory
from demo.oci import Pod
from tests.cases.catalogue import Kind
from tests.cases.kinds import workload_of

__all__ = ["CONTAINER", "PRODUCTION", "STAGING", "Cluster", "namespace_of"]

STAGING, PRODUCTION = "cases-staging", "cases"
CONTAINER = "app"
IMAGE = "registry.example/cases/app:1"
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def namespace_of(case_id: str) -> str:
    """Return the production namespace in which the case runs, and nothing else does."""
    return f"{PRODUCTION}-{case_id.lower()}"


class Cluster:
    """Pods by namespace; `write` makes the inventory that names them all."""

    def __init__(self) -> None:
        self._pods: dict[str, list[PlacedPod]] = defaultdict(list)
        self._count = 0

    @property
    def namespaces(self) -> list[str]:
        return sorted(self._pods)

    def place(self, kind: Kind, namespace: str) -> PlacedPod:
        """Return one more pod of the Deployment of *kind* in *namespace*."""
        app = workload_of(kind)
        replica_set = f"{app}-6d5f8c9b7"
        suffix = "".join(secrets.choice(NAME_LETTERS) for _ in range(5))
        pod = Pod(namespace, f"{replica_set}-{suffix}", str(uuid.uuid4()), CONTAINER, IMAGE)
        # No container has a link but `lo`; an address makes the pod one that a cluster could have.
        self._count += 1
        upper, lower = divmod(self._count, 250)
        address = f"10.88.{upper}.{lower + 1}"
        placed = PlacedPod(pod, app, replica_set, address, secrets.token_hex(32))
        self._pods[namespace].append(placed)
        return placed

    def write(self, file: Path) -> Path:
        """Write what `kubectl get pods,...` would print of this cluster, and return *file*."""
        items = []
        for namespace, pods in self._pods.items():
            items += [
                item
                for item in inventory(namespace, pods)["items"]
                if item["kind"] not in {"Service", "EndpointSlice"} and item not in items
            ]
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        file.write_text(json.dumps(document, indent=1))
        return file
