"""What the reader of a seccomp profile has to know that the profile cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.quality import states_of, was_told
from ethogram.contracts.syscall_names import names_of
from exporters.admission_privileged import OF_PRIVILEGED
from exporters.protocol import Finding, shown
from exporters.runtime_base import AUTO
from exporters.seccomp_calls import (
    MACHINES,
    Call,
    call_name,
    left_to_the_runtime,
    machine_of,
)
from exporters.seccomp_choices import Choices

__all__ = ["findings_about"]

_STATES: Mapping[str, str] = {
    "lossy": "the recorder lost events of this workload: calls may be missing from the profile",
    "enforced": "the workload was learnt under an enforcing filter: what that filter refused is"
    " refused again",
    "partial": "the baseline is partial: it has not seen enough to be called complete",
}
# Kinds of workloads that are no containers.
_OF_HOST = frozenset({"Command", "Unit"})


def findings_about(
    baseline: Baseline, calls: Mapping[str, Call], archs: Sequence[str], choices: Choices
) -> Iterator[Finding]:
    """Yield the findings of the profile with *calls* for the architectures *archs*."""
    yield from _unnamed(baseline, archs[0])
    yield from _left_to_the_runtime(baseline, calls, archs[0])
    yield from _names_unknown_to_libseccomp(calls, choices)
    yield from _architectures(calls, archs, choices)
    yield from _runtimes(archs[0], choices)
    yield from _refusals(calls, choices)
    yield from _privileged(baseline)
    yield from _baseline_state(baseline)


def _privileged(baseline: Baseline) -> Iterator[Finding]:
    bounding = baseline.observation.bounding
    if baseline.subject.kind in _OF_HOST:
        return  # every root of a host has them all
    if bounding is not None and frozenset(bounding) >= OF_PRIVILEGED:
        yield Finding(
            "warning",
            "the workload ran with every capability, as a privileged container does, and of those"
            " no runtime applies a profile: they run unconfined",
            hint="leave `privileged` out of the pod, and add the capabilities that it used",
        )


def _unnamed(baseline: Baseline, machine: str) -> Iterator[Finding]:
    for rule in baseline.rules.syscalls:
        if machine_of(rule.value.arch) == machine and call_name(rule) is None:
            yield Finding(
                "loss",
                f"call {rule.value.nr} of {rule.value.arch} has no name here, and a profile has"
                " names only: it is not allowed",
                hint="a newer version of ethogram may know the name",
                subject=rule.id,
            )


def _left_to_the_runtime(
    baseline: Baseline, calls: Mapping[str, Call], machine: str
) -> Iterator[Finding]:
    if left := left_to_the_runtime(baseline, calls, machine):
        yield Finding(
            "info",
            f"left out {_count(left, 'call')} that only the container runtime made, before the"
            f" entrypoint ran: {shown(left)}",
            hint="what it does after installing the filter is in the base sets; the provenance"
            " file lists them all",
        )


def _names_unknown_to_libseccomp(calls: Mapping[str, Call], choices: Choices) -> Iterator[Finding]:
    for version, known in sorted(choices.libseccomp.items()):
        if unknown := sorted(set(calls) - known):
            effect = "refuses" if choices.enforce else "logs"
            yield Finding(
                "warning",
                f"libseccomp {version} does not know {_count(unknown, 'name')}, and a runtime"
                f" with it {effect} them although they are listed: {', '.join(unknown)}",
                hint="use a runtime with a newer libseccomp, or expect the fallback to be taken",
            )


def _architectures(
    calls: Mapping[str, Call], archs: Sequence[str], choices: Choices
) -> Iterator[Finding]:
    seen = {rule.value.arch for call in calls.values() for rule in call.rules}
    if absent := [arch for arch in MACHINES[archs[0]] if arch not in archs]:
        yield Finding(
            "info",
            f"no {' or '.join(absent)} call was seen, so the profile leaves"
            f" {_them(absent)} out: such a call kills the thread that makes it",
            of_whole=True,
        )
    for arch in archs[1:]:
        if arch not in seen:
            continue
        if extra := _widened(calls, arch):
            yield Finding(
                "warning",
                f"a profile has one list of names for all architectures: {_count(extra, 'name')}"
                f" not seen through {arch} {_are(extra)} allowed there too",
            )
        if extra := _only_through(calls, arch, archs[0]):
            yield Finding(
                "warning",
                f"seen through {arch} alone and now allowed through {archs[0]} too: {shown(extra)}",
                hint="the provenance file says of each call through which it was seen",
            )
    if not choices.enforce and len(archs) > 1:
        yield Finding(
            "info",
            f"while it only logs, the profile lists {', '.join(archs[1:])} too: what is not"
            " listed is killed, not logged",
            of_whole=True,
        )


def _widened(calls: Mapping[str, Call], arch: str) -> list[str]:
    available = names_of(arch)
    return [name for name, call in calls.items() if name in available and not _seen(call, arch)]


def _only_through(calls: Mapping[str, Call], arch: str, machine: str) -> list[str]:
    available = names_of(machine)
    return [
        name
        for name, call in calls.items()
        if name in available and {rule.value.arch for rule in call.rules} == {arch}
    ]


def _seen(call: Call, arch: str) -> bool:
    return any(rule.value.arch == arch for rule in call.rules)


def _runtimes(machine: str, choices: Choices) -> Iterator[Finding]:
    labels = ", ".join(f"`{base.label}`" for base in choices.bases)
    seen = ", ".join(f"`{name}`" for name in choices.observed or ())
    if choices.runtime is None:
        yield Finding(
            "info",
            f"no runtime is named: the calls of {labels} under the filter are allowed",
            hint="name yours for a tighter profile: `--runtime runc@1.1.5`, or `--runtime auto`"
            + (f": {seen}" if choices.observed else " on a host that has it"),
        )
    elif AUTO in choices.runtime.split(","):
        yield Finding("info", f"`auto` is what the baseline was observed under: {seen}")
    for one in choices.stand_ins:
        yield Finding(
            "warning",
            f"the calls of `{one.wanted}` are not measured: those of `{one.base.label}`, the"
            " nearest measured version, stand in",
            hint="start, exec into and stop a container under the profile before enforcing it, or"
            " measure it with `tools/measure_runtime_base.py` of the sources",
        )
    for base in choices.bases:
        if not base.measured:
            yield Finding(
                "warning",
                f"the calls of `{base.label}` are not measured: {base.how}",
                hint="start, exec into and stop a container under the profile before enforcing it",
            )
        if base.arch != machine:
            yield Finding(
                "warning",
                f"the calls of `{base.label}` were measured on {base.arch}, not on {machine}",
                hint="start, exec into and stop a container under the profile before enforcing it",
            )
    if choices.no_new_privs:
        yield Finding(
            "info",
            "a container without no_new_privs does not start under this profile",
            hint="set `allowPrivilegeEscalation: false` where the profile is used",
        )
        if any(base.runtime == "crun" for base in choices.bases):
            yield Finding(
                "info",
                "`crun exec` forgets no_new_privs unless it is told, and such a session does not"
                " start under this profile",
                hint="pass `--no-new-privs` to it, or export with `--set no-new-privs=both`",
            )


def _refusals(calls: Mapping[str, Call], choices: Choices) -> Iterator[Finding]:
    if choices.eperm and not choices.enforce:
        yield Finding("info", "`eperm` has no effect while the profile only logs")
        return
    if allowed := [name for name in choices.eperm if name in calls]:
        yield Finding(
            "warning",
            f"to be refused with EPERM, but needed and so allowed: {', '.join(allowed)}",
        )


def _baseline_state(baseline: Baseline) -> Iterator[Finding]:
    for state in states_of(baseline.observation):
        if state in _STATES:
            yield Finding("info" if state == "partial" else "warning", _STATES[state])
    if told := was_told(baseline.observation):
        yield Finding("warning", told)
    phases = baseline.observation.phases
    if phases and "startup" not in phases:
        yield Finding(
            "warning",
            "the workload's start was not recorded: a container may not start under this profile",
            hint="record across its start: `ethogram record --namespace NS` waits for it",
        )
    if quarantined := [q for q in baseline.quarantined if q.dimension == "syscalls"]:
        yield Finding(
            "info",
            f"{_count(quarantined, 'call')} in quarantine {_are(quarantined)} not allowed",
            hint="a reviewed overlay in the baseline allows them",
        )


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _are(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"


def _them(things: Sequence[object]) -> str:
    return "it" if len(things) == 1 else "them"
