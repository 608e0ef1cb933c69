"""Seccomp profiles: the OCI form, Docker's, podman's, and the operator's object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.policy_seccomp import ARCHITECTURES
from ethogram.errors import ExportError
from exporters.protocol import Artifact
from exporters.review.documents import annotated, listed, part
from exporters.review.protocol import Refined, Relaxed, Told
from exporters.review.seccomp_refine import refine_profile
from exporters.review.seccomp_words import told_profile
from exporters.seccomp_calls import MACHINES

__all__ = ["SeccompReviewer", "reviewer"]

_KIND = "SeccompProfile"
_PERMITTING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
# Of those that go with an errno; a runtime refuses one beside other actions.
_ERRNO_KEYS = ("defaultErrnoRet", "defaultErrno")


@dataclass(frozen=True, slots=True)
class SeccompReviewer:
    """Knows profiles in JSON, and the Security Profiles Operator's `SeccompProfile`."""

    target: str = "seccomp"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are one profile."""
        return len(documents) == 1 and (
            "defaultAction" in documents[0] or documents[0].get("kind") == _KIND
        )

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return the calls that the profile lets through, and what it does about others."""
        (document,) = documents
        profile = part(document, "spec") if document.get("kind") == _KIND else document
        return told_profile(profile)

    def refine(
        self, existing: Sequence[Mapping[str, Any]], made: Artifact, baseline: Baseline
    ) -> Refined:
        """Return the profile *existing*, in OCI form, with what it lacks of *made*."""
        return refine_profile(existing, made, baseline)

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the profile with every call allowed, those that it refused logged.

        The file keeps its name, and so `installs_as` its digest of the bytes before: what names
        the profile, a pod or an admission policy, need not change in the middle of an incident.
        """
        (document,) = documents
        effect = "logs what it refused, through every architecture of its machine"
        notes = ("a filter stays with processes that run: restart them to be rid of it",)
        if document.get("kind") == _KIND:
            copy = annotated(document, reason)
            copy["spec"] = _logging(part(document, "spec"))
            return Relaxed([copy], effect, "kubectl", notes, needs_restart=True)
        return Relaxed([_logging(document)], effect, "node", notes, needs_restart=True)


def reviewer() -> SeccompReviewer:
    """Return the reviewer."""
    return SeccompReviewer()


def _logging(profile: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(profile.get("defaultAction"), str):
        raise ExportError("the seccomp profile is malformed: `defaultAction` is no word")
    copy = deepcopy(dict(profile))
    for key in (*_ERRNO_KEYS, "listenerPath", "listenerMetadata"):
        copy.pop(key, None)
    if copy["defaultAction"] not in _PERMITTING:
        copy["defaultAction"] = "SCMP_ACT_LOG"
    # What is left of a call that had a rule of its own to refuse it is the default: to log.
    copy["syscalls"] = [rule for rule in listed(copy, "syscalls") if _action(rule) in _PERMITTING]
    if archs := listed(copy, "architectures"):
        copy["architectures"] = _every(archs)
    return copy


def _action(rule: Any) -> Any:
    if not isinstance(rule, Mapping):
        raise ExportError("the seccomp profile is malformed: a rule is no mapping")
    return rule.get("action")


def _every(archs: Sequence[Any]) -> list[Any]:
    """Return *archs* and the others of their machines.

    A call through an architecture that is not listed is killed, whatever the default is.
    """
    found = list(archs)
    for members in MACHINES.values():
        words = [ARCHITECTURES[arch] for arch in members]
        if words[0] in archs:
            found += [word for word in words if word not in archs]
    return found
