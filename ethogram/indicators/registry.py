"""All indicators, by id."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ethogram.indicators import (
    accounts_write,
    bpf_program,
    capture_tool,
    credential_file_read,
    cron_write,
    decoded_script,
    deleted_executable,
    downloaded_script,
    dropped_executable,
    file_handle,
    fileless_executable,
    foreign_root,
    host_device,
    host_namespace,
    kernel_interface_write,
    kernel_module,
    kernel_replaced,
    log_clearing,
    login_key_write,
    login_rules_write,
    masquerade,
    metadata_service,
    miner,
    miner_pool,
    miner_port,
    mount,
    namespace_change,
    orchestration_tool,
    own_executable_write,
    page_fault_handler,
    performance_event,
    preload_write,
    private_key_read,
    privileged_file,
    process_memory_write,
    process_trace,
    process_write,
    raw_socket,
    recon_tool,
    replaced_executable,
    root_change,
    sensitive_file_read,
    server_shell,
    service_account_token,
    service_write,
    shared_memory_program,
    shell_on_socket,
    shell_startup_write,
    shell_without_terminal,
    sudo_rules_write,
    tunnel_tool,
)
from ethogram.indicators.protocol import Indicator

__all__ = ["indicators"]

_ALL: tuple[Indicator, ...] = (
    accounts_write.INDICATOR,
    bpf_program.INDICATOR,
    capture_tool.INDICATOR,
    credential_file_read.INDICATOR,
    cron_write.INDICATOR,
    decoded_script.INDICATOR,
    deleted_executable.INDICATOR,
    downloaded_script.INDICATOR,
    dropped_executable.INDICATOR,
    file_handle.INDICATOR,
    fileless_executable.INDICATOR,
    foreign_root.INDICATOR,
    host_device.INDICATOR,
    host_namespace.INDICATOR,
    kernel_interface_write.INDICATOR,
    kernel_module.INDICATOR,
    kernel_replaced.INDICATOR,
    log_clearing.INDICATOR,
    login_key_write.INDICATOR,
    login_rules_write.INDICATOR,
    masquerade.INDICATOR,
    metadata_service.INDICATOR,
    miner.INDICATOR,
    miner_pool.INDICATOR,
    miner_port.INDICATOR,
    mount.INDICATOR,
    namespace_change.INDICATOR,
    orchestration_tool.INDICATOR,
    own_executable_write.INDICATOR,
    page_fault_handler.INDICATOR,
    performance_event.INDICATOR,
    preload_write.INDICATOR,
    private_key_read.INDICATOR,
    privileged_file.INDICATOR,
    process_memory_write.INDICATOR,
    process_trace.INDICATOR,
    process_write.INDICATOR,
    raw_socket.INDICATOR,
    recon_tool.INDICATOR,
    replaced_executable.INDICATOR,
    root_change.INDICATOR,
    sensitive_file_read.INDICATOR,
    server_shell.INDICATOR,
    service_account_token.INDICATOR,
    service_write.INDICATOR,
    shared_memory_program.INDICATOR,
    shell_on_socket.INDICATOR,
    shell_startup_write.INDICATOR,
    shell_without_terminal.INDICATOR,
    sudo_rules_write.INDICATOR,
    tunnel_tool.INDICATOR,
)


def indicators() -> Mapping[str, Indicator]:
    """Return every indicator under its id, in the order of the ids."""
    return MappingProxyType(
        {
            indicator.metadata.id: indicator
            for indicator in sorted(_ALL, key=lambda indicator: indicator.metadata.id)
        }
    )
