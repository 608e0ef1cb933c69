"""What an API server with the Security Profiles Operator's CRD refuses of a SeccompProfile.

The structure is the published one of `security-profiles-operator.x-k8s.io`, v1 (cluster-scoped)
and v1beta1 (of a namespace; whether `errnoRet` is text or a number differs between its releases).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jsonschema

from exporters.kubernetes import is_dns_label, is_subdomain

__all__ = ["refused"]

GROUP = "security-profiles-operator.x-k8s.io"
ACTIONS = [
    f"SCMP_ACT_{name}"
    for name in (
        *("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG"),
        "NOTIFY",
    )
]
OPERATORS = [f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")]
ARCHITECTURES = [
    f"SCMP_ARCH_{name}"
    for name in (
        *("NATIVE", "X86", "X86_64", "X32", "ARM", "AARCH64", "MIPS", "MIPS64", "MIPS64N32"),
        *("MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390", "S390X"),
        *("PARISC", "PARISC64", "RISCV64"),
    )
]
FLAGS = [
    f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV")
]
INT64 = {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _schema(*, is_v1: bool) -> dict[str, Any]:
    argument = _object(
        ["index", "op"],
        index={"type": "integer", "minimum": 0, "maximum": 5},
        value=INT64,
        valueTwo=INT64,
        op={"enum": OPERATORS},
    )
    # v1beta1: text in older releases, a number in newer ones, so that neither is right in all.
    errno = {"errnoRet": {"type": "integer", "minimum": 0, "maximum": 4095}} if is_v1 else {}
    call = _object(
        ["action", "names"],
        names={"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        action={"enum": ACTIONS},
        args={"type": "array", "items": argument, "maxItems": 6},
        **errno,
    )
    return _object(
        ["defaultAction"],
        state={"enum": ["Enabled", "Disabled"]},
        baseProfileName={"type": "string"},
        defaultAction={"enum": ACTIONS[:-1]},
        architectures={
            "type": "array",
            "items": {"enum": ARCHITECTURES},
            "uniqueItems": True,
        },
        listenerPath={"type": "string", "pattern": "^/var/run/security-profiles-operator/[^/]+$"},
        listenerMetadata={"type": "string"},
        flags={"type": "array", "items": {"enum": FLAGS}, "uniqueItems": True},
        syscalls={"type": "array", "items": call},
    )


def refused(document: Mapping[str, Any]) -> list[str]:
    """Return what an API server would say against *document*; nothing where it takes it."""
    version = str(document.get("apiVersion"))
    is_v1 = version == f"{GROUP}/v1"
    found = []
    if version not in (f"{GROUP}/v1", f"{GROUP}/v1beta1") or document["kind"] != "SeccompProfile":
        found.append(f"no such kind: {version}")
    metadata = document["metadata"]
    if not is_subdomain(metadata["name"]):
        found.append(f"name: {metadata['name']}")
    if is_v1 and "namespace" in metadata:
        found.append("cluster-scoped objects have no namespace")
    if not is_dns_label(metadata.get("namespace", "x")):
        found.append(f"namespace: {metadata['namespace']}")
    found += [key for key in metadata.get("annotations", {}) if not re.fullmatch(r"[\w./-]+", key)]
    validator = jsonschema.Draft202012Validator(_schema(is_v1=is_v1))
    found += [error.message for error in validator.iter_errors(document["spec"])]
    return found
