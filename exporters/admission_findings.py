"""What the reader of an admission policy has to know that the policy cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ethogram.contracts.baseline import Baseline, CapabilityValue, Subject
from ethogram.contracts.escape import printable
from ethogram.contracts.quality import states_of, was_told
from exporters.admission_choices import Choices
from exporters.admission_rules import digests_of
from exporters.kubernetes import is_dns_label, is_subdomain, refused_label, stable_selector
from exporters.protocol import Finding

__all__ = ["findings_about", "refusal"]

_STATES: Mapping[str, str] = {
    "lossy": "the recorder lost events of this workload: a capability that it used may be missing"
    " from the policy",
    "enforced": "the workload was learnt under enforcement: what that kept it from is refused"
    " again",
    "partial": "the baseline is partial: it has not seen enough to be called complete",
}


def refusal(baseline: Baseline) -> Finding | None:
    """Return why there can be no policy for the subject of *baseline*, or None.

    A loss where somebody would believe that there is one, a warning where none can apply.
    """
    subject = baseline.subject
    if subject.namespace is None:
        return Finding(
            "warning",
            f"no policy: {printable(subject.kind)} `{printable(subject.name)}` has no namespace,"
            " and an admission policy is for pods of Kubernetes",
            hint="if it is a pod, record with `--inventory`",
        )
    if subject.container is None or subject.container_kind in ("none", "ephemeral"):
        what = {
            None: "has no name here",
            "none": "is the pod's sandbox, which no pod asks for",
            "ephemeral": "was added to a running pod, under a name that another will not have",
        }
        kind = None if subject.container is None else subject.container_kind
        return Finding(
            "warning",
            f"no policy: the container of `{printable(subject.name)}` {what[kind]}",
            hint="the policies of the pod's other containers say what may be added to it",
        )
    if refused := _refused_name(subject):
        return Finding("loss", f"no policy: Kubernetes refuses the {printable(refused)}")
    return None


def _refused_name(subject: Subject) -> str | None:
    if subject.namespace is not None and not is_dns_label(subject.namespace):
        return f"namespace `{subject.namespace}`"
    if not is_subdomain(subject.name):
        return f"name `{subject.name}`"
    if subject.container is not None and not is_dns_label(subject.container):
        return f"container name `{subject.container}`"
    if label := refused_label(stable_selector(subject.selector)):
        return f"label `{label}` of `selector`"
    return None


def findings_about(baseline: Baseline, choices: Choices) -> Iterator[Finding]:
    """Yield the findings of the policy for *baseline* that no single rule is the reason of."""
    subject = baseline.subject
    if not stable_selector(subject.selector):
        yield Finding(
            "info",
            "the labels that pick its pods are not known: the policy tells them by their owner,"
            f" {subject.kind} `{subject.name}`",
            hint="record with `--inventory`, so that a pod which only carries the labels is met",
        )
    if digests_of(baseline) and not choices.bind_digest:
        yield Finding(
            "info",
            "images that are not pinned to a learnt digest are noted in the audit log, those named"
            " by a tag among them, and not refused",
            hint="`--bind-digest` refuses them",
        )
    for state in states_of(baseline.observation):
        if message := _STATES.get(state):
            yield Finding("info" if state == "partial" else "warning", message)
    if told := was_told(baseline.observation):
        yield Finding("warning", told)
    phases = baseline.observation.phases
    if phases and "startup" not in phases:
        yield Finding(
            "warning",
            "the workload's start was not recorded: a capability that it needs to start may be"
            " missing from the policy",
            hint="record across its start: `ethogram record --namespace NS` waits for it",
        )
    held = (each.value for each in baseline.quarantined)
    if names := sorted(value.name for value in held if isinstance(value, CapabilityValue)):
        yield Finding(
            "info",
            f"quarantined and not allowed: {', '.join(names)}",
            hint="a reviewed overlay in the baseline allows them",
        )
