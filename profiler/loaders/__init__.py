"""Loaders put programs into the kernel and hand back what they recorded, in the wire structs."""

from __future__ import annotations

from typing import Literal

from ethogram.errors import PreflightError
from profiler.libbpf import Btf
from profiler.loaders.base import KernelConfig, Loader
from profiler.loaders.bcc_host import bcc_module, kernel_source, require_tracefs
from profiler.loaders.core import CoreLoader

__all__ = ["open_loader"]


def open_loader(choice: Literal["auto", "core", "bcc"], config: KernelConfig) -> Loader:
    """Return the loader of that name; `auto` takes `core` where the kernel has BTF, else `bcc`."""
    if choice == "auto":
        try:
            Btf.of_kernel().close()
        except PreflightError as missing:
            _require_bcc(missing)
            choice = "bcc"
    if choice == "bcc":
        from profiler.loaders.bcc import BccLoader  # noqa: PLC0415  compiles, and needs Debian's bcc

        return BccLoader(config)
    return CoreLoader(config)


def _require_bcc(missing: PreflightError) -> None:
    """Raise *missing*, and why BCC cannot take its place, where it cannot."""
    try:
        bcc_module()
        require_tracefs()
        with kernel_source():
            pass
    except PreflightError as error:
        raise PreflightError(
            f"{missing.message}, and BCC cannot take its place: {error.message}",
            hint=f"{missing.hint}; for BCC, {error.hint}" if error.hint else missing.hint,
        ) from error
