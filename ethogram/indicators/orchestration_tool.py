"""A program that commands containers or clusters."""

from __future__ import annotations

import pyarrow as pa

from ethogram.indicators.compliance import TOOLS
from ethogram.indicators.predicates import Mask, among, executed, runs
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_TOOLS = (
    r"kubectl|kubeadm|oc|helm|k9s|crictl|ctr|nerdctl|docker|docker-compose|podman|buildah|skopeo|runc"
    r"|crun|argocd|flux|etcdctl"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec by the name of the program."""
    return among(rows, executed(rows), lambda some: runs(some, _TOOLS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="orchestration-tool",
        title="Tool that commands containers or clusters",
        reason="with somebody's credentials it starts and enters other workloads",
        table="processes",
        severity="medium",
        attack=(Technique("T1609"), Technique("T1613")),
        confidence="medium",
        compliance=TOOLS,
        gate="baseline",
    ),
    bad=_bad,
)
