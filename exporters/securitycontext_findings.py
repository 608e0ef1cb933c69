"""What the reader of a securityContext has to know that the patch cannot say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ethogram.contracts.baseline import Baseline, CapabilityValue, Subject
from ethogram.contracts.escape import printable
from ethogram.contracts.quality import states_of, was_told
from exporters.admission_privileged import privilege_of
from exporters.kubernetes import is_dns_label, is_subdomain
from exporters.protocol import Finding, shown

__all__ = ["about_capabilities", "findings_about", "refusal"]

_STATES: Mapping[str, str] = {
    "lossy": "the recorder lost events of this workload: what a field forbids may have been done"
    " unseen",
    "enforced": "the workload was learnt under enforcement: what that kept it from is forbidden"
    " again",
    "partial": "the baseline is partial: it has not seen enough to be called complete",
}
_HOST: Mapping[str, str] = {"net": "hostNetwork", "pid": "hostPID", "ipc": "hostIPC"}


def refusal(baseline: Baseline, owners: Collection[str]) -> Finding | None:
    """Return why there can be no patch for the subject of *baseline*, or None.

    *owners* are the kinds of object that pods are asked for by. A loss where somebody would believe
    that there is a patch, a warning where none can apply.
    """
    subject = baseline.subject
    who = f"{printable(subject.kind)} `{printable(subject.name)}`"
    if subject.namespace is None or subject.kind not in owners:
        return Finding(
            "warning",
            f"no patch: {who} is no workload of Kubernetes that asks for pods",
            hint="if it is a pod, record with `--inventory`",
        )
    if subject.container is None or subject.container_kind in ("none", "ephemeral"):
        return Finding(
            "warning",
            f"no patch: the container of {who} is in no manifest: it has no name here, is the"
            " pod's sandbox, or was added to a running pod",
        )
    if refused := _refused_name(subject):
        return Finding("loss", f"no patch: Kubernetes refuses the {printable(refused)}")
    return None


def _refused_name(subject: Subject) -> str | None:
    if not is_dns_label(str(subject.namespace)):
        return f"namespace `{subject.namespace}`"
    if not is_subdomain(subject.name):
        return f"name `{subject.name}`"
    if not is_dns_label(str(subject.container)):
        return f"container name `{subject.container}`"
    return None


def about_capabilities(baseline: Baseline) -> Iterator[Finding]:
    """Yield what is to be said of a container that has to be privileged, and gets no patch."""
    yield Finding(
        "warning",
        f"no patch: container `{baseline.subject.container}` used what only a privileged one has,"
        " and a privileged container has every capability and no seccomp profile",
        hint="a device plugin, or sysctls of the pod, may give it just that",
    )
    if names := sorted(rule.value.name for rule in baseline.rules.capabilities):
        yield Finding("info", f"it used {', '.join(names)}")


def findings_about(baseline: Baseline) -> Iterator[Finding]:
    """Yield the findings of the patch for *baseline* that no single field is the reason of."""
    yield Finding(
        "info",
        "a securityContext has no mode that only logs: but for the seccomp profile, its fields bind"
        " as soon as pods have them",
        hint="apply it where a container that does not start harms nobody first",
    )
    yield from privilege_of(baseline, frozenset()).findings
    seen = baseline.observation
    if shared := [_HOST[name] for name in _HOST if name in seen.host_namespaces]:
        fields = shown([f"`{name}`" for name in shared])
        yield Finding(
            "info", f"it was in the host's namespaces: the pod asks for {fields}, which stays"
        )
    if baseline.subject.kind in ("Pod", "Job"):
        yield Finding(
            "info",
            f"a {baseline.subject.kind} that exists does not take the patch: change its manifest,"
            " and create it anew",
        )
    for state in states_of(seen):
        if message := _STATES.get(state):
            yield Finding("info" if state == "partial" else "warning", message)
    if told := was_told(seen):
        yield Finding("warning", told)
    if seen.phases and "startup" not in seen.phases:
        yield Finding(
            "warning",
            "the workload's start was not recorded: a capability that it needs to start may be"
            " missing",
            hint="record across its start: `ethogram record --namespace NS` waits for it",
        )
    held = (each.value for each in baseline.quarantined)
    if names := sorted(value.name for value in held if isinstance(value, CapabilityValue)):
        yield Finding(
            "info",
            f"quarantined and not added: {', '.join(names)}",
            hint="a reviewed overlay in the baseline allows them",
        )
