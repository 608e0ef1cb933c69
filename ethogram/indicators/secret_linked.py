"""A second name for a file with secrets: opened under that, no rule about its path knows it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import SECRETS
from ethogram.indicators.predicates import Mask, also, has_any, matching, outside_runtime
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_SECRETS = (
    r"/(?:g?shadow-?|master\.passwd|opasswd|krb5\.keytab)$"
    r"|/etc/ssh/ssh_host_[a-z0-9_]+_key$|/\.ssh/(?:id_[a-z0-9_]+|identity)$"
    r"|/var/lib/kubelet/pki/[^/]+$|/run/secrets/(?:.*/)?[a-z-]*token$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge by the name that the file had; the new one may be any."""
    linked = pc.and_(has_any(rows.column("access"), Access.LINK), outside_runtime(rows))
    is_old = pc.invert(has_any(rows.column("access"), Access.MAKE))
    return also(pc.and_(linked, is_old), lambda: matching(rows.column("path"), _SECRETS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="secret-linked",
        title="File with secrets given a second name",
        reason="under another name it can be read without its own being seen; attempts count",
        table="files",
        severity="high",
        attack=(Technique("T1003.008"), Technique("T1552.004")),
        confidence="medium",
        compliance=SECRETS,
    ),
    bad=_bad,
    suspect=everything,
)
