"""What the exporters of Kubernetes objects share: names, labels, and YAML.

An API server refuses a whole file for one bad label, and schemas do not check names: what goes
into an object is checked here, by the rules of `k8s.io/apimachinery/pkg/util/validation`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ethogram.contracts.baseline import Baseline, Subject
from ethogram.contracts.keys import workload_key
from ethogram.contracts.labels import VOLATILE_LABELS
from ethogram.contracts.strict_yaml import dump_yaml
from exporters.protocol import Options
from exporters.provenance import facts_about

__all__ = [
    "NAMESPACE_LABEL",
    "annotations_of",
    "dump_documents",
    "is_dns_label",
    "is_label_key",
    "is_label_value",
    "is_subdomain",
    "kind_part",
    "object_name",
    "refused_label",
    "stable_selector",
    "subject_key",
]

# The API server sets it on every namespace (since 1.22), and nobody else can.
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_KINDS = frozenset(
    {
        "CronJob",
        "DaemonSet",
        "Deployment",
        "Job",
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
    }
)
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN_PART = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")
_NAME_LENGTH = 253
_DIGEST_LENGTH = 8


def is_dns_label(text: str) -> bool:
    """Return whether *text* can be the name of a namespace or container: RFC 1123, 63 long."""
    return _DNS_LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Return whether *text* can be the name of most objects: RFC 1123, 253 long."""
    return len(text) <= _NAME_LENGTH and all(map(_SUBDOMAIN_PART.fullmatch, text.split(".")))


def is_label_key(text: str) -> bool:
    """Return whether *text* can be the key of a label: `[subdomain/]name`."""
    prefix, has_prefix, name = text.rpartition("/")
    return (is_subdomain(prefix) if has_prefix else True) and bool(_QUALIFIED.fullmatch(name))


def is_label_value(text: str) -> bool:
    """Return whether *text* can be the value of a label: at most 63 characters, or none."""
    return not text or _QUALIFIED.fullmatch(text) is not None


def refused_label(labels: Mapping[str, str]) -> str | None:
    """Return `key` or `key: value` of the first of *labels* that Kubernetes refuses, or None."""
    for key, value in sorted(labels.items()):
        if not is_label_key(key):
            return key
        if not is_label_value(value):
            return f"{key}: {value}"
    return None


def stable_selector(selector: Mapping[str, str]) -> dict[str, str]:
    """Return *selector*, sorted, without the labels that differ between replicas or revisions."""
    return {key: selector[key] for key in sorted(selector) if key not in VOLATILE_LABELS}


def kind_part(kind: str) -> str:
    """Return *kind* as a part of an object's name: lower case where it is Kubernetes' own.

    Another kind stays as it is, and `object_name` tells two apart that differ in case alone.
    """
    return kind.lower() if kind in _KINDS else kind


def object_name(*parts: str, limit: int = _NAME_LENGTH) -> str:
    """Return *parts*, joined by `.`, as the name of an object: a subdomain of RFC 1123.

    It is at most *limit* long. Where a part had to be changed or cut, or holds a `.` itself, a
    digest of all parts follows, so that different parts never give the same name.
    """
    changed = [_NOT_IN_NAMES.sub("-", part.lower()).strip("-") or "x" for part in parts]
    name = ".".join(changed)
    if changed == list(parts) and len(name) <= limit:
        return name
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(text).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: limit - _DIGEST_LENGTH - 1].rstrip('.-')}-{digest}"


def subject_key(subject: Subject) -> str:
    """Return the key of the workload that *subject* names."""
    return workload_key(
        subject.cluster,
        subject.namespace,
        subject.kind,
        subject.name,
        subject.container,
        subject.image_digest,
        container_kind=subject.container_kind,
    )


def annotations_of(baseline: Baseline, options: Options) -> dict[str, str]:
    """Return the annotations that say what an object was made from; no secret is in them."""
    return {f"ethogram.dev/{name}": text for name, text in facts_about(baseline, options).items()}


def dump_documents(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """Return *documents* as YAML that every reader reads alike, `---` between them."""
    return "---\n".join(map(dump_yaml, documents)).encode()
