"""The calls of which one argument is recorded, and which of its bits.

Few values of it mean different things, it is no pointer, and the kernel reads it as it is: what a
seccomp filter can tell apart. `clone` is told by the namespaces that it makes; its other flags are
the C library's choice. `clone3` has its flags in memory, which no filter sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["VETTED", "Argument"]

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. Where CLONE_NEWTIME is,
# clone() has the signal of the child's end.
_CLONE_NEW = 0x7E02_0000
_INT = 0xFFFF_FFFF
_LONG = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Argument:
    """Which argument, from 0, and the bits of it that are told; the kernel reads no others."""

    index: int
    mask: int


VETTED: Mapping[str, Argument] = MappingProxyType(
    {
        "socket": Argument(0, _INT),  # family
        "clone": Argument(0, _CLONE_NEW),
        "personality": Argument(0, _INT),
        "ioctl": Argument(1, _INT),  # request
        "prctl": Argument(0, _INT),  # option
        "mprotect": Argument(2, _LONG),  # protection
        "pkey_mprotect": Argument(2, _LONG),
    }
)
