"""All indicators, by id."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ethogram.indicators import (
    bpf_program,
    deleted_executable,
    dropped_executable,
    file_handle,
    fileless_executable,
    host_namespace,
    kernel_module,
    kernel_replaced,
    page_fault_handler,
    performance_event,
    private_key_read,
    recon_tool,
    replaced_executable,
    sensitive_file_read,
    service_account_token,
    shell_on_socket,
)
from ethogram.indicators.protocol import Indicator

__all__ = ["indicators"]

_ALL: tuple[Indicator, ...] = (
    bpf_program.INDICATOR,
    deleted_executable.INDICATOR,
    dropped_executable.INDICATOR,
    file_handle.INDICATOR,
    fileless_executable.INDICATOR,
    host_namespace.INDICATOR,
    kernel_module.INDICATOR,
    kernel_replaced.INDICATOR,
    page_fault_handler.INDICATOR,
    performance_event.INDICATOR,
    private_key_read.INDICATOR,
    recon_tool.INDICATOR,
    replaced_executable.INDICATOR,
    sensitive_file_read.INDICATOR,
    service_account_token.INDICATOR,
    shell_on_socket.INDICATOR,
)


def indicators() -> Mapping[str, Indicator]:
    """Return every indicator under its id, in the order of the ids."""
    return MappingProxyType(
        {
            indicator.metadata.id: indicator
            for indicator in sorted(_ALL, key=lambda indicator: indicator.metadata.id)
        }
    )
