"""Gives up what the recorder no longer needs once its programs are attached.

Linux keeps capabilities by thread, and no thread can take them from another: what `drop` returns
is what no thread of this process has any more. `profiler.loading` sees to it that there is one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from ethogram.contracts.capabilities import capability_name, capability_number
from ethogram.errors import CaptureError

__all__ = ["drop", "missing", "threads_beyond"]

_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 24, 38, 47, 4
_BPF_CALL = {"x86_64": 321, "aarch64": 280}
_LOOKUP = 1
_TASKS = Path("/proc/self/task")


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    """32 capabilities: the low ones come first."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_Sets = _Half * 2
_libc = ctypes.CDLL(None, use_errno=True)


def drop(keep: frozenset[str]) -> tuple[str, ...]:
    """Reduce this process to the capabilities *keep*, for good; return the names it gave up.

    All sets are reduced, the bounding set with them, and no exec gives any of it back. CAP_BPF
    stays where the kernel would refuse even to read maps without it. A capability that another
    thread still has is not among the names: `threads_beyond` tells which thread that is.
    """
    before = _permitted()
    kept = _mask(keep) & before
    if _refuses_maps_without_bpf():
        kept |= _mask({"CAP_BPF"}) & before
    for number in range(_highest() + 1):
        if not kept >> number & 1:
            _prctl(_PR_CAPBSET_DROP, number, is_needed=False)  # refused without CAP_SETPCAP
    _prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, is_needed=False)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, is_needed=True)
    _, _, inheritable = _get()
    _set(effective=kept, permitted=kept, inheritable=inheritable & kept)
    left = 0
    for permitted in _by_thread().values():
        left |= permitted
    return tuple(_names(before & ~left))


def missing(needed: Iterable[str]) -> list[str]:
    """Return which of *needed* this thread cannot use now, in the order given."""
    effective, _, _ = _get()
    return [name for name in needed if not effective & _mask({name})]


def threads_beyond(keep: frozenset[str]) -> tuple[int, ...]:
    """Return the ids of this process's threads that have more than *keep*."""
    kept = _mask(keep)
    return tuple(sorted(thread for thread, mask in _by_thread().items() if mask & ~kept))


def _mask(names: Iterable[str]) -> int:
    mask = 0
    for name in names:
        number = capability_number(name)
        if number is None:
            raise ValueError(f"no capability is called `{name}`")
        mask |= 1 << number
    return mask


def _names(mask: int) -> list[str]:
    return [capability_name(number) for number in range(64) if mask >> number & 1]


def _highest() -> int:
    try:
        return int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        return 63  # PR_CAPBSET_DROP refuses those that do not exist


def _by_thread() -> dict[int, int]:
    """Return the permitted capabilities of every thread."""
    found = {}
    for task in _TASKS.iterdir():
        try:
            status = (task / "status").read_text()
        except OSError:
            continue  # it has ended
        for line in status.splitlines():
            if line.startswith("CapPrm:"):
                found[int(task.name)] = int(line.split()[1], 16)
    return found


def _permitted() -> int:
    return _get()[1]


def _get() -> tuple[int, int, int]:
    sets = _Sets()
    if _libc.capget(ctypes.byref(_Header(_VERSION_3, 0)), sets):
        raise _failed("capget")
    low, high = sets
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def _set(*, effective: int, permitted: int, inheritable: int) -> None:
    low = 0xFFFFFFFF
    sets = _Sets(
        _Half(effective & low, permitted & low, inheritable & low),
        _Half(effective >> 32, permitted >> 32, inheritable >> 32),
    )
    if _libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), sets):
        raise _failed("capset")


def _prctl(option: int, value: int, *, is_needed: bool) -> None:
    zero = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) and is_needed:
        raise _failed("prctl")


def _failed(call: str) -> CaptureError:
    number = ctypes.get_errno()
    return CaptureError(f"privileges could not be dropped: {call}: {os.strerror(number)}")


def _refuses_maps_without_bpf() -> bool:
    """Say whether bpf(2) refuses to look into a map without CAP_BPF.

    Before Linux commit c8644cd0efe7 ("bpf: refine kernel.unprivileged_bpf_disabled behaviour")
    (v5.19) that setting refused every command. A descriptor that is none tells: where the command
    is let through it is EBADF, else EPERM.
    """
    call = _BPF_CALL.get(platform.machine())
    if call is None:
        return True
    effective, permitted, inheritable = _get()
    without = effective & ~_mask({"CAP_BPF", "CAP_SYS_ADMIN"})
    _set(effective=without, permitted=permitted, inheritable=inheritable)
    try:
        attributes = (ctypes.c_uint32 * 8)(0xFFFFFFFF)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        code = _libc.syscall(ctypes.c_long(call), ctypes.c_int(_LOOKUP), attributes, size)
        return bool(code and ctypes.get_errno() == errno.EPERM)
    finally:
        _set(effective=effective, permitted=permitted, inheritable=inheritable)
