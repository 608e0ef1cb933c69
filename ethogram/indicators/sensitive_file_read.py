"""Password hashes that were opened for reading."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import SECRETS
from ethogram.indicators.predicates import Mask, also, by_tool, matching, opened, truth, word_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

# Matched at the end of the resolved path, so that a host's file under a mount is seen as well.
_HASHES = (
    r"/etc/g?shadow-?$|/etc/master\.passwd$|/etc/security/opasswd$|/etc/tcb/[^/]+/shadow$"
    r"|/etc/krb5\.keytab$"
)
# A file of the image that was mounted elsewhere: programs that are called so lie beside others.
_ELSEWHERE = r"/g?shadow-?$"
_NO_HASHES = r"^/usr/(?:share|lib|include|src)/"
# What logs people in reads them for a living. By the path: a copy elsewhere is none of these.
_READERS = (
    r"^/(?:usr/)?s?bin/(?:su|sudo|login|passwd|chage|chpasswd|chfn|chsh|newgrp|gpasswd|unix_chkpwd"
    r"|unix_update|user(?:add|mod|del)|group(?:add|mod|del)|pwck|grpck|pwconv|grpconv|vipw|cron"
    r"|crond|atd|sshd|sulogin|runuser|agetty|useradd|nscd|sssd|polkitd|accounts-daemon)$"
    r"|^/usr/lib(?:exec)?/(?:openssh/|ssh/)?sshd-(?:session|auth)$"
    r"|^/(?:usr/)?lib/systemd/(?:systemd(?:-[a-z]+)?|\(sd-pam\))$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge resolved paths of successful opens for reading."""
    path, read = rows.column("path"), opened(rows, Access.READ)
    is_secret = also(read, lambda: pc.or_(matching(path, _HASHES), _is_mounted(rows)))
    return also(is_secret, lambda: pc.invert(_reads_them(rows)))


def _is_mounted(rows: pa.Table) -> Mask:
    path = rows.column("path")
    elsewhere = pc.and_not(matching(path, _ELSEWHERE), truth(matching(path, _NO_HASHES)))
    return pc.and_(elsewhere, word_is(rows.column("in_image"), "yes"))


def _reads_them(rows: pa.Table) -> Mask:
    # One that the container wrote itself is not the image's `su`.
    genuine = pc.invert(truth(rows.column("exe_upper")))
    return pc.and_(truth(matching(rows.column("exe_path"), _READERS)), genuine)


INDICATOR = Rule(
    IndicatorMetadata(
        id="sensitive-file-read",
        title="Password hashes read",
        reason="password hashes were opened for reading, by a program that logs nobody in",
        table="files",
        severity="high",
        attack=(Technique("T1003.008"),),
        confidence="high",
        compliance=SECRETS,
    ),
    bad=_bad,
    suspect=by_tool,
)
