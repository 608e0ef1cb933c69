"""The filter that the real libseccomp makes of a profile, and what it answers to a call.

Rules are added as runc adds them; the program is taken from libseccomp and run here, instruction
by instruction, as the kernel would.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from ethogram.contracts.policy_seccomp import ARCHITECTURES
from tools.measure_libseccomp import TOKENS

__all__ = ["ContradictionError", "Filter"]

_X32_BIT = 0x40000000
_ACTIONS = {
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_NAMES = {number: name for name, number in _ACTIONS.items()}
_OPERATORS = ("", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
# BPF_ALU and BPF_JMP with a constant.
_JUMPS = {0x15: int.__eq__, 0x25: int.__gt__, 0x35: int.__ge__}


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("index", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("value_two", ctypes.c_uint64),
    )


def _library() -> Any:
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context, number = ctypes.c_void_p, ctypes.c_uint32
    library.seccomp_init.argtypes = [number]
    library.seccomp_release.argtypes = [context]
    library.seccomp_arch_add.argtypes = [context, number]
    library.seccomp_export_bpf.argtypes = [context, ctypes.c_int]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        *(context, number, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    ]
    return library


class ContradictionError(Exception):
    """Two rules that cannot stand together; a runtime then starts no container."""


class Filter:
    """A flattened profile as libseccomp compiles it; this machine's architecture is in it."""

    def __init__(self, profile: Mapping[str, Any]) -> None:
        self._library = _library()
        default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
        context = self._library.seccomp_init(default)
        assert context
        try:
            for name in profile.get("architectures", []):
                ours = next(arch for arch, theirs in ARCHITECTURES.items() if theirs == name)
                self._library.seccomp_arch_add(context, TOKENS[ours])
            for entry in profile.get("syscalls", []):
                self._add(context, entry, default)
            self.program = self._export(context)
        finally:
            self._library.seccomp_release(context)

    def _add(self, context: int, entry: Mapping[str, Any], default: int) -> None:
        action = _action(entry["action"], entry.get("errnoRet"))
        if action == default:
            return
        comparisons = [
            _Comparison(
                one["index"],
                _OPERATORS.index(one["op"].removeprefix("SCMP_CMP_")),
                one.get("value", 0),
                one.get("valueTwo", 0),
            )
            for one in entry.get("args", [])
        ]
        indices = [one.index for one in comparisons]
        rules = [comparisons]
        if len(set(indices)) < len(indices):
            rules = [[one] for one in comparisons]
        for name in entry["names"]:
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            if number == -1:
                continue
            for rule in rules:
                array = (_Comparison * len(rule))(*rule)
                error = self._library.seccomp_rule_add_array(
                    context, action, number, len(rule), array
                )
                if error == -errno.EEXIST:
                    raise ContradictionError(name)
                assert error == 0, (name, os.strerror(-error))

    def _export(self, context: int) -> list[tuple[int, int, int, int]]:
        descriptor = os.memfd_create("filter")
        try:
            assert self._library.seccomp_export_bpf(context, descriptor) == 0
            size = os.lseek(descriptor, 0, os.SEEK_END)
            return list(struct.iter_unpack("=HBBI", os.pread(descriptor, size, 0)))
        finally:
            os.close(descriptor)

    def answer(
        self, arch: str, number: int, arguments: Sequence[int] = ()
    ) -> tuple[str, int | None]:
        """Return the action, and the errno of those that have one."""
        token = TOKENS["x86_64" if arch == "x32" else arch]
        number |= _X32_BIT if arch == "x32" else 0
        words = [*arguments, *[0] * (6 - len(arguments))]
        data = struct.pack("=IIQ6Q", number, token, 0, *words)
        found = _run(self.program, data)
        name = _NAMES[found & 0xFFFF0000]
        return name, found & 0xFFFF if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else None


def _action(name: str, value: int | None) -> int:
    number = _ACTIONS[name.replace("KILL_THREAD", "KILL")]
    if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        number |= 1 if value is None else value
    return number


def _run(program: Sequence[tuple[int, int, int, int]], data: bytes) -> int:
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            accumulator &= value
        elif code == 0x05:  # BPF_JMP | BPF_JA
            at += value
        elif code in _JUMPS:
            at += if_true if _JUMPS[code](accumulator, value) else if_false
        elif code == 0x06:  # BPF_RET | BPF_K
            return value
        else:
            raise AssertionError(f"instruction {code:#x}")
