"""The classes of system calls, executables and privileges that a baseline does not have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ethogram.contracts.baseline import (
    CapabilityValue,
    ExecValue,
    OperationValue,
    SyscallValue,
)
from ethogram.contracts.finding import Severity
from ethogram.indicators.predicates import INTERPRETERS, MULTI_CALL, SHELLS

__all__ = [
    "Class",
    "of_capability",
    "of_exec",
    "of_operation",
    "of_syscall",
]


@dataclass(frozen=True, slots=True)
class Class:
    """One kind of deviation: a title, a reason in one sentence, techniques by their ids."""

    severity: Severity
    title: str
    reason: str
    techniques: tuple[str, ...] = ()


# --- system calls ---------------------------------------------------------------------------------

# What a service hardly ever needs and an escape does, by technique. The number alone says neither
# what was asked for nor whether it was granted: privileged operations are told apart.
_CALLS_BY_TECHNIQUE: Mapping[tuple[str, ...], str] = {
    ("T1611",): "mount umount2 move_mount fsopen fsconfig fsmount fspick open_tree open_tree_attr "
    "mount_setattr pivot_root unshare setns open_by_handle_at iopl ioperm",
    ("T1055.008",): "ptrace",
    ("T1055",): "process_vm_writev pidfd_getfd process_madvise",
    ("T1003.007",): "process_vm_readv",
    ("T1014",): "bpf kexec_load kexec_file_load",
    ("T1547.006",): "init_module finit_module delete_module",
    ("T1068",): "userfaultfd perf_event_open add_key request_key keyctl",
    ("T1620",): "memfd_create memfd_secret execveat",
    ("T1106",): "io_uring_setup io_uring_enter io_uring_register",
    ("T1529",): "reboot",
    ("T1082",): "syslog",
}
_DANGEROUS = {
    name: techniques for techniques, names in _CALLS_BY_TECHNIQUE.items() for name in names.split()
}


def of_syscall(value: SyscallValue) -> Class:
    """Return the class of a system call: low by itself, medium where few have a use for it."""
    techniques = _DANGEROUS.get(value.name or "")
    if techniques:
        return Class(
            "medium",
            "System call outside the baseline that services hardly need",
            f"the baseline never makes `{value.name}`, which escapes and rootkits are made of",
            techniques,
        )
    if value.arch == "x32":
        return Class(
            "medium",
            "System call of the x32 table outside the baseline",
            "almost nothing is built for x32: filters that forget it are passed this way",
            ("T1106",),
        )
    return Class(
        "low",
        "System call outside the baseline",
        "the baseline never makes this call: new code runs, or an old one took another path",
        ("T1106",),
    )


# --- executables ----------------------------------------------------------------------------------

_NO_IMAGE = Class(
    "high",
    "Executable that is not the image's outside the baseline",
    "the file was written after the container was made, then executed",
    ("T1105", "T1059"),
)
_MEMORY = Class(
    "high",
    "Executable in memory outside the baseline",
    "it runs from no file that could be looked at afterwards",
    ("T1620",),
)
_TEMPORARY = Class(
    "high",
    "Executable in a temporary directory outside the baseline",
    "programs are installed elsewhere: what runs from here was put here",
    ("T1059",),
)
_TEMPORARY_PATH = re.compile(r"^(?:/tmp|/var/tmp|/dev/shm|/run|/var/run|/proc/[^/]+/fd|/dev/fd)/")
_INTERPRETED = "the baseline never starts it, and it runs whatever it is told"
# By path; the first that fits decides.
_EXECUTABLES = tuple(
    (re.compile(pattern), Class("medium", f"{title} outside the baseline", reason, (technique,)))
    for pattern, title, reason, technique in (
        (rf"(?:^|/)(?:{SHELLS}|{MULTI_CALL})$", "Shell", _INTERPRETED, "T1059.004"),
        (r"(?:^|/)(?:python|pypy)[0-9.]*$", "Interpreter", _INTERPRETED, "T1059.006"),
        (r"(?:^|/)node(?:js)?$", "Interpreter", _INTERPRETED, "T1059.007"),
        (rf"(?:^|/)(?:{INTERPRETERS})$", "Interpreter", _INTERPRETED, "T1059"),
        ("", "Executable", "the baseline never executes this file", "T1059"),
    )
)


def of_exec(value: ExecValue) -> Class:
    """Return the class of an executable: where it is from goes before what it is."""
    if value.path.startswith(("memfd:", "/memfd:")):
        return _MEMORY
    if value.upper:
        return _NO_IMAGE
    if _TEMPORARY_PATH.search(value.path):
        return _TEMPORARY
    return next(found for pattern, found in _EXECUTABLES if pattern.search(value.path))


# --- privileges -----------------------------------------------------------------------------------

_GRAVE_CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "CAP_SYS_ADMIN": ("T1611", "T1548"),
    "CAP_SYS_MODULE": ("T1547.006", "T1548"),
    "CAP_SYS_PTRACE": ("T1055.008", "T1548"),
    "CAP_SYS_RAWIO": ("T1611", "T1548"),
    "CAP_SYS_BOOT": ("T1529", "T1548"),
    "CAP_DAC_READ_SEARCH": ("T1611", "T1548"),
    "CAP_NET_RAW": ("T1040", "T1548"),
    "CAP_BPF": ("T1014", "T1548"),
    "CAP_PERFMON": ("T1014", "T1548"),
    "CAP_MAC_ADMIN": ("T1548",),
    "CAP_MAC_OVERRIDE": ("T1548",),
}

# With these root uses files of other users in its own container, as a server does that opens a log
# again which it gave to its workers.
_OF_FILES = frozenset({"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"})


def of_capability(value: CapabilityValue) -> Class:
    """Return the class of a capability that was used."""
    techniques = _GRAVE_CAPABILITIES.get(value.name)
    if techniques:
        return Class(
            "high",
            "Powerful capability used outside the baseline",
            f"the baseline never uses `{value.name}`, which leads out of a container",
            techniques,
        )
    if value.name in _OF_FILES:
        return Class(
            "low",
            "Capability used outside the baseline",
            f"the baseline never uses `{value.name}`: root used a file of another user",
            ("T1548",),
        )
    return Class(
        "medium",
        "Capability used outside the baseline",
        f"the baseline never uses `{value.name}`",
        ("T1548",),
    )


_ESCAPE = "it changes what the container can see and reach of its host"
_OTHERS = "it reads or changes another process"
_KERNEL = "it changes or reads the running kernel"
_RIGHTS = "it changes who a process is, or what it may do"
_OPERATIONS: Mapping[str, tuple[Severity, str, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("mount", "move_mount", "open_tree", "pivot_root", "setns", "open_by_handle"),
            ("high", _ESCAPE, ("T1611",)),
        ),
        **dict.fromkeys(
            ("unshare", "clone_namespace", "umount", "chroot", "mknod"),
            ("medium", _ESCAPE, ("T1611",)),
        ),
        "ptrace": ("high", _OTHERS, ("T1055.008",)),
        "process_vm_write": ("high", _OTHERS, ("T1055",)),
        "pidfd_getfd": ("high", _OTHERS, ("T1055",)),
        "bpf": ("high", _KERNEL, ("T1014",)),
        "kexec": ("high", _KERNEL, ("T1014",)),
        "load_module": ("high", _KERNEL, ("T1547.006",)),
        "reboot": ("high", "it stops the machine", ("T1529",)),
        "perf_event_open": ("medium", _KERNEL, ("T1014",)),
        "userfaultfd": ("medium", "exploits of the kernel win races with it", ("T1068",)),
        "keyctl": ("medium", "keys of the kernel are shared beyond a container", ("T1068",)),
        "syslog": ("medium", "the kernel's log tells where things lie in memory", ("T1082",)),
        "io_uring_request": ("medium", "rings do calls that filters do not see", ("T1106",)),
        "io_uring_setup": ("medium", "rings do calls that filters do not see", ("T1106",)),
        "memfd_create": ("medium", "a file in memory can be executed unseen", ("T1620",)),
        "executable_memory": (
            "low",
            "code that no file has runs there; just-in-time compilers do it",
            ("T1055", "T1027.002"),
        ),
        "input_socket": (
            "low",
            "what a process reads as its input comes from a socket",
            ("T1059.004",),
        ),
        "set_name": (
            "medium",
            "a process took the name of a thread of the kernel",
            ("T1036.004",),
        ),
        "chmod_set_id": ("high", "who executes the file becomes its owner", ("T1548.001",)),
        "set_file_capability": ("high", "who executes the file gets capabilities", ("T1548.001",)),
        "set_user": ("medium", _RIGHTS, ("T1548",)),
        "set_group": ("medium", _RIGHTS, ("T1548",)),
        "set_capabilities": ("medium", _RIGHTS, ("T1548",)),
        "set_time": ("medium", "it changes the clock of the whole machine", ()),
        "set_hostname": ("medium", "it changes the name of the machine", ()),
        "link": ("low", "a file gets another name, which no rule about its path knows", ("T1564",)),
        "swap": ("low", "it changes memory of the whole machine", ()),
        "quota": ("low", "it changes limits of a file system", ()),
        "seccomp": ("info", "it installs a filter: afterwards it may do less", ()),
        "no_new_privs": ("info", "it gives up ways to gain privileges", ()),
    }
)


def of_operation(value: OperationValue) -> Class:
    """Return the class of a privileged operation; one that this list lacks is medium."""
    severity, reason, techniques = _OPERATIONS.get(
        value.operation, ("medium", "it needs privilege", ("T1548",))
    )
    return Class(
        severity,
        "Privileged operation outside the baseline",
        f"the baseline never does `{value.operation}`: {reason}",
        techniques,
    )
