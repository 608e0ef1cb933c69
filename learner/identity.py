"""Which rows make one baseline: workloads that share a file name, whatever cluster or digest."""

from __future__ import annotations

from typing import NamedTuple

from ethogram.contracts.baseline import Subject
from ethogram.contracts.escape import escape
from ethogram.contracts.keys import parse_workload_key
from ethogram.errors import RecordingError

__all__ = ["Identity", "identity_of", "identity_of_subject"]


class Identity(NamedTuple):
    """Namespace, kind, name and container, escaped; empty where one does not apply."""

    namespace: str
    kind: str
    name: str
    container: str


def identity_of(key: str) -> Identity:
    """Return the identity of a workload's *key*; `RecordingError` where it is none."""
    try:
        parts = parse_workload_key(key)
    except ValueError as error:
        raise RecordingError(
            f"the summary has a malformed workload key: {error}",
            hint="summarize the recordings again with this version",
        ) from error
    return Identity(
        escape(parts.namespace or ""),
        escape(parts.kind),
        escape(parts.name),
        escape(parts.container or ""),
    )


def identity_of_subject(subject: Subject) -> Identity:
    """Return the identity of the workload that a baseline was learnt from."""
    return Identity(subject.namespace or "", subject.kind, subject.name, subject.container or "")
