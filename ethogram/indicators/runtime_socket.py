"""A connection to the socket of a container runtime."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.predicates import Mask, among, by_tool, matching, outside_runtime, word_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR", "RUNTIME_SOCKETS"]

# In a path as it is and in one that is escaped. Shims had abstract names once (CVE-2020-15257).
RUNTIME_SOCKETS = (
    r"(?:docker|containerd|crio|podman|dockershim|cri-dockerd|buildkitd?|kubelet)"
    r"[a-z0-9_.-]*\.sock(?:\.ttrpc)?$|containerd-shim|/containerd/s/[0-9a-f]+$"
    r"|/(?:lxd|incus)/unix\.socket$"
)
_UNIX = 1


def _bad(rows: pa.Table) -> Mask:
    """Judge by the path that the socket was bound to, whatever name it was reached by."""
    out = pc.and_(word_is(rows.column("direction"), "out"), outside_runtime(rows))
    unix = pc.and_(out, pc.equal(rows.column("family"), _UNIX))
    return among(rows, unix, lambda some: matching(some.column("unix_path"), RUNTIME_SOCKETS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="runtime-socket",
        title="Socket of a container runtime connected",
        reason="who can talk to the runtime can become root of the host",
        table="network",
        severity="high",
        attack=(Technique("T1611"), Technique("T1609")),
        confidence="high",
        compliance=CONTAINMENT,
        gate="baseline",
    ),
    bad=_bad,
    suspect=by_tool,
)
