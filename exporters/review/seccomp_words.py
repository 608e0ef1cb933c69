"""A seccomp profile in plain words: which calls, through which architectures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ethogram.contracts.baseline import SyscallValue
from ethogram.contracts.policy_seccomp import ARCHITECTURES
from ethogram.contracts.syscall_names import names_of, number_of
from ethogram.errors import ExportError
from exporters.review.documents import listed
from exporters.review.protocol import Grant, Told
from exporters.seccomp_calls import MACHINES

__all__ = ["told_profile"]

_PERMITTING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
_MODES: Mapping[Any, str] = {
    "SCMP_ACT_ALLOW": "allows what it does not name",
    "SCMP_ACT_LOG": "logs",
}
_ANY_ARGUMENT = 1


def told_profile(profile: Mapping[str, Any]) -> Told:
    """Return what *profile* says, in one of the dialects of JSON."""
    machine = _machine(profile)
    grants = tuple(dict.fromkeys(_grants(profile, machine)))
    names = names_of(machine)
    allowed = {grant.subject for grant in grants if grant.kind == "call"} & names
    mode = _MODES.get(profile.get("defaultAction"), "denies")
    return Told(mode, grants, f"{len(allowed):,} of {len(names):,} calls")


def _machine(profile: Mapping[str, Any]) -> str:
    words = {str(word) for word in listed(profile, "architectures")}
    words |= {
        str(each.get("architecture"))
        for each in listed(profile, "archMap")
        if isinstance(each, Mapping)
    }
    found = [machine for machine in MACHINES if ARCHITECTURES[machine] in words]
    return found[0] if found else "x86_64"


def _grants(profile: Mapping[str, Any], machine: str) -> Iterator[Grant]:
    for word in listed(profile, "architectures"):
        yield Grant("calls through", str(word).removeprefix("SCMP_ARCH_"))
    is_open = profile.get("defaultAction") in _PERMITTING
    for rule in listed(profile, "syscalls"):
        if not isinstance(rule, Mapping):
            raise ExportError("the seccomp profile is malformed: a rule is no mapping")
        names = [*listed(rule, "names"), *([rule["name"]] if "name" in rule else [])]
        some = _conditions(rule)
        if rule.get("action") in _PERMITTING:
            yield from (_call(str(name), some, machine) for name in names)
        elif is_open:
            words = f" where {some}" if some else ""
            yield from (
                Grant("call", f"{name} is refused{words}", is_demand=True) for name in names
            )


def _call(name: str, some: str, machine: str) -> Grant:
    number = number_of(machine, name)
    value = None if number is None else SyscallValue(arch=_arch(machine), name=name, nr=number)
    words = f"{name} where {some}" if some else name
    return Grant("call", words, value, subject=name, breadth=0 if some else _ANY_ARGUMENT)


def _arch(machine: str) -> Any:
    return machine


def _conditions(rule: Mapping[str, Any]) -> str:
    """Return on what *rule* depends, without its values' meaning; empty where on nothing."""
    found = []
    for key in ("args", "includes", "excludes"):
        if rule.get(key):
            found.append(f"{key} {json.dumps(rule[key], sort_keys=True)}")
    return " and ".join(found)
