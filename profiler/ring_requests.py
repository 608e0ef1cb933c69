"""The opcodes of requests that a process hands to a ring (`io_uring`)."""

from __future__ import annotations

__all__ = ["RING_REQUEST", "opcode_name"]

# In the place of a capability's number: the opcode is in the lowest byte.
RING_REQUEST = 0x100
# `enum io_uring_op` of the kernel, which is only ever appended to.
_OPCODES = [
    "nop",
    "readv",
    "writev",
    "fsync",
    "read_fixed",
    "write_fixed",
    "poll_add",
    "poll_remove",
    "sync_file_range",
    "sendmsg",
    "recvmsg",
    "timeout",
    "timeout_remove",
    "accept",
    "async_cancel",
    "link_timeout",
    "connect",
    "fallocate",
    "openat",
    "close",
    "files_update",
    "statx",
    "read",
    "write",
    "fadvise",
    "madvise",
    "send",
    "recv",
    "openat2",
    "epoll_ctl",
    "splice",
    "provide_buffers",
    "remove_buffers",
    "tee",
    "shutdown",
    "renameat",
    "unlinkat",
    "mkdirat",
    "symlinkat",
    "linkat",
    "msg_ring",
    "fsetxattr",
    "setxattr",
    "fgetxattr",
    "getxattr",
    "socket",
    "uring_cmd",
    "send_zc",
    "sendmsg_zc",
    "read_multishot",
    "waitid",
    "futex_wait",
    "futex_wake",
    "futex_waitv",
    "fixed_fd_install",
    "ftruncate",
    "bind",
    "listen",
    "recv_zc",
    "epoll_wait",
    "readv_fixed",
    "writev_fixed",
    "pipe",
]


def opcode_name(key: int) -> str:
    """Return the name of the opcode in *key*, its number where no name is known."""
    opcode = key & 0xFF
    return _OPCODES[opcode] if opcode < len(_OPCODES) else str(opcode)
