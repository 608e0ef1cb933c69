"""Loaders put programs into the kernel and hand back what they recorded, in the wire structs."""

from __future__ import annotations

from typing import Literal

from ethogram.errors import PreflightError
from profiler.libbpf import Btf
from profiler.loaders.base import KernelConfig, Loader
from profiler.loaders.core import CoreLoader

__all__ = ["open_loader"]


def open_loader(choice: Literal["auto", "core", "bcc"], config: KernelConfig) -> Loader:
    """Return the loader of that name; `auto` takes `core` where the kernel has BTF, else `bcc`."""
    if choice == "auto":
        try:
            Btf.of_kernel()
        except PreflightError:
            choice = "bcc"
    if choice == "bcc":
        from profiler.loaders.bcc import BccLoader  # noqa: PLC0415  compiles, and needs Debian's bcc

        return BccLoader(config)
    return CoreLoader(config)
