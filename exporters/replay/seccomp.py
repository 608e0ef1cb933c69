"""Seccomp profiles: which recorded calls the filter would not have let through."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ethogram.contracts.call_arguments import VETTED
from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.policy_seccomp import ARCHITECTURES, Host, Profile, Verdict, read_profile
from ethogram.contracts.policy_seccomp_rules import MASKED
from ethogram.contracts.syscall_names import name_of
from ethogram.errors import ExportError
from exporters.replay.observations import Observations, Sight
from exporters.replay.protocol import (
    Denied,
    Judged,
    Outcome,
    Picked,
    Policy,
    Relaxation,
    Unjudged,
)
from exporters.replay.subjects import of_workloads
from exporters.runtime_base import RuntimeBase, load_runtime_bases, release_of
from exporters.seccomp_calls import is_left_to_the_runtime, machine_of

__all__ = ["SeccompReplayer", "replayer"]

_KIND = "SeccompProfile"
_KEYS = ("workload", "instance", "phase", "arch", "nr")
_WIDE = 0xFFFF_FFFF
_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of one workload: how often it is judged, and where it was made first."""

    arch: str
    nr: int
    name: str | None
    count: int
    sight: Sight
    value: int | None = None

    @property
    def rule(self) -> str:
        """What is allowed or not: the name, what it is called through, what its argument was."""
        assert self.name is not None
        words = self.name if self.arch == machine_of(self.arch) else f"{self.name} ({self.arch})"
        if self.value is None:
            return words
        return f"{words} with {self.value:#x} as argument {VETTED[self.name].index}"


@dataclass(frozen=True, slots=True)
class SeccompReplayer:
    """Answers as libseccomp's filter does.

    *bases* say what a runtime calls once the filter is installed: of its own phase that is judged,
    and nothing else.
    """

    bases: tuple[RuntimeBase, ...]
    target: str = "seccomp"

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document* is a profile in one of the dialects of JSON, or of the operator's.

        The file beside a profile that says why each name is in it is no profile.
        """
        del path
        return "defaultAction" in document or document.get("kind") == _KIND

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what each profile does to the calls of the workloads that it is for."""
        if "syscalls" in seen.not_looked_at:
            yield from (Picked(one.path) for one in policies)
            yield Unjudged("the recorder did not look at system calls", 1)
            return
        chosen = of_workloads(policies, seen.keys)
        rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in seen.grouped("syscalls", _KEYS).to_pylist():
            rows[row["workload"]].append(row)
        for workload, for_it in chosen.items():
            for policy in for_it:
                yield from self._of_workload(policy, workload, rows[workload], seen)

    def _of_workload(
        self, policy: Policy, workload: int, rows: Sequence[Mapping[str, Any]], seen: Observations
    ) -> Iterator[Outcome]:
        calls = [*_own_calls(rows), *self._of_runtimes(rows, seen)]
        profile = _read(policy, workload, seen)
        values = _values(seen, workload)
        judged = 0
        for runtime, count in self._unknown_runtimes(rows, seen):
            reason = f"what {runtime} calls once it has installed the filter was not measured"
            yield Unjudged(reason, count, policy.path, workload)
        for call in calls:
            for outcome in _outcomes(policy, profile, workload, call, values):
                if isinstance(outcome, Judged):
                    judged += outcome.count
                else:
                    yield outcome
        yield Judged("calls", judged, workload, policy.path)

    def _of_runtimes(
        self, rows: Sequence[Mapping[str, Any]], seen: Observations
    ) -> Iterator[_Call]:
        """Yield what the recorded runtimes call under the filter, of what only they called."""
        own = {(call.arch, call.nr) for call in _own_calls(rows)}
        of_runtime = [
            row for row in rows if row["phase"] == "runtime" and (row["arch"], row["nr"]) not in own
        ]
        filtered = {
            number: self._filtered(seen.instances.get(number, {}), seen.manifest.arch)
            for number in {row["instance"] for row in of_runtime}
        }
        for call in _added_up(of_runtime):
            if call.name is not None and call.name in filtered[call.sight.instance]:
                yield call

    def _filtered(self, instance: Mapping[str, Any], arch: str) -> frozenset[str]:
        """Return what the runtime of *instance* calls after it has installed the filter."""
        return frozenset(
            name
            for base in self._bases_of(instance, arch)
            for name in base.calls(instance.get("no_new_privs"))
        )

    def _bases_of(self, instance: Mapping[str, Any], arch: str) -> list[RuntimeBase]:
        version = release_of(instance.get("runtime_version") or "")
        label = (instance.get("runtime"), version, arch)
        return [
            base
            for base in self.bases
            if base.measured and (base.runtime, base.version, base.arch) == label
        ]

    def _unknown_runtimes(
        self, rows: Sequence[Mapping[str, Any]], seen: Observations
    ) -> Iterator[tuple[str, int]]:
        """Yield the runtimes of which it is not known what they call under the filter."""
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            if row["phase"] == "runtime":
                instance = seen.instances.get(row["instance"], {})
                if not self._bases_of(instance, seen.manifest.arch):
                    parts = (instance.get("runtime"), instance.get("runtime_version"))
                    counts[" ".join(map(str, filter(None, parts))) or "the runtime"] += row["calls"]
        yield from sorted(counts.items())


def replayer() -> SeccompReplayer:
    """Return the replayer with the data that ships with it."""
    return SeccompReplayer(load_runtime_bases())


def _own_calls(rows: Iterable[Mapping[str, Any]]) -> Iterator[_Call]:
    """Yield the calls of the workload itself: what just the runtime did is left to it."""
    phases: dict[tuple[str, int], set[str]] = defaultdict(set)
    rows = list(rows)
    for row in rows:
        phases[row["arch"], row["nr"]].add(row["phase"])
    yield from _added_up(
        row
        for row in rows
        if row["phase"] != "runtime" and not is_left_to_the_runtime(phases[row["arch"], row["nr"]])
    )


def _added_up(rows: Iterable[Mapping[str, Any]]) -> Iterator[_Call]:
    found: dict[tuple[str, int], _Call] = {}
    for row in rows:
        arch, nr = row["arch"], row["nr"]
        sight = Sight(row["window"], row["instance"], row["phase"])
        if before := found.get((arch, nr)):
            sight = min(before.sight, sight, key=lambda one: (one.window, one.instance))
        count = row["calls"] + (before.count if before else 0)
        found[arch, nr] = _Call(arch, nr, name_of(arch, nr), count, sight)
    yield from found.values()


def _read(policy: Policy, workload: int, seen: Observations) -> Profile:
    """Return the profile as it is where *workload* ran: conditions ask for that."""
    release = _RELEASE.match(seen.manifest.kernel)
    masks = [one["caps_bounding"] for one in seen.instances_of(workload)]
    host = Host(
        machine=seen.manifest.arch,
        kernel=tuple(int(part[:9]) for part in release[0].split(".")) if release else None,
    )
    if masks and None not in masks:
        names = {name for bit, name in enumerate(CAPABILITIES) if all(m >> bit & 1 for m in masks)}
        host = replace(host, capabilities=frozenset(names))
    try:
        return read_profile(policy.document, host)
    except ExportError as error:
        raise ExportError(f"`{policy.path}`: {error.message}", hint=error.hint) from error


def _values(seen: Observations, workload: int) -> dict[tuple[str, int], list[_Call]]:
    """Return how often each call was made with which value of its argument."""
    found: dict[tuple[str, int], list[_Call]] = defaultdict(list)
    for row in seen.grouped("arguments", (*_KEYS, "value")).to_pylist():
        if row["workload"] == workload and row["value"] is not None and row["phase"] != "runtime":
            arch, nr = row["arch"], row["nr"]
            sight = Sight(row["window"], row["instance"], row["phase"])
            call = _Call(arch, nr, name_of(arch, nr), row["calls"], sight, row["value"])
            found[arch, nr].append(call)
    return found


def _outcomes(
    policy: Policy,
    profile: Profile,
    workload: int,
    call: _Call,
    values: Mapping[tuple[str, int], Sequence[_Call]],
) -> Iterator[Outcome]:
    if call.name is None:
        what = f"call {call.nr} of {call.arch} has no name in this version's table"
        yield Unjudged(what, call.count, policy.path, workload)
        return
    answer = profile.verdict(call.arch, call.name)
    if answer.is_certain:
        yield Judged("calls", call.count, workload)
        if answer.action != "SCMP_ACT_ALLOW":
            yield _denied(policy, workload, call, answer)
        return
    left = call.count
    for one in values.get((call.arch, call.nr), ()) if _tells(profile, call.name) else ():
        asked = {VETTED[call.name].index: one.value or 0}
        answer = profile.verdict(call.arch, call.name, asked)
        if answer.is_certain:
            left -= one.count
            yield Judged("calls", one.count, workload)
            if answer.action != "SCMP_ACT_ALLOW":
                yield _denied(policy, workload, one, answer)
    if left > 0:
        what = f"`{call.name}`: its arguments decide, and the recording does not tell them all"
        yield Unjudged(what, left, policy.path, workload)


def _tells(profile: Profile, name: str) -> bool:
    """Return whether the recorded bits of the call's argument are all that *profile* asks for."""
    told = VETTED.get(name)
    return told is not None and all(
        told.mask & _WIDE == _WIDE or (one.op == MASKED and not one.value & ~told.mask)
        for rule in profile.rules.get(name, ())
        for one in rule.comparisons
        if one.index == told.index
    )


def _denied(policy: Policy, workload: int, call: _Call, answer: Verdict) -> Denied:
    return Denied(
        policy=policy.path,
        rule=call.rule,
        answer=_words(answer),
        workload=workload,
        count=call.count,
        sight=call.sight,
        relaxation=_relaxation(policy.document, call),
        effect="logged" if answer.is_permitted else "denied",
    )


def _words(answer: Verdict) -> str:
    action = answer.action.removeprefix("SCMP_ACT_")
    return action if answer.errno is None else f"{action} {answer.errno}"


def _relaxation(document: Mapping[str, Any], call: _Call) -> Relaxation:
    """Return what lets *call* through: its name among those allowed, and its architecture."""
    body, prefix = document, ""
    if document.get("kind") == _KIND:
        body, prefix = document["spec"], "/spec"
    patch: list[Mapping[str, Any]] = []
    words: list[str] = []
    wanted = ARCHITECTURES[call.arch]
    listed = body.get("architectures") or []
    if call.arch != machine_of(call.arch) and wanted not in listed:
        path = f"{prefix}/architectures" + ("/-" if listed else "")
        patch.append({"op": "add", "path": path, "value": wanted if listed else [wanted]})
        words.append(f"list `{wanted}`")
    if call.value is not None:
        words.append(f"allow `{call.rule}`")
        patch.append(_add(body, prefix, _conditional(call)))
    elif not _allows_name(body, str(call.name)):
        words.append(f"allow `{call.name}`")
        patch.append(_allow(body, prefix, str(call.name)))
        patch += _taken_out(body, prefix, str(call.name))
    return Relaxation(" and ".join(words), tuple(patch))


def _allows_name(body: Mapping[str, Any], name: str) -> bool:
    plain = {key: value for key, value in body.items() if key != "baseProfileName"}
    return read_profile(plain).verdict("x86_64", name).action == "SCMP_ACT_ALLOW"


def _conditional(call: _Call) -> dict[str, Any]:
    told = VETTED[str(call.name)]
    comparison = {"index": told.index, "value": told.mask, "valueTwo": call.value, "op": MASKED}
    return {"names": [call.name], "action": "SCMP_ACT_ALLOW", "args": [comparison]}


def _taken_out(body: Mapping[str, Any], prefix: str, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield what takes *name* out of the rules that refuse it; the last ones first."""
    entries = [*enumerate(body.get("syscalls") or [])]
    for number, entry in reversed(entries):
        names = entry.get("names") or []
        is_plain = not (entry.get("args") or entry.get("includes") or entry.get("excludes"))
        if name not in names or entry.get("action") == "SCMP_ACT_ALLOW" or not is_plain:
            continue
        path = f"{prefix}/syscalls/{number}"
        if len(names) > 1:
            path += f"/names/{names.index(name)}"
        yield {"op": "remove", "path": path}


def _allow(body: Mapping[str, Any], prefix: str, name: str) -> Mapping[str, Any]:
    for number, entry in enumerate(body.get("syscalls") or []):
        plain = not (entry.get("args") or entry.get("includes") or entry.get("excludes"))
        if entry.get("action") == "SCMP_ACT_ALLOW" and plain and "names" in entry:
            path = f"{prefix}/syscalls/{number}/names/-"
            return {"op": "add", "path": path, "value": name}
    return _add(body, prefix, {"names": [name], "action": "SCMP_ACT_ALLOW"})


def _add(body: Mapping[str, Any], prefix: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if body.get("syscalls"):
        return {"op": "add", "path": f"{prefix}/syscalls/-", "value": entry}
    return {"op": "add", "path": f"{prefix}/syscalls", "value": [entry]}
