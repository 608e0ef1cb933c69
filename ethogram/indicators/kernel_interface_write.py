"""A container that tells the kernel which program to start, or tries to."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.predicates import Mask, also, has_any, matching, outside_runtime, word_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_FILES = (
    r"proc/sys/kernel/(?:core_pattern|modprobe|hotplug|poweroff_cmd|sysrq|usermodehelper/[^/]+)$"
    r"|proc/sysrq-trigger$|proc/sys/fs/binfmt_misc/[^/]+$|sys/kernel/uevent_helper$"
)
_OPENED = rf"(?:^|/)(?:{_FILES})"
_ROOTS = r"(?:proc/[^/]+/(?:task/[^/]+/)?(?:root|cwd)/)*"
_TRIED = rf"^/{_ROOTS}(?:{_FILES}|sys/fs/cgroup/(?:.*/)?release_agent$)"
_RELEASE_AGENT = r"/release_agent$"
_FIRST_MAJOR = 1 << 20  # below it no disk is: procfs, cgroups, tmpfs


def _bad(rows: pa.Table) -> Mask:
    """Judge by the path, and by what the file system can be: a name alone is only a name.

    A file of the image, or of a disk, is neither procfs nor a cgroup. That this kernel lacks
    what was asked for makes it no better.
    """
    inside = pc.and_(rows.column("instance_is_container"), outside_runtime(rows))
    writes = pc.and_(inside, has_any(rows.column("access"), Access.WRITE))
    return also(writes, lambda: _is_one(rows))


def _is_one(rows: pa.Table) -> Mask:
    path, failed = rows.column("path"), pc.is_valid(rows.column("errno"))
    no_disk = pc.and_(
        word_is(rows.column("in_image"), "unknown"),
        pc.less(rows.column("dev"), pa.scalar(_FIRST_MAJOR, pa.uint64())),
    )
    real = pc.or_(matching(path, _OPENED), matching(path, _RELEASE_AGENT))
    return pc.if_else(failed, matching(path, _TRIED), pc.and_(real, no_disk))


INDICATOR = Rule(
    IndicatorMetadata(
        id="kernel-interface-write",
        title="Program that the kernel starts set from a container",
        reason="the kernel executes what it says on the host, as root; attempts count",
        table="files",
        severity="critical",
        attack=(Technique("T1611"),),
        confidence="high",
        compliance=CONTAINMENT,
    ),
    bad=_bad,
    suspect=everything,
)
