"""What stands in the place of a capability where the kernel side counts something else."""

from __future__ import annotations

from profiler.ring_requests import opcode_name

__all__ = ["operation_and_target"]

_OPERATIONS = {1: "io_uring_request", 2: "executable_memory", 3: "input_socket"}
_BEFORE_EXEC = 0x80  # in a fork that executed nothing yet
_MEMORY = (None, b"writable", b"mapped", b"mapped writable")
_FAMILIES = {1: b"unix", 2: b"inet", 10: b"inet6", 40: b"vsock"}


def operation_and_target(number: int) -> tuple[str, bytes | None]:
    """Return the operation that *number* stands for, and its target; None of a capability."""
    operation = _OPERATIONS.get(number >> 8, "capability")
    low = number & 0xFF
    match operation:
        case "io_uring_request":
            return operation, opcode_name(number).encode()
        case "executable_memory":
            return operation, _MEMORY[low & 3]
        case "input_socket":
            family = _FAMILIES.get(low & ~_BEFORE_EXEC, b"%d" % (low & ~_BEFORE_EXEC))
            return operation, family + b" before an exec" if low & _BEFORE_EXEC else family
    return operation, None
