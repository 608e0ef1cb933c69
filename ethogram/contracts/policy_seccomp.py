"""What a seccomp profile decides: a reader of its dialects, for replay and tests.

Read are the OCI form, the forms of Docker (moby) and podman (containers-common) with their
conditions resolved, and objects of the Security Profiles Operator. A document may be anybody's:
what is malformed is refused by the field's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from errno import errorcode
from typing import Any

from ethogram.contracts.escape import printable
from ethogram.contracts.policy_seccomp_rules import (
    OPERATORS,
    Comparison,
    Profile,
    Rule,
    Verdict,
)
from ethogram.errors import ExportError

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_CAPABILITIES",
    "Host",
    "Profile",
    "Verdict",
    "allows",
    "read_profile",
    "verdict",
]

# Our words for architectures, and those of the OCI runtime specification.
ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "SCMP_ARCH_X86_64",
    "i386": "SCMP_ARCH_X86",
    "x32": "SCMP_ARCH_X32",
    "aarch64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
}
_OURS = {theirs: ours for ours, theirs in ARCHITECTURES.items()}
# The names that runtimes accept and that no table of ours covers.
_OTHERS = frozenset(
    f"SCMP_ARCH_{name}"
    for name in (
        *("NATIVE", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC"),
        *("PPC64", "PPC64LE", "S390", "S390X", "PARISC", "PARISC64", "RISCV64", "LOONGARCH64"),
        *("M68K", "SH", "SHEB"),
    )
)
# Go's words for machines, in `includes.arches` and `excludes.arches`.
_GO_ARCHITECTURES = {"x86_64": {"amd64", "x86", "x32"}, "aarch64": {"arm64", "arm"}}
_MACHINE_OF = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_AARCH64": "aarch64"}
# What Docker and podman leave a container without further words.
DEFAULT_CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
_WITH_ERRNO = frozenset({"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"})
_ACTIONS = _WITH_ERRNO | {
    f"SCMP_ACT_{name}"
    for name in ("KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ALLOW", "LOG", "NOTIFY")
}
_EPERM = 1
_ERRNO_LIMIT = 4095
_ERRNOS = {name: number for number, name in errorcode.items()}
_ARGUMENTS = 6
_GROUP = "security-profiles-operator.x-k8s.io/"


@dataclass(frozen=True, slots=True)
class Host:
    """Where a profile with conditions is used: `includes` and `excludes` ask for it.

    *kernel* None is newer than any that a profile asks for.
    """

    machine: str = "x86_64"
    capabilities: frozenset[str] = field(default=DEFAULT_CAPABILITIES)
    kernel: tuple[int, ...] | None = None


def verdict(
    profile: Mapping[str, Any] | Profile,
    arch: str,
    name: str,
    arguments: Mapping[int, int] | None = None,
) -> Verdict:
    """Return what *profile* answers to call *name* made through *arch* with *arguments* by index.

    `ExportError` names what is malformed. Read the profile once where there are many calls.
    """
    read = profile if isinstance(profile, Profile) else read_profile(profile)
    return read.verdict(arch, name, arguments)


def allows(
    profile: Mapping[str, Any] | Profile,
    arch: str,
    name: str,
    arguments: Mapping[int, int] | None = None,
) -> bool:
    """Return whether *profile* lets call *name* of *arch* through."""
    return verdict(profile, arch, name, arguments).is_permitted


def read_profile(document: Any, host: Host | None = None) -> Profile:
    """Return the profile that *document* is on *host*, in whichever dialect it is written."""
    body = _body(document)
    rules: dict[str, list[Rule]] = {}
    host = host or Host()
    for number, entry in enumerate(_list(body, "syscalls", "")):
        where = f"syscalls[{number}]"
        if not isinstance(entry, Mapping):
            raise _malformed(where, "is no object")
        if not _applies(entry, where, host):
            continue
        answer = _answer(entry, "action", "errnoRet", "errno", where)
        for comparisons in _alternatives(entry, where):
            for name in _names(entry, where):
                rules.setdefault(name, []).append(Rule(answer, comparisons))
    default = _answer(body, "defaultAction", "defaultErrnoRet", "defaultErrno", "")
    return Profile(default, _architectures(body, host), rules)


def _body(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise ExportError("the seccomp profile is malformed: it is no object")
    if "kind" not in document and "apiVersion" not in document:
        return document
    version, kind = document.get("apiVersion"), document.get("kind")
    if kind != "SeccompProfile" or not str(version).startswith(_GROUP):
        raise ExportError(f"the object is no SeccompProfile of `{_GROUP}...`: {_shown(kind)}")
    spec = document.get("spec")
    if not isinstance(spec, Mapping):
        raise _malformed("spec", "is no object")
    if spec.get("baseProfileName"):
        raise ExportError(
            "the seccomp profile rests on another one, and that is not here:"
            f" `baseProfileName` is {_shown(spec['baseProfileName'])}",
            hint="write the calls of both into one profile",
        )
    return spec


def _architectures(body: Mapping[str, Any], host: Host) -> frozenset[str]:
    listed = _list(body, "architectures", "")
    mapped = _list(body, "archMap", "")
    if listed and mapped:
        raise _malformed("archMap", "stands beside `architectures`")
    for number, entry in enumerate(mapped):
        where = f"archMap[{number}]"
        if not isinstance(entry, Mapping):
            raise _malformed(where, "is no object")
        native, others = entry.get("architecture"), _list(entry, "subArchitectures", where)
        for name in (native, *others):
            _architecture(name, where)
        if _MACHINE_OF.get(str(native)) == host.machine:
            listed = [*listed, native, *others]
    found = {_architecture(name, "architectures") for name in listed}
    return frozenset(name for name in found if name is not None)


def _architecture(name: Any, where: str) -> str | None:
    if not isinstance(name, str) or (name not in _OURS and name not in _OTHERS):
        raise _malformed(where, f"holds no architecture: {_shown(name)}")
    return _OURS.get(name)


def _names(entry: Mapping[str, Any], where: str) -> Sequence[str]:
    names = _list(entry, "names", where)
    if "name" in entry:
        if names:
            raise _malformed(f"{where}.name", "stands beside `names`")
        names = [entry["name"]]
    if not names:
        raise _malformed(f"{where}.names", "is no list, or empty")
    for name in names:
        if not isinstance(name, str) or not name:
            raise _malformed(f"{where}.names", f"holds no name: {_shown(name)}")
    return names


def _alternatives(entry: Mapping[str, Any], where: str) -> list[tuple[Comparison, ...]]:
    """Return the rules that the entry is: one, or one for each comparison.

    Two comparisons of one argument cannot stand in a rule of libseccomp, and runc and crun then
    make a rule of every comparison of the entry.
    """
    given = _list(entry, "args", where)
    if len(given) > _ARGUMENTS:
        raise _malformed(f"{where}.args", f"holds more than {_ARGUMENTS} comparisons")
    comparisons = [_comparison(one, f"{where}.args[{number}]") for number, one in enumerate(given)]
    if any(count > 1 for count in Counter(one.index for one in comparisons).values()):
        return [(one,) for one in comparisons]
    return [tuple(comparisons)]


def _comparison(document: Any, where: str) -> Comparison:
    if not isinstance(document, Mapping):
        raise _malformed(where, "is no object")
    index = _number(document.get("index"), f"{where}.index", _ARGUMENTS - 1)
    op = document.get("op")
    if not isinstance(op, str) or op not in OPERATORS:
        raise _malformed(f"{where}.op", f"is no operator: {_shown(op)}")
    value, value_two = (
        _number(document.get(key, 0), f"{where}.{key}", (1 << 64) - 1)
        for key in ("value", "valueTwo")
    )
    return Comparison(index, op, value, value_two)


def _applies(entry: Mapping[str, Any], where: str, host: Host) -> bool:
    """Return whether the entry's conditions hold: Docker's and podman's, absent elsewhere."""
    includes, excludes = (_condition(entry, key, where) for key in ("includes", "excludes"))
    arches = _GO_ARCHITECTURES.get(host.machine, set())
    return not (
        (includes["arches"] and not arches & includes["arches"])
        or arches & excludes["arches"]
        or includes["caps"] - host.capabilities
        or host.capabilities & excludes["caps"]
        or not _is_kernel(includes["minKernel"], host, where, absent=True)
        or _is_kernel(excludes["minKernel"], host, where, absent=False)
    )


def _condition(entry: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    condition = entry.get(key) or {}
    if not isinstance(condition, Mapping):
        raise _malformed(f"{where}.{key}", "is no object")
    found: dict[str, Any] = {"minKernel": condition.get("minKernel")}
    for part in ("arches", "caps"):
        words = _list(condition, part, f"{where}.{key}")
        if not all(isinstance(word, str) for word in words):
            raise _malformed(f"{where}.{key}.{part}", "holds what is no text")
        found[part] = set(words)
    return found


def _is_kernel(least: Any, host: Host, where: str, *, absent: bool) -> bool:
    if least is None or least == "":
        return absent
    parts = str(least).split(".")
    if not isinstance(least, str) or not all(part.isascii() and part.isdigit() for part in parts):
        raise _malformed(f"{where}.minKernel", f"is no version: {_shown(least)}")
    return host.kernel is None or host.kernel >= tuple(int(part[:9]) for part in parts)


def _answer(
    document: Mapping[str, Any], action_key: str, number_key: str, name_key: str, where: str
) -> Verdict:
    prefix = f"{where}." if where else ""
    action = document.get(action_key)
    if not isinstance(action, str) or action not in _ACTIONS:
        raise _malformed(prefix + action_key, f"is no action: {_shown(action)}")
    errno = _errno(document.get(number_key), prefix + number_key)
    # Of both the name counts, as podman has it.
    if name := document.get(name_key):
        if not isinstance(name, str) or name not in _ERRNOS:
            raise _malformed(prefix + name_key, f"is no errno: {_shown(name)}")
        errno = _ERRNOS[name]
    if action not in _WITH_ERRNO:
        return Verdict(action)
    return Verdict(action, _EPERM if errno is None else errno)


def _errno(value: Any, where: str) -> int | None:
    # Older releases of the Security Profiles Operator have it as text.
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 5:
        value = int(value)
    return _number(value, where, _ERRNO_LIMIT)


def _number(value: Any, where: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _malformed(where, f"is no whole number from 0 to {most}: {_shown(value)}")
    return value


def _list(document: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _malformed(f"{where}.{key}" if where else key, "is no list")
    return value


def _malformed(where: str, what: str) -> ExportError:
    return ExportError(f"the seccomp profile is malformed: `{where}` {what}")


def _shown(value: Any) -> str:
    return printable(f"`{value}`"[:80])
