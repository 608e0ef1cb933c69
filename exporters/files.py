"""The files that exporters give: where each stands, and whose it is."""

from __future__ import annotations

from ethogram.contracts.artifacts import Artifact, Reason, artifact_path
from ethogram.contracts.baseline import Subject
from exporters.kubernetes import subject_key

__all__ = ["artifact_of"]


def artifact_of(
    subject: Subject,
    target: str,
    suffix: str,
    content: bytes,
    *,
    installs_as: str | None = None,
    reasons: tuple[Reason, ...] = (),
    left_out: tuple[Reason, ...] = (),
) -> Artifact:
    """Return *content* as the file of *target* for the container, or the unit, *subject*."""
    path = artifact_path(
        namespace=subject.namespace,
        kind=subject.kind,
        name=subject.name,
        unit=subject.container,
        target=target,
        suffix=suffix,
    )
    return Artifact(path, target, subject_key(subject), content, installs_as, reasons, left_out)
