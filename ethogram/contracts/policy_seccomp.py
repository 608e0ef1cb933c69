"""What a seccomp profile decides: a reader of the flattened OCI form, for replay and tests.

It answers as libseccomp's filter does for the profiles that we write: unconditional rules, one
list of names for all architectures of the profile. Rules with `args` are no permission here,
because whether they match depends on values that a recording does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError

__all__ = ["ARCHITECTURES", "Verdict", "allows", "verdict"]

# Our words for architectures, and those of the OCI runtime specification.
ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "SCMP_ARCH_X86_64",
    "i386": "SCMP_ARCH_X86",
    "x32": "SCMP_ARCH_X32",
    "aarch64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
}
_NATIVE = frozenset({"x86_64", "aarch64"})
_PERMITTING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
_WITH_ERRNO = frozenset({"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"})
_EPERM = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the filter answers: the action, and the errno of those that have one."""

    action: str
    errno: int | None = None

    @property
    def is_permitted(self) -> bool:
        """Whether the call goes through, logged or not."""
        return self.action in _PERMITTING


def verdict(profile: Mapping[str, Any], arch: str, name: str) -> Verdict:
    """Return what *profile* answers to call *name* made through *arch*.

    A call through an architecture that the profile does not list is killed, whatever the default
    action is: libseccomp's bad-architecture action, which neither runc nor crun changes. The
    native architectures are always part of the filter. `ExportError` names what is malformed.
    """
    if arch not in _NATIVE and ARCHITECTURES[arch] not in _list(profile, "architectures"):
        return Verdict("SCMP_ACT_KILL")
    for rule in _list(profile, "syscalls"):
        if name in _list(rule, "names", least=1) and not _list(rule, "args"):
            return _verdict(rule, "action", "errnoRet")
    return _verdict(profile, "defaultAction", "defaultErrnoRet")


def allows(profile: Mapping[str, Any], arch: str, name: str) -> bool:
    """Return whether *profile* lets call *name* of *arch* through."""
    return verdict(profile, arch, name).is_permitted


def _list(document: Any, key: str, *, least: int = 0) -> list[Any]:
    value = document.get(key, []) if isinstance(document, Mapping) else None
    if not isinstance(value, list) or len(value) < least:
        raise ExportError(
            f"the seccomp profile is malformed: `{key}` is no list, or empty",
            hint="this reads the OCI form; Docker's `name` is `names` there",
        )
    return value


def _verdict(document: Mapping[str, Any], action_key: str, errno_key: str) -> Verdict:
    action, errno = document.get(action_key), document.get(errno_key)
    if not isinstance(action, str) or not isinstance(errno, int | None):
        raise ExportError(f"the seccomp profile is malformed: `{action_key}` or `{errno_key}`")
    if action not in _WITH_ERRNO:
        return Verdict(action)
    return Verdict(action, _EPERM if errno is None else errno)
