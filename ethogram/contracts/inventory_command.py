"""How an inventory is made: what messages, help and documents tell people to run."""

from __future__ import annotations

__all__ = ["INVENTORY_COMMAND"]

# Owners besides the pods: a policy picks pods by the selector of their highest owner.
INVENTORY_COMMAND = (
    "kubectl get pods,services,endpointslices,nodes,namespaces,replicasets,deployments,"
    "statefulsets,daemonsets -A -o json"
)
