"""A private key that was opened for reading by something new."""

from __future__ import annotations

import pyarrow as pa

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import SECRETS
from ethogram.indicators.predicates import Mask, also, by_tool, matching, opened
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_KEYS = (
    r"/etc/ssh/ssh_host_[a-z0-9_]+_key$"
    r"|/\.ssh/(?:id_[a-z0-9_]+|identity)$"
    r"|/\.gnupg/(?:private-keys-v1\.d/[^/]+|secring\.gpg)$"
    r"|/etc/ssl/private/[^/]+$"
    r"|/var/lib/kubelet/pki/[^/]+(?:\.key|-current\.pem)$"
    r"|/etc/kubernetes/pki/(?:.*/)?[^/]+\.key$"
    r"|/var/lib/rancher/k3s/(?:server|agent)/(?:.*/)?[^/]+\.key$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge resolved paths of successful opens for reading."""
    return also(opened(rows, Access.READ), lambda: matching(rows.column("path"), _KEYS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="private-key-read",
        title="Private key read",
        reason="a private key was opened by an executable that did not do so while it was learnt",
        table="files",
        severity="high",
        attack=(Technique("T1552.004"),),
        confidence="medium",
        compliance=SECRETS,
        gate="baseline",
    ),
    bad=_bad,
    suspect=by_tool,
)
