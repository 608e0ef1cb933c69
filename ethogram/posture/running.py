"""What pods that run tell of a finding: how many show it, since when, and which images they run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ethogram.posture.findings import PostureFinding
from ethogram.posture.objects import KubeObject
from ethogram.posture.pods import mapping, sequence, text

__all__ = ["with_pods"]

_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_DIGEST = re.compile(r"(?:^|@)(sha256:[0-9a-f]{64})$")
_MOST_DIGESTS = 8


def with_pods(
    finding: PostureFinding, one: KubeObject, pods: Sequence[KubeObject], now: datetime | None
) -> PostureFinding:
    """Return *finding* with what *pods* tell that show it; *now* is when a live cluster was asked.

    It was there when the oldest of them was made, or else *one*, the object that was read: that is
    what can be known without a history. Objects that no API server made say nothing of time.
    """
    nodes = {text(pod.spec.get("nodeName")) for pod in pods} - {""}
    made = [moment for each in pods or [one] if (moment := _made(each)) is not None]
    first = min(made, default=None)
    digests = sorted({digest for pod in pods for digest in _digests(pod, finding.container)})
    return replace(
        finding, pods=len(pods), nodes=len(nodes), image_digests=tuple(digests[:_MOST_DIGESTS]),
        first_seen=first, last_seen=now if first is not None else None,
    )  # fmt: skip


def _made(one: KubeObject) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text(one.metadata.get("creationTimestamp")))
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _digests(pod: KubeObject, container: str) -> set[str]:
    """Return the digests of the image that *container* runs, as the status of *pod* has them."""
    if not container:
        return set()
    status = mapping(pod.body.get("status"))
    entries = (mapping(each) for name in _STATUSES for each in sequence(status.get(name)))
    found = (_DIGEST.search(text(each.get("imageID"))) for each in entries
             if each.get("name") == container)  # fmt: skip
    return {match[1] for match in found if match}
