"""One act that shows in two places: a call and what it did, a socket and the shell on it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ethogram.contracts.baseline import AnyValue, OperationValue, SyscallValue
from ethogram.contracts.finding import SEVERITIES, Severity

__all__ = ["Twice", "is_part_of_more", "may_be_part"]

_CALLS: Mapping[str, str] = {
    "ptrace": "ptrace",
    "process_vm_write": "process_vm_writev",
    "pidfd_getfd": "pidfd_getfd",
    "mount": "mount",
    "umount": "umount2",
    "move_mount": "move_mount",
    "open_tree": "open_tree open_tree_attr",
    "pivot_root": "pivot_root",
    "chroot": "chroot",
    "setns": "setns",
    "unshare": "unshare",
    "open_by_handle": "open_by_handle_at",
    "mknod": "mknod mknodat",
    "bpf": "bpf",
    "kexec": "kexec_load kexec_file_load",
    "load_module": "init_module finit_module",
    "reboot": "reboot",
    "syslog": "syslog",
    "perf_event_open": "perf_event_open",
    "userfaultfd": "userfaultfd",
    "keyctl": "keyctl add_key request_key",
    "memfd_create": "memfd_create",
    "io_uring_setup": "io_uring_setup",
    "set_user": "setuid setreuid setresuid setfsuid",
    "set_group": "setgid setregid setresgid setfsgid setgroups",
    "set_capabilities": "capset",
    "set_time": "settimeofday clock_settime",
    "set_hostname": "sethostname setdomainname",
    "swap": "swapon swapoff",
}
_OPERATION_OF = MappingProxyType(
    {call: operation for operation, calls in _CALLS.items() for call in calls.split()}
)
# What reads its commands from a socket: that it is there is part of it.
_ON_SOCKETS = frozenset({"shell-on-socket", "moved-input", "relayed-shell"})
_SOCKET = "input_socket"
_REMEMBERED_NS = 60 * 10**9
_LIMIT = 4096

_Act = tuple[int, str]  # instance and operation


def may_be_part(value: AnyValue) -> bool:
    """Return whether *value* may be part of what another finding tells of, or have such parts."""
    if isinstance(value, SyscallValue):
        return value.name in _OPERATION_OF
    return isinstance(value, OperationValue)


def is_part_of_more(value: AnyValue) -> bool:
    """Return whether *value* comes a moment before what it is part of."""
    return isinstance(value, OperationValue) and value.operation == _SOCKET


class Twice:
    """Remembers for a minute which operations were told of an instance, and how grave."""

    def __init__(self) -> None:
        self._told: dict[_Act, tuple[int, Severity]] = {}

    def note(
        self, instance: int, rule: str, value: AnyValue | None, severity: Severity, now_ns: int
    ) -> None:
        """Take note that *rule* tells of *value*."""
        if rule in _ON_SOCKETS:
            self._note((instance, _SOCKET), severity, now_ns)
        if isinstance(value, OperationValue) and value.operation != _SOCKET:
            self._note((instance, value.operation), severity, now_ns)

    def _note(self, act: _Act, severity: Severity, now_ns: int) -> None:
        if len(self._told) >= _LIMIT:
            self._told.clear()
        self._told[act] = now_ns, severity

    def is_told(self, instance: int, value: AnyValue, severity: Severity, now_ns: int) -> bool:
        """Return whether what *value* is part of was told, and as no less grave than *severity*."""
        if isinstance(value, SyscallValue):
            operation = _OPERATION_OF.get(value.name or "")
        elif isinstance(value, OperationValue) and value.operation == _SOCKET:
            operation = _SOCKET
        else:
            return False
        told = self._told.get((instance, operation)) if operation else None
        if told is None or now_ns - told[0] > _REMEMBERED_NS:
            return False
        return SEVERITIES.index(told[1]) >= SEVERITIES.index(severity)
