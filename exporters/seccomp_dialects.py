"""The documents that say what a profile allows: one form for each reader of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ethogram.contracts.artifacts import Artifact
from ethogram.contracts.baseline import Baseline, Subject
from ethogram.contracts.file_names import safe_part
from ethogram.contracts.policy_seccomp import ARCHITECTURES
from exporters.files import artifact_of
from exporters.kubernetes import (
    annotations_of,
    dump_documents,
    is_dns_label,
    kind_part,
    object_name,
)
from exporters.protocol import Finding, Options
from exporters.seccomp_choices import Choices
from exporters.seccomp_content import Content

__all__ = ["dialect_findings", "profile_artifact"]

# An unknown call answers so: a C library then falls back to an older call, where EPERM would be
# an error. It also makes gaps and new calls behave alike under runc, which answers ENOSYS for
# numbers above the largest one listed unless the profile does.
_ENOSYS = 38
_EPERM = 1
# Below the kubelet's seccomp directory.
_FOLDER = "ethogram"
_OPERATORS_FOLDER = "operator"
_DIGEST_LENGTH = 12
# The operator puts `.json` behind it, and a file's name has 255 bytes.
_NAME_LENGTH = 250
_GROUP = "security-profiles-operator.x-k8s.io"
_COMMENTS: Mapping[str, str] = {
    "observed": "observed",
    "runtime": "the container runtime calls it under the filter",
    "always": "signals, sleeping, waiting and the end of a process",
    "tolerance": "not observed: does what an observed call does",
}


def profile_artifact(
    baseline: Baseline, options: Options, choices: Choices, content: Content, target: str
) -> Artifact:
    """Return the profile in the dialect that was chosen, with the name that pods ask for it by."""
    if choices.dialect.startswith("spo"):
        return _operators(baseline, options, choices, content, target)
    profile = _head(choices, content) | {"syscalls": _entries(choices, content)}
    text = json.dumps(profile, indent=2) + "\n"
    artifact = artifact_of(baseline.subject, target, "json", text.encode())
    return replace(artifact, installs_as=_installed(artifact, baseline.subject))


def dialect_findings(baseline: Baseline, choices: Choices) -> Iterator[Finding]:
    """Yield what the chosen dialect cannot say of the profile."""
    if choices.dialect == "docker":
        yield Finding(
            "info",
            "the `comment` of each group is for Docker and podman: containerd and CRI-O pass over"
            " it, and allow just the same",
        )
    if choices.dialect == "spo" and choices.enforce:
        yield Finding(
            "warning",
            "the operator's object has no default errno: every call that this version knows and"
            " does not allow is listed with ENOSYS, and what is left gets EPERM",
            hint="what is left: calls newer than this version, and arguments that are not allowed",
        )
    if choices.dialect == "spo-v1beta1" and choices.enforce:
        yield Finding(
            "warning",
            "what is not allowed gets EPERM: the operator's object has no default errno, and"
            " releases differ in whether `errnoRet` is text or a number in v1beta1. A C library"
            " does not fall back to an older call then",
            hint="`--dialect spo` writes v1, which answers ENOSYS; `--set tolerance=yes` helps too",
        )
    namespace = baseline.subject.namespace
    if choices.dialect == "spo-v1beta1" and not (namespace and is_dns_label(namespace)):
        yield Finding(
            "warning",
            "the workload has no namespace, and v1beta1 is of one: the object lands in whichever"
            " namespace it is applied to, and no policy can name its file",
        )


def _head(choices: Choices, content: Content) -> dict[str, Any]:
    profile: dict[str, Any] = {"defaultAction": "SCMP_ACT_LOG"}
    if choices.enforce:
        profile = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": _ENOSYS}
    if choices.log_denied:
        profile["flags"] = ["SECCOMP_FILTER_FLAG_LOG"]
    return profile | {"architectures": [ARCHITECTURES[arch] for arch in content.archs]}


def _entries(choices: Choices, content: Content) -> list[dict[str, Any]]:
    plain = [name for name in content.calls if name not in content.filters]
    if choices.dialect == "docker":
        groups = [
            ([name for name in plain if content.calls[name].why == why], {"comment": comment})
            for why, comment in _COMMENTS.items()
        ]
    else:
        groups = [(plain, {})]
    entries: list[dict[str, Any]] = [
        {"names": names, "action": "SCMP_ACT_ALLOW", **more} for names, more in groups if names
    ]
    for name, one in content.filters.items():
        more = {"comment": f"observed: {one.words}"} if choices.dialect == "docker" else {}
        entries += [
            {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [comparison], **more}
            for comparison in one.comparisons()
        ]
    refused = _refused(choices, content)
    if refused:
        more = {"comment": "refused as asked for"} if choices.dialect == "docker" else {}
        entries.append({"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM, **more})
    return entries


def _refused(choices: Choices, content: Content) -> list[str]:
    """Return the names that get EPERM because somebody asked for it."""
    if not choices.enforce:
        return []
    return [name for name in choices.eperm if name not in content.calls]


def _operators(
    baseline: Baseline, options: Options, choices: Choices, content: Content, target: str
) -> Artifact:
    """Return the object of the Security Profiles Operator, which writes it to every node."""
    is_v1 = choices.dialect == "spo"
    spec = _head(choices, content)
    spec.pop("defaultErrnoRet", None)
    entries = _entries(choices, content)
    if choices.enforce:
        # The default is EPERM here: what asks for it says nothing, what wants ENOSYS has to.
        entries = [entry for entry in entries if entry["action"] == "SCMP_ACT_ALLOW"]
        refused = set(_refused(choices, content))
        absent = [name for name in content.refusable if name not in refused]
        if is_v1 and absent:
            entries.append({"names": absent, "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    spec["syscalls"] = entries
    subject = baseline.subject
    digest = hashlib.sha256(json.dumps(spec).encode()).hexdigest()[:_DIGEST_LENGTH]
    unit = [] if subject.container is None else [subject.container]
    name = object_name("ethogram", kind_part(subject.kind), subject.name, *unit, digest)
    if len(name) > _NAME_LENGTH:
        name = object_name("ethogram", kind_part(subject.kind), digest)
    metadata: dict[str, Any] = {"name": name}
    place: tuple[str, ...] = (_OPERATORS_FOLDER,)
    namespace = subject.namespace if is_dns_label(str(subject.namespace)) else None
    if not is_v1 and namespace is not None:
        metadata["namespace"] = namespace
        place = (_OPERATORS_FOLDER, namespace)
    metadata["labels"] = {"app.kubernetes.io/managed-by": "ethogram"}
    metadata["annotations"] = annotations_of(baseline, options)
    document = {
        "apiVersion": f"{_GROUP}/{'v1' if is_v1 else 'v1beta1'}",
        "kind": "SeccompProfile",
        "metadata": metadata,
        "spec": spec,
    }
    artifact = artifact_of(subject, target, "yaml", dump_documents([document]))
    if not is_v1 and namespace is None:
        return artifact
    return replace(artifact, installs_as="/".join((*place, f"{name}.json")))


def _installed(profile: Artifact, subject: Subject) -> str:
    """Return the name that pods ask for *profile* by.

    A digest of its bytes is in the name: another profile never takes its place on a node, and the
    namespace is not, so that what was learnt in staging has the same name in production.
    """
    parts = (safe_part(part) for part in (subject.name, subject.container) if part is not None)
    digest = hashlib.sha256(profile.content).hexdigest()[:_DIGEST_LENGTH]
    return f"{_FOLDER}/{'-'.join((*parts, digest))}.json"
