"""Pods of the soak: each has a name, an owner, an address and an image before it runs."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.inventory import PlacedPod, inventory
from demo.network import Attachment, Network
from demo.oci import Pod

__all__ = ["CRON", "Cluster", "Placed", "image_of"]

CRON = "backup"


@dataclass(frozen=True, slots=True)
class Placed:
    """A pod of workload *app* and its place in the network."""

    app: str
    version: int
    at: Attachment
    pod: Pod
    owner: str


@dataclass(slots=True)
class Cluster:
    """All pods of one namespace; they are planned first, because an inventory is read once."""

    network: Network
    namespace: str
    client: Attachment
    pods: list[Placed] = field(default_factory=list)

    def place(self, app: str, version: int = 1) -> Placed:
        """Plan a pod of Deployment *app*."""
        replica_set = f"{app}-{_digits(f'{self.namespace}{app}{version}')}"
        return self._place(app, version, replica_set, f"{replica_set}-{secrets.token_hex(3)[:5]}")

    def place_job(self, number: int) -> Placed:
        """Plan the pod of run *number* of the CronJob."""
        job = f"{CRON}-{29_000_000 + number}"
        return self._place(CRON, 1, job, f"{job}-{secrets.token_hex(3)[:5]}")

    def write(self, file: Path) -> Path:
        """Write what `kubectl` would print of them."""
        services = [one for one in self.pods if one.app != CRON]
        listed = [_listed(one) for one in services]
        document = inventory(self.namespace, listed)
        document["items"] += [
            item for one in self.pods if one.app == CRON for item in self._job(one)
        ]
        document["items"].append(_object("batch/v1", "CronJob", CRON, self.namespace))
        document["items"].append(self._client())
        file.write_text(json.dumps(document))
        return file

    def _place(self, app: str, version: int, owner: str, name: str) -> Placed:
        pod = Pod(self.namespace, name, str(uuid.uuid4()), "main", image_of(app, version))
        at = self.network.attach(f"{len(self.pods)}{self.namespace[:1]}")
        placed = Placed(app, version, at, pod, owner)
        self.pods.append(placed)
        return placed

    def _job(self, placed: Placed) -> list[dict[str, Any]]:
        job = _object("batch/v1", "Job", placed.owner, self.namespace, ("CronJob", CRON))
        found = _object("v1", "Pod", placed.pod.name, self.namespace, ("Job", placed.owner))
        found["metadata"]["uid"] = placed.pod.uid
        found["metadata"]["labels"] = {"batch.kubernetes.io/job-name": placed.owner}
        found["spec"] = {"containers": [{"name": "main", "image": placed.pod.image}]}
        found["status"] = {"phase": "Running", "podIP": placed.at.address}
        return [job, found]

    def _client(self) -> dict[str, Any]:
        pod = _object("v1", "Pod", "ingress-0", self.namespace)
        pod["metadata"]["labels"] = {"app.kubernetes.io/name": "ingress"}
        pod["spec"] = {"containers": [{"name": "main", "image": image_of("ingress", 1)}]}
        pod["status"] = {"phase": "Running", "podIP": self.client.address}
        return pod


def image_of(app: str, version: int) -> str:
    """Return a reference with the digest that this version has everywhere."""
    return f"registry.test/{app}@sha256:{hashlib.sha256(f'{app}:{version}'.encode()).hexdigest()}"


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _listed(one: Placed) -> PlacedPod:
    return PlacedPod(one.pod, one.app, one.owner, one.at.address, secrets.token_hex(32))


def _object(
    version: str, kind: str, name: str, namespace: str, owner: tuple[str, str] | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if owner:
        api = "batch/v1"
        reference = {"apiVersion": api, "kind": owner[0], "name": owner[1], "controller": True}
        metadata["ownerReferences"] = [reference]
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
