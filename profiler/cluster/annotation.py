"""What a node holds, as an annotation of its Node: the one thing that ethogram writes to a cluster.

A profile's name ends in the digest of its content, so names alone say what there is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from profiler.cluster.client import ClusterError, ReadOnlyClient, RefusedError
from profiler.cluster.reflector import pause_s

__all__ = ["ANNOTATION", "AnnotatingClient", "annotate_node", "annotation_of"]

ANNOTATION = "ethogram.dev/seccomp-profiles"
# All annotations of an object together have 256 KiB, and others annotate nodes, too.
_LIMIT_BYTES = 64 << 10
_ATTEMPTS = 4
_MOST_WAIT_S = 30.0


def annotation_of(names: Iterable[str]) -> str:
    """Return the value for a node that holds the profiles *names*: the same for the same ones.

    `count` and `sha256`, of the names each with a newline, are of all. Where `profiles` would be
    too long its end is left out, and `truncated` says so.
    """
    held = sorted(set(names))
    digest = hashlib.sha256("".join(f"{name}\n" for name in held).encode()).hexdigest()
    document: dict[str, Any] = {"count": len(held), "sha256": digest, "profiles": held}
    text = _compact(document)
    if len(text) <= _LIMIT_BYTES:
        return text
    left = _LIMIT_BYTES - len(_compact({**document, "profiles": [], "truncated": True}))
    kept = 0
    for name in held:
        left -= len(_compact(name)) + 1
        if left < 0:
            break
        kept += 1
    return _compact({**document, "profiles": held[:kept], "truncated": True})


class AnnotatingClient(ReadOnlyClient):
    """Reads, and changes this annotation of a Node."""

    def annotate(self, node: str, value: str) -> bool:
        """Make the annotation of *node* hold *value*; False where it did. Raises `ClusterError`."""
        path = f"/api/v1/nodes/{quote(node, safe='')}"
        match self.get(path):
            case {"metadata": {"annotations": dict(known)}} if known.get(ANNOTATION) == value:
                return False
        patch = {"metadata": {"annotations": {ANNOTATION: value}}}
        self._document(path, {"fieldManager": "ethogram"}, json.dumps(patch).encode())
        return True


def annotate_node(
    client: AnnotatingClient, node: str, value: str, *, wait: Callable[[float], bool]
) -> bool:
    """Do so, again where the server does not answer; `wait(SECONDS)` returns whether to give up.

    Raises the last `ClusterError`; a refusal at once.
    """
    for failures in range(_ATTEMPTS):
        try:
            return client.annotate(node, value)
        except RefusedError:
            raise
        except ClusterError as error:
            pause = max(pause_s(failures), min(error.after_s, _MOST_WAIT_S))
            if failures + 1 == _ATTEMPTS or wait(pause):
                raise
    raise AssertionError("unreachable")


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
