"""The programs of the kernel side by name: which recording needs, which stand for one another."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from profiler.libbpf import Btf
from profiler.loaders.features import has_hook

__all__ = ["BASE_PROGRAMS", "not_missed", "without_hook"]

# Without these there is no recording; the others are named in the manifest when they are missing.
BASE_PROGRAMS = frozenset(
    {
        "host_seed",
        "syscall_enter",
        "syscall_exit",
        "exec_done",
        "fork_done",
        "exit_done",
        "cgroup_made",
        "cgroup_moved",
    }
)
# Programs of one hook, by its name in newer and in older kernels: one of them is enough.
_RENAMED = (
    ("ring_submitted", "ring_submitted_by_sqe"),
    ("capability_checked", "capability_returned"),
)


def not_missed(absent: Collection[str]) -> set[str]:
    """Return which of the programs without a hook are not missed: another has it, or says so."""
    return {
        name
        for newer, older in _RENAMED
        for name, is_missed in ((older, False), (newer, older in absent))
        if name in absent and not is_missed
    }


def without_hook(sections: Mapping[str, str], kernel: Btf) -> set[str]:
    """Return which programs the kernel has no hook for, or one that another program has."""
    absent = {name for name, section in sections.items() if not has_hook(kernel, section)}
    return absent | {older for newer, older in _RENAMED if newer not in absent}
