"""A file with secrets that was opened for reading."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rows import SHELLS, base_name_is, truth

__all__ = ["SensitiveFileRead"]

# Matched at the end of the resolved path, so that a host's file under a mount is seen as well.
_SECRETS = (
    r"/etc/g?shadow-?$"
    r"|/etc/master\.passwd$"
    r"|/etc/ssh/ssh_host_[a-z0-9_]+_key$"
    r"|/\.ssh/(?:id_[a-z0-9_]+|identity)$"
    r"|/var/lib/kubelet/pki/"
    r"|/etc/kubernetes/(?:pki/(?:.*/)?[^/]+\.key|[a-z-]+\.conf)$"
)
_TOKENS = r"/run/secrets/(?:kubernetes\.io/serviceaccount|eks\.amazonaws\.com/serviceaccount"
_TOKENS += r"|azure/tokens)/(?:.*/)?[a-z-]*token$"
_TOOLS = (
    rf"{SHELLS}|cat|tac|nl|head|tail|less|more|cp|mv|dd|install|rsync|tar|gzip|bzip2|xz|zip|base64"
    r"|base32|xxd|od|hexdump|strings|e?grep|fgrep|g?awk|mawk|sed|cut|tee|sort|vi|vim|view|nano|ed"
    r"|curl|wget|nc|ncat|netcat|socat|scp|ssh|openssl|find|xargs"
)


class SensitiveFileRead:
    """Judges resolved paths of successful opens for reading.

    An application reads its own service-account token: that is judged only where a shell or a
    tool that copies files reads it. Only these make their process tree suspect; where a service
    reads a secret file, that file alone is.
    """

    metadata = IndicatorMetadata(
        id="sensitive-file-read",
        title="File with secrets read",
        reason="password hashes, private keys or tokens were opened for reading",
        table="files",
        severity="high",
        attack=(Technique("T1003.008"), Technique("T1552.004"), Technique("T1528")),
    )

    def matches(self, rows: pa.Table) -> pa.BooleanArray:
        paths = rows.column("path")
        secret = pc.match_substring_regex(paths, _SECRETS)
        token = pc.match_substring_regex(paths, _TOKENS)
        by_tool = pc.fill_null(base_name_is(rows.column("exe_path"), _TOOLS), False)
        reads = pc.not_equal(
            pc.bit_wise_and(rows.column("access"), pa.scalar(Access.READ, pa.uint16())), 0
        )
        opened = pc.and_(reads, pc.is_null(rows.column("errno")))
        return truth(pc.and_(opened, pc.or_(secret, pc.and_(token, by_tool))))

    def taints(self, rows: pa.Table) -> pa.BooleanArray:
        by_tool = truth(base_name_is(rows.column("exe_path"), _TOOLS))
        return pc.and_(self.matches(rows), by_tool)
