"""Whether programs are attached as they were: the kernel says so of each link."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from profiler.libbpf import Link, library

__all__ = ["Attached", "LinkFact", "link_fact"]

_INFO_SIZE = 256
_CGROUP = 3  # enum bpf_link_type
# Offsets in struct bpf_link_info of <linux/bpf.h>, whose fields never move.
_TYPE, _ID, _PROGRAM, _CGROUP_ID = 0, 4, 8, 16


@dataclass(frozen=True, slots=True)
class LinkFact:
    """A link as the kernel knows it; *is_attached* is false for one that was detached."""

    link_id: int
    program_id: int
    is_attached: bool


def link_fact(link_fd: int) -> LinkFact | None:
    """Return what the kernel says of a link, None where *link_fd* is none any more.

    A link to a cgroup that `bpftool link detach` took away stays, with the cgroup 0; others cannot
    be detached while somebody has them open.
    """
    info, size = c.create_string_buffer(_INFO_SIZE), c.c_uint32(_INFO_SIZE)
    if library().bpf_obj_get_info_by_fd(link_fd, info, c.byref(size)):
        return None

    def number(offset: int, length: int = 4) -> int:
        return int.from_bytes(info.raw[offset : offset + length], "little")

    is_gone = number(_TYPE) == _CGROUP and number(_CGROUP_ID, 8) == 0
    return LinkFact(number(_ID), number(_PROGRAM), not is_gone)


class Attached:
    """The links of a session by program, as they were made; `changed` says what became of them."""

    def __init__(self, links: Sequence[tuple[str, Link]]) -> None:
        self._links = [(name, link, link_fact(link.fd)) for name, link in links]

    def changed(self) -> Iterator[tuple[str, str]]:
        """Yield the programs that do not run as they were attached, and what was done to each."""
        for name, link, before in self._links:
            if before is None:
                continue  # the kernel did not say it at first: it does not for links of perf
            now = link_fact(link.fd)
            if now is None or now.link_id != before.link_id:
                yield name, "its link is gone"
            elif not now.is_attached:
                yield name, "it was detached"
            elif now.program_id != before.program_id:
                yield name, "another program took its place"
