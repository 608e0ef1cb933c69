"""Which level of the Pod Security Standards the pods of a workload could meet.

By what was used, not by what a pod asks for: the pod may have to change to get there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ethogram.contracts.baseline import Baseline
from ethogram.posture.standards import LATEST, LEVELS, Level
from ethogram.posture.standards_baseline import BASELINE_CAPABILITIES
from exporters.admission_host_rules import HOST_NAMESPACES
from exporters.admission_privileged import Privilege, privilege_of
from exporters.admission_rules import used_capabilities
from exporters.protocol import Finding, shown

__all__ = ["LEVELS", "VERSION", "PodSecurity", "namespace_findings", "pod_security"]

# Of the standards; what is judged here is the same in every version since 1.25.
VERSION = f"v{LATEST[0]}.{LATEST[1]}"
_LABEL = "pod-security.kubernetes.io/warn"
# `baseline` lets these be added. NET_RAW it does not, but containers have it without asking.
_OF_BASELINE = frozenset(f"CAP_{name}" for name in (*BASELINE_CAPABILITIES, "NET_RAW"))
_OF_RESTRICTED = frozenset({"CAP_NET_BIND_SERVICE"})


@dataclass(frozen=True, slots=True)
class PodSecurity:
    """The *level* that is in reach, what keeps it from the next one, and what is not known."""

    level: Level
    reasons: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def annotations(self) -> Mapping[str, str]:
        """What an object says of it."""
        return {
            "ethogram.dev/pod-security": self.level,
            "ethogram.dev/pod-security-version": VERSION,
        }

    def findings(self) -> Iterator[Finding]:
        """Yield what the reader of a policy has to know of it."""
        text = f"its behaviour fits Pod Security level `{self.level}` ({VERSION})"
        if self.reasons:
            text += f", and no stricter one: {'; '.join(self.reasons)}"
        if self.unknown:
            text += f"; not known is {' and '.join(self.unknown)}"
        yield Finding("info", text)


def pod_security(baseline: Baseline, privilege: Privilege) -> PodSecurity:
    """Return the strictest level that the behaviour in *baseline* is within."""
    names = {rule.value.name for rule in used_capabilities(baseline)}
    unknown = tuple(_unknown(baseline))
    if reasons := tuple(_beyond_baseline(baseline, privilege, names)):
        return PodSecurity("privileged", reasons, unknown)
    if reasons := tuple(_beyond_restricted(baseline, names)):
        return PodSecurity("baseline", reasons, unknown)
    return PodSecurity("restricted", (), unknown)


def namespace_findings(baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
    """Yield the label for the namespace of *baseline*, once for all of *others* in it."""
    namespace = baseline.subject.namespace
    of_it = [one for one in others if one.subject.namespace == namespace]
    if namespace is None or not of_it or of_it[0] != baseline:
        return
    levels = [pod_security(one, privilege_of(one, frozenset())).level for one in of_it]
    level = min(levels, key=LEVELS.index)
    if level == "privileged":
        return
    label = f"{_LABEL}={level} {_LABEL}-version={VERSION}"
    yield Finding(
        "info",
        f"all {len(of_it)} that were learnt of namespace `{namespace}` fit Pod Security level"
        f" `{level}`"
        if len(of_it) > 1
        else f"the one that was learnt of namespace `{namespace}` fits Pod Security level"
        f" `{level}`",
        hint=f"`kubectl label namespace {namespace} {label}` warns of pods beyond it",
    )


def _beyond_baseline(baseline: Baseline, privilege: Privilege, used: set[str]) -> Iterator[str]:
    observation = baseline.observation
    if privilege.is_own:
        yield "it may be privileged"
    if shared := [HOST_NAMESPACES[n] for n in HOST_NAMESPACES if n in observation.host_namespaces]:
        yield f"it has {' and '.join(shared)}"
    if observation.host_paths:
        yield "it has paths of the host"
    if observation.host_ports:
        yield "it has ports of the host"
    if beyond := sorted(used - _OF_BASELINE):
        yield f"it used {shown(beyond)}"


def _beyond_restricted(baseline: Baseline, used: set[str]) -> Iterator[str]:
    observation = baseline.observation
    if observation.runs_as is None:
        yield "whether it runs as root is not known"
    elif 0 in observation.runs_as:
        yield "it runs as root"
    if observation.privileges_gained:
        yield "an executable raised its caller's privileges"
    elif observation.privileges_gained is None and not observation.no_new_privs:
        yield "whether an executable raised its caller's privileges is not known"
    if beyond := sorted(used - _OF_RESTRICTED):
        yield f"it used {shown(beyond)}"


def _unknown(baseline: Baseline) -> Iterator[str]:
    if baseline.observation.host_paths is None:
        yield "what its pods mounted"
    if baseline.observation.host_ports is None:
        yield "which ports of the host they had"
