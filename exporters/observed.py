"""Whether the recordings behind a baseline looked at what a policy is about."""

from __future__ import annotations

from collections.abc import Collection

from ethogram.contracts.baseline import Baseline, Dimension
from ethogram.contracts.escape import printable
from ethogram.contracts.reach import dimensions_in_words
from ethogram.errors import ExportError

__all__ = ["require_observed"]


def require_observed(baseline: Baseline, needed: Collection[Dimension]) -> None:
    """Raise `ExportError` where a policy would take for undone what nobody looked at."""
    missing = [name for name in baseline.observation.not_observed or () if name in needed]
    if missing:
        subject = baseline.subject
        raise ExportError(
            f"{printable(subject.kind)} `{printable(subject.name)}` was recorded without a look at"
            f" {dimensions_in_words(missing)}: a policy would refuse what nobody knows of",
            hint="record it with `--loader core --tier full`, and learn again",
        )
