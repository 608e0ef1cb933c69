"""Baseline -> `PodPolicy`: the rules that every admission engine renders in its own form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ethogram.contracts.baseline import Baseline, Dimension
from ethogram.errors import ExportError
from exporters import seccomp
from exporters.admission_cel import Scope
from exporters.admission_choices import read_choices
from exporters.admission_findings import findings_about, refusal
from exporters.admission_model import Claim, Constant, Mode, PodPolicy
from exporters.admission_privileged import privilege_of
from exporters.admission_rules import rules_of
from exporters.kubernetes import annotations_of, stable_selector
from exporters.observed import require_observed
from exporters.overlap import overlap
from exporters.pod_security import namespace_findings, pod_security
from exporters.protocol import Artifact, Finding, Options

__all__ = ["PodRules"]

# What it did with devices and settings of the kernel says whether it has to be privileged.
_NEEDED: frozenset[Dimension] = frozenset({"capabilities", "files"})
_UNENFORCED: Mapping[Mode, str] = {
    "audit": "it notes what it would refuse; once nothing shows, let it deny",
    "warn": "it warns, and refuses nothing; once nothing shows, let it deny",
    "deny": "the profile that it asks for logs; once nothing shows, ask for the one that denies",
}


@dataclass(frozen=True, slots=True)
class PodRules:
    """Makes the rules for each container of a Kubernetes workload.

    *profiles* is the exporter whose profiles the pods have to name.
    """

    profiles: seccomp.SeccompExporter

    def check(self, options: Options) -> None:
        """Raise what `policy` would raise for *options* alone."""
        choices = read_choices(options)
        if choices.seccomp is not None:
            self.profiles.check(choices.seccomp)

    def unenforced(self, options: Options) -> str:
        """Return what a policy does until it is enforced."""
        return _UNENFORCED[read_choices(options).mode]

    def policy(
        self, baseline: Baseline, options: Options
    ) -> tuple[PodPolicy | None, list[Finding]]:
        """Return the policy, None where there can be none, and what there is to know about it."""
        self.check(options)
        choices = read_choices(options)
        if reason := refusal(baseline):
            return None, [reason]
        require_observed(baseline, _NEEDED)
        privilege = privilege_of(baseline, choices.privileged)
        profiles: list[str] = []
        findings: list[Finding] = []
        if choices.seccomp is not None and not privilege.is_own:
            profiles, findings = self._profiles(baseline, choices.seccomp)
        items = list(rules_of(baseline, choices, privilege, profiles))
        security = pod_security(baseline, privilege)
        subject = baseline.subject
        scope = Scope(stable_selector(subject.selector), subject.kind, subject.name)
        constants = [item for item in items if isinstance(item, Constant)]
        policy = PodPolicy(
            scope=scope,
            namespace=str(subject.namespace),
            container=str(subject.container),
            mode=choices.mode,
            constants=dict([scope.value, *((each.name, each.value) for each in constants)]),
            claims=tuple(item for item in items if isinstance(item, Claim)),
            annotations={**annotations_of(baseline, options), **security.annotations},
        )
        return policy, [
            *(item for item in items if isinstance(item, Finding)),
            *findings,
            *security.findings(),
            *findings_about(baseline, choices),
        ]

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own, and the namespace's."""
        yield from overlap(baseline, others)
        yield from namespace_findings(baseline, others)

    def _profiles(self, baseline: Baseline, options: Options) -> tuple[list[str], list[Finding]]:
        """Return the installed names of the profiles for *baseline*, one for each machine."""
        try:
            items = list(self.profiles.export(baseline, options))
        except ExportError as error:
            about = f"no seccomp profile is asked for, as there is none to be made: {error.message}"
            return [], [Finding("warning", about, hint=error.hint)]
        names = sorted(
            item.installs_as for item in items if isinstance(item, Artifact) and item.installs_as
        )
        kind = "denies" if options.enforce else "only logs"
        about = (
            f"pods have to name the seccomp profile that {kind}, and do not start on a node without"
            " that file"
        )
        hint = "`--to seccomp` with the same settings writes it; bring it to every node first"
        return names, [Finding("info", about, hint=hint, subject=" or ".join(names))]
