"""Baseline -> seccomp profile: the flattened OCI form, which Kubernetes, Docker and podman read.

One list of allowed names; everything else is logged, or with `enforce` refused with ENOSYS. The
profile itself has no place for what it was made from: all of that is in the file beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension, Rule, Subject, SyscallValue
from ethogram.contracts.exports import artifact_path
from ethogram.contracts.file_names import safe_part
from ethogram.contracts.keys import workload_key
from ethogram.contracts.policy_seccomp import ARCHITECTURES
from ethogram.errors import ExportError
from exporters.observed import require_observed
from exporters.protocol import Artifact, Finding, Options, Reason
from exporters.runtime_base import (
    RuntimeBase,
    load_known_names,
    load_runtime_bases,
)
from exporters.seccomp_calls import (
    MACHINES,
    Call,
    always,
    call_name,
    from_runtimes,
    left_to_the_runtime,
    machine_of,
    observed,
    only_by_runtime,
    tolerated,
)
from exporters.seccomp_choices import SETTINGS, Choices, read_choices
from exporters.seccomp_findings import findings_about

__all__ = ["SeccompExporter", "exporter"]

# An unknown call answers so: a C library then falls back to an older call, where EPERM would be
# an error. It also makes gaps and new calls behave alike under runc, which answers ENOSYS for
# numbers above the largest one listed unless the profile does.
_ENOSYS = 38
_EPERM = 1
# Below the kubelet's seccomp directory.
_FOLDER = "ethogram"
_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class SeccompExporter:
    """Writes one profile for each machine (x86_64, aarch64) that the baseline was seen on.

    *bases* and *known_names* are the shipped data, handed in so that exporting reads no file.
    """

    bases: tuple[RuntimeBase, ...]
    known_names: Mapping[str, frozenset[str]]
    name: str = "seccomp"
    summary: str = "seccomp profile in OCI form, for Kubernetes, Docker, podman, runc and crun"
    dimensions: frozenset[Dimension] = frozenset({"syscalls"})
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone, such as an unknown runtime."""
        read_choices(options, self.bases, self.known_names)

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the profile, then what there is to know about it."""
        choices = read_choices(options, self.bases, self.known_names)
        require_observed(baseline, self.dimensions)
        baseline = _in_order(baseline)
        rules = [rule for rule in baseline.rules.syscalls if not only_by_runtime(rule)]
        if not any(call_name(rule) for rule in rules):
            raise ExportError(
                f"no system call of `{_key(baseline.subject)}` was seen: its profile would"
                " refuse everything",
                hint="record the workload across its start and under traffic, then learn again",
            )
        machines = sorted({machine_of(rule.value.arch) for rule in rules})
        for machine in machines:
            of_machine = [rule for rule in rules if machine_of(rule.value.arch) == machine]
            archs = _architectures(of_machine, machine, enforce=choices.enforce)
            calls = _calls(of_machine, archs, choices)
            target = self.name if len(machines) == 1 else f"{self.name}.{machine}"
            profile = _artifact(baseline.subject, target, _profile(calls, archs, choices))
            yield replace(
                _installable(profile, baseline.subject),
                reasons=tuple(map(_reason, calls.values())),
                left_out=tuple(_left_out(baseline, calls, archs[0])),
            )
            yield from findings_about(baseline, calls, archs, choices)


def exporter() -> SeccompExporter:
    """Return the exporter with the data that ships with it."""
    return SeccompExporter(load_runtime_bases(), load_known_names())


def _architectures(
    rules: Sequence[Rule[SyscallValue]], machine: str, *, enforce: bool
) -> tuple[str, ...]:
    """Return the architectures to list: the machine's, and the others that were seen.

    A call through one that is not listed is killed even where the default is to log. So a profile
    that only observes lists them all.
    """
    seen = {rule.value.arch for rule in rules}
    return tuple(
        arch for arch in MACHINES[machine] if not enforce or arch == machine or arch in seen
    )


def _calls(
    rules: Sequence[Rule[SyscallValue]], archs: Sequence[str], choices: Choices
) -> dict[str, Call]:
    """Return the calls to allow by name; of several reasons the strongest is kept."""
    certain = (
        always(archs)
        | from_runtimes(choices.bases, archs[0], choices.no_new_privs)
        | observed(rules)
    )
    siblings = tolerated(certain, archs) if choices.tolerance else {}
    return dict(sorted((siblings | certain).items()))


def _profile(calls: Mapping[str, Call], archs: Sequence[str], choices: Choices) -> dict[str, Any]:
    profile: dict[str, Any] = {"defaultAction": "SCMP_ACT_LOG"}
    if choices.enforce:
        profile = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": _ENOSYS}
    if choices.log_denied:
        profile["flags"] = ["SECCOMP_FILTER_FLAG_LOG"]
    profile["architectures"] = [ARCHITECTURES[arch] for arch in archs]
    profile["syscalls"] = [{"names": list(calls), "action": "SCMP_ACT_ALLOW"}]
    refused = [name for name in choices.eperm if name not in calls]
    if refused and choices.enforce:
        profile["syscalls"].append(
            {"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM}
        )
    return profile


def _reason(call: Call) -> Reason:
    return Reason(call.name, call.why, tuple(rule.id for rule in call.rules), call.source)


def _left_out(baseline: Baseline, calls: Mapping[str, Call], machine: str) -> Iterator[Reason]:
    names = {
        call_name(rule) or str(rule.value.nr): rule.id
        for rule in baseline.rules.syscalls
        if only_by_runtime(rule)
    }
    for name in left_to_the_runtime(baseline, calls, machine):
        yield Reason(name, "runtime", (names[name],), "made before the filter is installed")


def _artifact(subject: Subject, target: str, document: Mapping[str, Any]) -> Artifact:
    path = artifact_path(
        namespace=subject.namespace,
        kind=subject.kind,
        name=subject.name,
        unit=subject.container,
        target=target,
        suffix="json",
    )
    return Artifact(path, target, _key(subject), (json.dumps(document, indent=2) + "\n").encode())


def _installable(profile: Artifact, subject: Subject) -> Artifact:
    """Return *profile* with the name that pods ask for it by.

    A digest of its bytes is in the name: another profile never takes its place on a node, and the
    namespace is not, so that what was learnt in staging has the same name in production.
    """
    parts = (safe_part(part) for part in (subject.name, subject.container) if part is not None)
    digest = hashlib.sha256(profile.content).hexdigest()[:_DIGEST_LENGTH]
    return replace(profile, installs_as=f"{_FOLDER}/{'-'.join((*parts, digest))}.json")


def _in_order(baseline: Baseline) -> Baseline:
    """Return *baseline* with its calls in one order: the first that is wrong is named."""
    calls = sorted(
        baseline.rules.syscalls, key=lambda rule: (rule.value.arch, rule.value.nr, rule.id)
    )
    rules = baseline.rules.model_copy(update={"syscalls": tuple(calls)})
    return baseline.model_copy(update={"rules": rules})


def _key(subject: Subject) -> str:
    return workload_key(
        subject.cluster,
        subject.namespace,
        subject.kind,
        subject.name,
        subject.container,
        subject.image_digest,
        container_kind=subject.container_kind,
    )
