"""Baseline -> seccomp profile: which calls, in the dialect that its reader has.

What is not listed is logged, or with `enforce` refused with ENOSYS. The flattened OCI form has no
place for what it was made from: all of that is in the file beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ethogram.contracts.baseline import Baseline, Dimension, Rule, SyscallValue
from ethogram.errors import ExportError
from exporters.kubernetes import subject_key
from exporters.observed import require_observed
from exporters.protocol import Artifact, Finding, Options, Reason
from exporters.runtime_base import (
    DefaultProfile,
    RuntimeBase,
    load_default_profile,
    load_known_names,
    load_runtime_bases,
)
from exporters.seccomp_arguments import argument_filters, argument_findings
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
from exporters.seccomp_content import ArgumentFilter, Content
from exporters.seccomp_dialects import dialect_findings, profile_artifact
from exporters.seccomp_findings import findings_about
from exporters.seccomp_tightness import tightness, tightness_finding

__all__ = ["SeccompExporter", "exporter"]


@dataclass(frozen=True, slots=True)
class SeccompExporter:
    """Writes one profile for each machine (x86_64, aarch64) that the baseline was seen on.

    *bases*, *known_names* and *default* are the shipped data, handed in so that exporting reads no
    file.
    """

    bases: tuple[RuntimeBase, ...]
    known_names: Mapping[str, frozenset[str]]
    default: DefaultProfile | None = None
    name: str = "seccomp"
    summary: str = "seccomp profile for Kubernetes, Docker, podman, runc and crun"
    dimensions: frozenset[Dimension] = frozenset({"syscalls"})
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone, such as an unknown runtime."""
        read_choices(options, self.bases, self.known_names)

    def unenforced(self, options: Options) -> str:
        """Return what a profile does until it is enforced."""
        del options
        return "it logs; once nothing shows, let it deny"

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the profile, then what there is to know about it."""
        choices = read_choices(options, self.bases, self.known_names, baseline=baseline)
        require_observed(baseline, self.dimensions)
        baseline = _in_order(baseline)
        rules = [rule for rule in baseline.rules.syscalls if not only_by_runtime(rule)]
        if not any(call_name(rule) for rule in rules):
            raise ExportError(
                f"no system call of `{subject_key(baseline.subject)}` was seen: its profile would"
                " refuse everything",
                hint="record the workload across its start and under traffic, then learn again",
            )
        machines = sorted({machine_of(rule.value.arch) for rule in rules})
        for machine in machines:
            of_machine = [rule for rule in rules if machine_of(rule.value.arch) == machine]
            archs = _architectures(of_machine, machine, enforce=choices.enforce)
            calls = _calls(of_machine, archs, choices)
            target = self.name if len(machines) == 1 else f"{self.name}.{machine}"
            filters = argument_filters(baseline, calls, archs, choices)
            content = Content(calls, archs, filters)
            measured = {} if self.default is None else tightness(content, self.default)
            yield replace(
                profile_artifact(baseline, options, choices, content, target),
                reasons=tuple(_reason(call, filters) for call in calls.values()),
                left_out=tuple(_left_out(baseline, calls, archs[0])),
                tightness=measured,
            )
            yield from findings_about(baseline, calls, archs, choices)
            yield from argument_findings(baseline, choices, content)
            yield from dialect_findings(baseline, choices)
            if measured:
                yield tightness_finding(measured)


def exporter() -> SeccompExporter:
    """Return the exporter with the data that ships with it."""
    return SeccompExporter(load_runtime_bases(), load_known_names(), load_default_profile())


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


def _reason(call: Call, filters: Mapping[str, ArgumentFilter]) -> Reason:
    source = call.source
    if call.name in filters:
        source += f": only {filters[call.name].words}"
    return Reason(call.name, call.why, tuple(rule.id for rule in call.rules), source)


def _left_out(baseline: Baseline, calls: Mapping[str, Call], machine: str) -> Iterator[Reason]:
    names = {
        call_name(rule) or str(rule.value.nr): rule.id
        for rule in baseline.rules.syscalls
        if only_by_runtime(rule)
    }
    for name in left_to_the_runtime(baseline, calls, machine):
        yield Reason(name, "runtime", (names[name],), "made before the filter is installed")


def _in_order(baseline: Baseline) -> Baseline:
    """Return *baseline* with its calls in one order: the first that is wrong is named."""
    calls = sorted(
        baseline.rules.syscalls, key=lambda rule: (rule.value.arch, rule.value.nr, rule.id)
    )
    rules = baseline.rules.model_copy(update={"syscalls": tuple(calls)})
    return baseline.model_copy(update={"rules": rules})
