"""Which labels of a pod Cilium's policies see: those that make its security identity."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["POD_NAMESPACE_LABEL", "identity_labels", "is_identity_label"]

POD_NAMESPACE_LABEL = "k8s:io.kubernetes.pod.namespace"

# Cilium's default, as "Limiting Identity-Relevant Labels" of its documentation lists it (1.19):
# patterns that match at the beginning of a key. What is ignored makes no identity, so that a
# selector which names it picks nobody.
_INCLUDED = re.compile(
    r"io\.kubernetes\.pod\.namespace|io\.cilium\.k8s\.namespace\.labels|app\.kubernetes\.io"
    r"|io\.cilium\.k8s\.policy\.cluster"
)
_IGNORED = re.compile(
    r"io\.kubernetes|kubernetes\.io|statefulset\.kubernetes\.io/pod-name"
    r"|apps\.kubernetes\.io/pod-index|batch\.kubernetes\.io/job-completion-index"
    r"|batch\.kubernetes\.io/controller-uid|.*beta\.kubernetes\.io|k8s\.io"
    r"|pod-template-generation|pod-template-hash|controller-revision-hash|annotation|controller-uid"
    r"|etcd_node"
)


def is_identity_label(key: str) -> bool:
    """Return whether Cilium, as it is installed, sees the label *key* of a pod."""
    return bool(_INCLUDED.match(key)) or not _IGNORED.match(key)


def identity_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return those of *labels* that Cilium sees, in their order."""
    return {key: value for key, value in labels.items() if is_identity_label(key)}
