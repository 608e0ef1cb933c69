"""A second name for a file with secrets: opened under that, no rule about its path knows it."""

from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="secret-linked",
        title="File with secrets given a second name",
        reason="under another name it can be read without its own being seen; attempts count",
        table="privileges",
        severity="high",
        attack=(Technique("T1003.008"), Technique("T1552.004")),
    ),
    "link",
    target=(
        r"(?:^|/)(?:g?shadow-?|master\.passwd|opasswd|krb5\.keytab)$"
        r"|/etc/ssh/ssh_host_[a-z0-9_]+_key$|/\.ssh/(?:id_[a-z0-9_]+|identity)$"
        r"|/var/lib/kubelet/pki/[^/]+$|/run/secrets/(?:.*/)?[a-z-]*token$"
    ),
)
