"""Which calls a seccomp profile allows, and why each one is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from ethogram.contracts.baseline import Baseline, Rule, SyscallValue
from ethogram.contracts.syscall_names import name_of, names_of, number_of
from ethogram.errors import ExportError
from exporters.runtime_base import RuntimeBase

__all__ = [
    "FAMILIES",
    "MACHINES",
    "Call",
    "always",
    "call_name",
    "from_runtimes",
    "is_left_to_the_runtime",
    "left_to_the_runtime",
    "machine_of",
    "observed",
    "only_by_runtime",
    "tolerated",
]

Why = Literal["observed", "runtime", "always", "tolerance"]

# The architectures that a process can call through on one machine, its own first.
MACHINES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"x86_64": ("x86_64", "i386", "x32"), "aarch64": ("aarch64", "arm")}
)
_NAME = re.compile(r"[a-z_][a-z0-9_]*")

# A process that returns from a signal, sleeps or ends makes these whether or not it was seen to.
_ALWAYS = (
    "clock_nanosleep",
    "exit",
    "exit_group",
    "futex",
    "futex_time64",
    "futex_waitv",
    "nanosleep",
    "restart_syscall",
    "rt_sigreturn",
    "sigreturn",
)
# Calls that do the same: another version of a C library switches between them.
FAMILIES: tuple[frozenset[str], ...] = tuple(
    frozenset(family.split())
    for family in (
        "newfstatat fstat stat lstat statx fstat64 fstatat64 stat64 lstat64",
        "open openat openat2",
        "clone clone3 fork vfork",
        "poll ppoll ppoll_time64",
        "epoll_wait epoll_pwait epoll_pwait2",
        "epoll_create epoll_create1",
        "dup2 dup3",
        "pipe pipe2",
        "access faccessat faccessat2",
        "rename renameat renameat2",
        "select _newselect pselect6 pselect6_time64",
        "getdents getdents64",
        "accept accept4",
        "eventfd eventfd2",
        "inotify_init inotify_init1",
        "signalfd signalfd4",
        "mkdir mkdirat",
        "unlink unlinkat rmdir",
        "readlink readlinkat",
        "chmod fchmodat fchmodat2",
        "getrlimit setrlimit prlimit64",
        "futex futex_time64 futex_wait futex_wake futex_requeue futex_waitv",
        "set_robust_list rseq set_tid_address",
        "sendfile copy_file_range splice",
    )
)


@dataclass(frozen=True, slots=True)
class Call:
    """One name of a profile: *why* it is allowed, where that is known from, and the rules."""

    name: str
    why: Why
    source: str
    rules: tuple[Rule[SyscallValue], ...] = field(default=())


def machine_of(arch: str) -> str:
    """Return the machine whose processes call through *arch*."""
    return next(machine for machine, archs in MACHINES.items() if arch in archs)


def call_name(rule: Rule[SyscallValue]) -> str | None:
    """Return the name of the rule's number, or None where no table has one.

    Raises `ExportError` for a rule whose name and number contradict each other.
    """
    value = rule.value
    tabled = name_of(value.arch, value.nr)
    if value.name is None or value.name == tabled:
        return tabled
    number = number_of(value.arch, value.name)
    if tabled is None and number is None and _NAME.fullmatch(value.name):
        return value.name  # learnt with a newer table than ours
    is_what = f"is `{tabled}`" if tabled else "has no name"
    raise ExportError(
        f"rule `{rule.id}`: call {value.nr} of {value.arch} {is_what}, not {value.name!r}",
        hint="correct `nr` or `name` in the baseline, or learn it again",
    )


def only_by_runtime(rule: Rule[SyscallValue]) -> bool:
    """Return whether just the container runtime was seen to do it, before the entrypoint ran."""
    return is_left_to_the_runtime(rule.evidence.phases)


def is_left_to_the_runtime(phases: Iterable[str]) -> bool:
    """Return whether a call seen in *phases* is no workload's: the one definition of that.

    Most of what a runtime does in its own phase precedes the filter; what follows it is in the
    base sets.
    """
    return set(phases) == {"runtime"}


def left_to_the_runtime(baseline: Baseline, calls: Mapping[str, Call], machine: str) -> list[str]:
    """Return the names of the calls that just the runtime made and that are not in *calls*."""
    names = {
        call_name(rule) or str(rule.value.nr)
        for rule in baseline.rules.syscalls
        if only_by_runtime(rule) and machine_of(rule.value.arch) == machine
    }
    return sorted(names - set(calls))


def observed(rules: Iterable[Rule[SyscallValue]]) -> dict[str, Call]:
    """Return the calls of *rules* by name; rules without a name are left out."""
    by_name: dict[str, list[Rule[SyscallValue]]] = {}
    for rule in rules:
        if (name := call_name(rule)) is not None:
            by_name.setdefault(name, []).append(rule)
    return {
        name: Call(name, "observed", "baseline", tuple(sorted(found, key=lambda r: r.id)))
        for name, found in by_name.items()
    }


def from_runtimes(
    bases: Sequence[RuntimeBase], machine: str, no_new_privs: bool | None
) -> dict[str, Call]:
    """Return what the runtimes *bases* call on *machine* after they installed the filter."""
    sources: dict[str, list[str]] = {}
    for base in bases:
        for name, places in base.calls(no_new_privs).items():
            if name in names_of(machine):
                detail = f" ({places})" if places else ""
                sources.setdefault(name, []).append(base.label + detail)
    return {name: Call(name, "runtime", "; ".join(where)) for name, where in sources.items()}


def always(archs: Sequence[str]) -> dict[str, Call]:
    """Return what every process of *archs* may call at any time."""
    known = _known(archs)
    return {
        name: Call(name, "always", "signals, sleeping, waiting and the end of a process")
        for name in _ALWAYS
        if name in known
    }


def tolerated(calls: Iterable[str], archs: Sequence[str]) -> dict[str, Call]:
    """Return the siblings of *calls* on *archs* that another C library would use instead."""
    seen, known = set(calls), _known(archs)
    return {
        name: Call(name, "tolerance", f"does what {', '.join(sorted(family & seen))} does")
        for family in FAMILIES
        if family & seen
        for name in family - seen
        if name in known
    }


def _known(archs: Sequence[str]) -> frozenset[str]:
    return frozenset[str]().union(*(names_of(arch) for arch in archs))
