"""Settings that a seccomp filter enforces: which calls a unit makes, and with which arguments.

systemd installs the filters just before it executes the unit's program, so what it does before is
not asked for. Without CAP_SYS_ADMIN, which a unit of another user than root lacks by then, it sets
no_new_privs for them: they are for units that can bear that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ethogram.contracts.capabilities import CAPABILITIES
from exporters.protocol import Finding, Why, shown
from exporters.seccomp_calls import always
from exporters.systemd_choices import Choices
from exporters.systemd_families import families
from exporters.systemd_seen import Seen
from exporters.systemd_setting import LeftOut, Setting, unused

__all__ = ["SECCOMP", "bears_no_new_privileges", "call_settings", "privilege_settings"]

# Settings that systemd enforces by a filter of calls, or cannot set without one.
SECCOMP = frozenset(
    {
        "LockPersonality", "MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock",
        "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
        "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
        "SystemCallArchitectures", "SystemCallErrorNumber", "SystemCallFilter", "SystemCallLog",
    }
)  # fmt: skip
_OTHER_ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {"i386": "x86", "x32": "x32", "arm": "arm"}
)
# Any program may come to need these: to refuse them would say little and break much.
_NEVER_REFUSED = frozenset(
    {
        "@basic-io", "@default", "@file-system", "@io-event", "@known", "@network-io", "@process",
        "@signal", "@system-service",
    }
)  # fmt: skip
# After the filter systemd tells its parent that it executes, and does so.
_SYSTEMDS_OWN = frozenset({"close", "execve", "execveat", "fcntl", "write"})
_NAMESPACING = ("unshare", "setns", "clone_namespace")
_PROT_EXEC = 4
_PERSONALITIES = frozenset({0, 0xFFFFFFFF})  # Linux, and a question


def bears_no_new_privileges(seen: Seen) -> bool:
    """Return whether no_new_privs takes nothing from the unit that it used."""
    observation = seen.baseline.observation
    return observation.privileges_gained is False or observation.no_new_privs is True


def call_settings(seen: Seen, choices: Choices) -> Iterator[Setting | LeftOut | Finding]:
    """Yield the settings about calls and their arguments."""
    if choices.filter == "allow":
        yield from _allow_list(seen, choices)
    else:
        yield from _deny_list(seen, choices)
    others = sorted(name for arch, name in _OTHER_ARCHITECTURES.items() if arch in seen.archs)
    evidence = f"it made calls of {', '.join(sorted(seen.archs))} alone"
    value = " ".join(["native", *others])
    yield Setting("SystemCallArchitectures", (value,), "observed", evidence)
    yield from families(seen)
    yield from _namespaces(seen)
    yield from _personality(seen)
    yield from _writable_code(seen)


def _deny_list(seen: Seen, choices: Choices) -> Iterator[Setting | LeftOut]:
    used = set(seen.calls) | set(always(sorted(seen.archs))) | choices.groups.groups["@default"]
    refused = sorted(
        name
        for name, calls in choices.groups.groups.items()
        if name not in _NEVER_REFUSED and not calls & used
    )
    kept = sorted(set(choices.groups.groups) - set(refused) - _NEVER_REFUSED)
    for name in kept:
        because = sorted(set(seen.calls) & choices.groups.groups[name])
        rules = tuple(sorted({rule for call in because for rule in seen.calls[call]}))
        about = f"it made {shown(because)}" if because else "any process may need it"
        yield LeftOut(f"SystemCallFilter.{name}", about, rules)
    if not refused:
        return
    evidence = f"it made no call of these groups, as systemd {choices.groups.package} has them"
    if choices.enforce:
        yield unused("SystemCallFilter", f"~{' '.join(refused)}", evidence)
        yield Setting("SystemCallErrorNumber", ("EPERM",), "default", "an error, and not the end")
    else:
        about = f"{evidence}: a call of one is written to the log"
        yield Setting("SystemCallLog", (" ".join(refused),), "unused", about, logs=True)


def _allow_list(seen: Seen, choices: Choices) -> Iterator[Setting | LeftOut | Finding]:
    known = choices.groups.groups["@known"]
    names = sorted({*seen.calls, *always(sorted(seen.archs)), *_SYSTEMDS_OWN} & known)
    rules = tuple(sorted({rule for name in names for rule in seen.calls.get(name, ())}))
    for name in sorted(set(seen.calls) - known):
        yield Finding(
            "loss",
            f"systemd {choices.groups.package} does not know {name}, and a list of allowed calls"
            " refuses it",
            hint="pass `--set filter=deny`, or `--set systemd=` of a version that knows it",
            subject=seen.calls[name][0],
        )
    # The empty value goes first: a list that the unit's file has would decide what this one means.
    if choices.enforce:
        value = f"@default {' '.join(names)}"
        evidence = "it made these calls; @default and some others any process needs"
        yield Setting("SystemCallFilter", ("", value), "observed", evidence, rules)
        # A C library that gets this falls back to an older call.
        yield Setting("SystemCallErrorNumber", ("ENOSYS",), "default", "as if there were none")
    else:
        value = f"~@default {' '.join(names)}"
        evidence = "any other call than those that it made is written to the log"
        yield Setting("SystemCallLog", ("", value), "observed", evidence, rules, logs=True)


def _namespaces(seen: Seen) -> Iterator[Setting | LeftOut]:
    for name in _NAMESPACING:
        if name in seen.operations:
            evidence = f"it made or entered namespaces: {name}"
            yield LeftOut("RestrictNamespaces", evidence, seen.operations[name])
            return
    yield unused("RestrictNamespaces", "yes", "it made and entered no namespace")


def _values(seen: Seen, name: str, index: int) -> frozenset[int] | None:
    """Return what argument *index* of call *name* was in every call, None where it is not known."""
    found: set[int] = set()
    for arch in seen.archs:
        if not any(
            rule.value.name == name and rule.value.arch == arch
            for rule in seen.baseline.rules.syscalls
        ):
            continue
        told = [
            one
            for one in seen.baseline.arguments or ()
            if (one.arch, one.name, one.index) == (arch, name, index)
        ]
        if not told or any(one.others for one in told):
            return None
        found.update(value.value for one in told for value in one.values)
    return frozenset(found)


def _personality(seen: Seen) -> Iterator[Setting | LeftOut]:
    values = _values(seen, "personality", 0)
    if values is not None and values <= _PERSONALITIES:
        yield unused("LockPersonality", "yes", "it asked for no other personality than Linux's")
    else:
        rules = seen.calls.get("personality", ())
        yield LeftOut("LockPersonality", "it may have asked for another personality", rules)


def _writable_code(seen: Seen) -> Iterator[Setting | LeftOut]:
    """Yield `MemoryDenyWriteExecute`, which refuses more than one kind of call can show."""
    calls = ("mmap", "mmap2", "mprotect", "pkey_mprotect")
    protections = [_values(seen, name, 2) for name in calls]
    name = "MemoryDenyWriteExecute"
    is_told = seen.baseline.arguments is not None and None not in protections
    if not is_told or "shmat" in seen.calls:
        rules = tuple(sorted({*seen.calls.get("mprotect", ()), *seen.calls.get("mmap", ())}))
        yield LeftOut(name, "whether it made memory executable is not known", rules)
    elif any(value & _PROT_EXEC for values in protections[2:] for value in values or ()):
        yield LeftOut(name, "it made memory executable", seen.calls.get("mprotect", ()))
    elif any(value & 6 == 6 for values in protections[:2] for value in values or ()):
        yield LeftOut(name, "it mapped memory to write and execute", seen.calls.get("mmap", ()))
    else:
        yield unused(name, "yes", "it made no memory executable that it could write to")


def privilege_settings(seen: Seen) -> Iterator[Setting | LeftOut]:
    """Yield the settings about what the unit may do as the one that it is."""
    if bears_no_new_privileges(seen):
        yield unused("NoNewPrivileges", "yes", "no program raised its caller's privileges")
    elif seen.baseline.observation.privileges_gained:
        yield LeftOut("NoNewPrivileges", "a program raised its caller's privileges")
    else:
        yield LeftOut(
            "NoNewPrivileges", "whether a program raised its caller's privileges is not known"
        )
    names = [name for name in seen.capabilities if name in CAPABILITIES]
    rules = tuple(sorted({rule for name in names for rule in seen.capabilities[name]}))
    values = ("", " ".join(names)) if names else ("",)
    evidence = f"it used {shown(names)}, and no other" if names else "it used no capability"
    why: Why = "observed" if names else "unused"
    yield Setting("CapabilityBoundingSet", values, why, evidence, rules)
    users = seen.baseline.observation.runs_as
    if users and 0 not in users and seen.baseline.observation.privileges_gained is False:
        # Another user than root has capabilities from here alone; and systemd does not start a
        # unit that is to have one which its bounding set lacks.
        about = f"it ran as user {shown([str(user) for user in users])}: {evidence}"
        yield Setting("AmbientCapabilities", values, why, about, rules)
