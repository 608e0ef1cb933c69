"""A seccomp profile that is there already, with the calls that evidence demands.

What a person wrote stays: actions, arguments, comments, the default. A call that was seen and that
the profile refuses, or allows for some arguments only, is let through: an entry that would say
something else of it loses that name. Which rule wins where several speak of one call is not
specified, so no call keeps rules of both kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from errno import errorcode
from typing import Any

from ethogram.contracts.artifacts import THERE_BEFORE
from ethogram.contracts.baseline import Baseline
from ethogram.contracts.escape import escape
from ethogram.contracts.policy_seccomp import ARCHITECTURES, Host, read_profile
from ethogram.contracts.policy_seccomp_rules import Rule
from ethogram.errors import ExportError
from exporters.protocol import Artifact, Finding, Reason, shown
from exporters.review.documents import listed, load, part
from exporters.review.protocol import Refined
from exporters.seccomp_calls import MACHINES

__all__ = ["refine_profile"]

_KIND = "SeccompProfile"
_PERMITTING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
_ALL_BITS = (1 << 64) - 1
# Of the other dialects: what they say is in the OCI form's own words afterwards.
_RESOLVED = ("includes", "excludes", "name", "errno")
_ERRNOS = {name: number for number, name in errorcode.items()}


@dataclass(slots=True)
class _Work:
    """What is known while the entries of a profile are gone through.

    *needed* are the calls to let through whatever their arguments, *some* those for some arguments
    with the entries that say so.
    """

    needed: frozenset[str]
    some: Mapping[str, Sequence[dict[str, Any]]]
    host: Host
    present: set[str] = field(default_factory=set)
    partly: dict[str, list[Any]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    let_through: set[str] = field(default_factory=set)
    widened: set[str] = field(default_factory=set)


def refine_profile(
    existing: Sequence[Mapping[str, Any]], made: Artifact, baseline: Baseline
) -> Refined:
    """Return the profile *existing*, in OCI form, with what it lacks of *made*."""
    (document,) = existing
    (target,) = load(made.content)
    if "kind" in target:
        raise ExportError(
            "a profile is refined in its OCI form only",
            hint="leave out the dialect, and refine the file of the OCI form",
        )
    profile = dict(part(document, "spec") if document.get("kind") == _KIND else document)
    machine = _machine(target)
    host = _host(profile, machine, baseline)
    read_profile(document, host)  # refuses what is malformed
    work = _Work(*_wanted(target), host)
    refined = _head(profile, machine)
    entries = [entry for rule in listed(profile, "syscalls") for entry in _kept(rule, work)]
    added = _added(profile, work)
    refined["syscalls"] = [*entries, *added]
    archs = _architectures(refined, machine, baseline)
    if listed(refined, "architectures") or archs:
        refined["architectures"] = [*listed(refined, "architectures"), *archs]
    reasons = tuple(_reasons(work, made, added))
    return Refined([refined], reasons, tuple(_findings(work, added, archs, target, refined)))


def _machine(target: Mapping[str, Any]) -> str:
    words = listed(target, "architectures")
    return next(machine for machine in MACHINES if ARCHITECTURES[machine] in words)


def _host(profile: Mapping[str, Any], machine: str, baseline: Baseline) -> Host:
    """Return where conditions of Docker's and podman's dialects are resolved."""
    conditions = [
        part(rule, key)
        for rule in listed(profile, "syscalls")
        if isinstance(rule, Mapping)
        for key in ("includes", "excludes")
    ]
    bounding = baseline.observation.bounding
    if bounding is None and any(one.get("caps") for one in conditions):
        raise ExportError(
            "the profile asks for capabilities (`includes.caps`), and the baseline does not say"
            " which its container has",
            hint="learn again from a recording of this version, or write the profile without them",
        )
    if any(
        part(rule, "excludes").get("minKernel")
        for rule in listed(profile, "syscalls")
        if isinstance(rule, Mapping)
    ):
        raise ExportError(
            "the profile excludes newer kernels (`excludes.minKernel`), and which one it will run"
            " on is not known",
            hint="write the profile without it",
        )
    return Host(machine, frozenset(bounding or ()))


def _wanted(
    target: Mapping[str, Any],
) -> tuple[frozenset[str], dict[str, list[dict[str, Any]]]]:
    """Return the calls that the made profile lets through, and those for some arguments."""
    needed: set[str] = set()
    some: dict[str, list[dict[str, Any]]] = {}
    for rule in listed(target, "syscalls"):
        if rule["action"] not in _PERMITTING:
            continue
        for name in rule["names"]:
            if rule.get("args"):
                some.setdefault(name, []).append({**rule, "names": [name]})
            else:
                needed.add(name)
    return frozenset(needed), some


def _head(profile: Mapping[str, Any], machine: str) -> dict[str, Any]:
    """Return all of *profile* but its rules, in the words of the OCI form."""
    head = {key: deepcopy(value) for key, value in profile.items() if key != "syscalls"}
    if name := head.pop("defaultErrno", None):
        head["defaultErrnoRet"] = _ERRNOS[name]
    for entry in listed(head, "archMap"):
        if entry.get("architecture") == ARCHITECTURES[machine]:
            head["architectures"] = [entry["architecture"], *listed(entry, "subArchitectures")]
    head.pop("archMap", None)
    return head


def _kept(rule: Any, work: _Work) -> Iterator[dict[str, Any]]:
    """Yield what stays of an entry: nothing where its conditions do not hold here."""
    found = read_profile({"defaultAction": "SCMP_ACT_KILL", "syscalls": [rule]}, work.host).rules
    if not found:
        return
    names = [name for name in found if _stays(name, found[name], rule, work)]
    if not names:
        return
    entry = {key: deepcopy(value) for key, value in rule.items() if key not in _RESOLVED}
    if name := rule.get("errno"):
        entry["errnoRet"] = _ERRNOS[name]
    # First what it is about, as people write it.
    yield {"names": names} | entry | {"names": names}


def _stays(name: str, rules: Sequence[Rule], rule: Mapping[str, Any], work: _Work) -> bool:
    """Return whether the entry *rule* keeps *name*, and note what it says of it."""
    permits = rule["action"] in _PERMITTING
    for_all = any(one.is_unconditional(_ALL_BITS) for one in rules)
    if permits and for_all:
        work.present.add(name)
        return True
    if name in work.needed:
        (work.widened if permits else work.let_through).add(name)
        return False
    if permits:
        work.partly.setdefault(name, []).append(rule["args"])
        return True
    if name in work.some:
        work.let_through.add(name)
        return False
    work.refused.add(name)
    return True


def _added(profile: Mapping[str, Any], work: _Work) -> list[dict[str, Any]]:
    """Return the entries that the profile lacks."""
    # By such a default everything goes through that no rule refuses.
    if profile["defaultAction"] in _PERMITTING:
        return []
    found: list[dict[str, Any]] = []
    if missing := sorted(work.needed - work.present):
        found.append({"names": missing, "action": "SCMP_ACT_ALLOW"})
    for name in sorted(set(work.some) - work.present):
        found += [rule for rule in work.some[name] if rule["args"] not in work.partly.get(name, [])]
    return found


def _architectures(refined: Mapping[str, Any], machine: str, baseline: Baseline) -> list[str]:
    """Return the architectures that calls were seen through and that are not listed."""
    seen = {rule.value.arch for rule in baseline.rules.syscalls}
    listed_ones = listed(refined, "architectures")
    return (
        [
            ARCHITECTURES[arch]
            for arch in MACHINES[machine]
            if arch in seen and arch != machine and ARCHITECTURES[arch] not in listed_ones
        ]
        if listed_ones
        else [ARCHITECTURES[arch] for arch in MACHINES[machine] if arch in seen and arch != machine]
    )


def _reasons(work: _Work, made: Artifact, added: Sequence[Mapping[str, Any]]) -> Iterator[Reason]:
    """Yield why each call stands there; the same when the profile is refined again."""
    of_made = {one.place: one for one in made.reasons}
    here = work.present | set(work.partly) | {name for one in added for name in one["names"]}
    for name in sorted(here | work.refused):
        if name in here and name in of_made:
            yield of_made[name]
        elif name in here:
            yield Reason(name, "unused", source=THERE_BEFORE)
        else:
            yield Reason(name, "kept", source=f"refused by {THERE_BEFORE}")
    yield Reason("defaultAction", "kept", source=THERE_BEFORE)


def _findings(
    work: _Work,
    added: Sequence[Mapping[str, Any]],
    archs: Sequence[str],
    target: Mapping[str, Any],
    refined: Mapping[str, Any],
) -> Iterator[Finding]:
    if new := sorted({name for one in added for name in one["names"]} - work.let_through):
        names = shown([escape(name) for name in new])
        yield Finding("info", f"added to the profile that was there: {names}")
    if work.let_through:
        yield Finding(
            "warning",
            "the profile that was there refuses what was seen, and lets it through now:"
            f" {shown(sorted(work.let_through))}",
            hint="where it was refused on purpose, leave it out of the baseline: `learn --without`",
        )
    if widened := sorted(work.widened - work.present):
        yield Finding(
            "warning",
            "the profile that was there allows for some arguments only what was seen with"
            f" arguments that are not known: all are allowed now: {shown(widened)}",
            hint="record the arguments of calls, and learn again",
        )
    if archs:
        yield Finding(
            "info", f"calls were seen through {', '.join(archs)}: all that it allows goes there too"
        )
    known = work.needed | set(work.some)
    if unused := sorted((work.present | set(work.partly)) - known):
        names = shown([escape(name) for name in unused])
        yield Finding(
            "info",
            f"kept, and could be taken out, as nothing needs it: {names}",
            hint="the provenance file beside the profile lists them all as `unused`",
        )
    if target["defaultAction"] != refined["defaultAction"]:
        yield Finding(
            "info",
            f"the default of the profile that was there is kept: {refined['defaultAction']}, not"
            f" {target['defaultAction']}",
        )
