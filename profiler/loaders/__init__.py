"""Loaders put programs into the kernel and hand back what they recorded, in the wire structs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ethogram.errors import CaptureError, PreflightError
from profiler.libbpf import Btf
from profiler.loaders.base import KernelConfig, Loader
from profiler.loaders.bcc_host import bcc_module, kernel_source, require_tracefs
from profiler.loaders.core import CoreLoader

__all__ = ["attach_loader"]

Choice = Literal["auto", "core", "bcc"]


def attach_loader(
    choice: Choice, config: KernelConfig, opened: Callable[[Loader], Callable[[], None]]
) -> str | None:
    """Attach the loader of that name; return why `auto` took `bcc`, None where it did not.

    `auto` takes `core` where the kernel has BTF and loads the programs that recording needs, else
    `bcc`. *opened* is given each loader that is tried, and returns what sets its targets.
    """
    if choice == "bcc":
        _attach_bcc(config, opened)
        return None
    refusal = _core_refusal(config, opened, is_needed=choice == "core")
    if refusal is None:
        return None
    _require_bcc(refusal)
    try:
        _attach_bcc(config, opened)
    except (PreflightError, CaptureError) as error:
        raise refusal from error
    return refusal.message


def _core_refusal(
    config: KernelConfig, opened: Callable[[Loader], Callable[[], None]], *, is_needed: bool
) -> PreflightError | CaptureError | None:
    """Attach `core`; return why that could not be, unless nothing else is wanted."""
    try:
        Btf.of_kernel().close()
    except PreflightError as missing:
        if is_needed:
            raise
        return missing
    try:
        _attach(CoreLoader(config), opened)
    except CaptureError as refusal:
        if is_needed:
            raise
        return refusal
    return None


def _attach(loader: Loader, opened: Callable[[Loader], Callable[[], None]]) -> None:
    try:
        loader.attach(opened(loader))
    except BaseException:
        loader.close()
        raise


def _attach_bcc(config: KernelConfig, opened: Callable[[Loader], Callable[[], None]]) -> None:
    from profiler.loaders.bcc import BccLoader  # noqa: PLC0415  compiles, and needs Debian's bcc

    _attach(BccLoader(config), opened)


def _require_bcc(missing: PreflightError | CaptureError) -> None:
    """Raise *missing*, and why BCC cannot take its place, where it cannot."""
    try:
        bcc_module()
        require_tracefs()
        with kernel_source():
            pass
    except PreflightError as error:
        raise type(missing)(
            f"{missing.message}, and BCC cannot take its place: {error.message}",
            hint=f"{missing.hint}; for BCC, {error.hint}" if error.hint else missing.hint,
        ) from error
