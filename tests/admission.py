"""Baselines to make admission policies of, and pods to try them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from ethogram.contracts.baseline import (
    Baseline,
    CapabilityValue,
    Evidence,
    FileValue,
    Quarantined,
    Rule,
    rule_id,
)
from ethogram.contracts.capabilities import CAPABILITIES
from exporters.admission import exporter
from exporters.protocol import Artifact, Finding
from exporters.registry import find_exporter, parse_options
from tests.baselines import make_baseline, syscall_rule

__all__ = [
    "ADMISSION",
    "DIGEST",
    "EVERY_CAPABILITY",
    "capability_rule",
    "changed",
    "container",
    "export",
    "make_admission_baseline",
    "make_pod",
    "policy_of",
    "profile_of",
]

ADMISSION = exporter()
DIGEST = "sha256:" + "9f" * 32
SELECTOR = {"app": "checkout", "tier": "web"}
# A host that is itself confined has some of them to give, not all.
EVERY_CAPABILITY = tuple(name for name in CAPABILITIES if name != "CAP_SYS_RESOURCE")
_OBSERVED = {
    "image_digests": (DIGEST,),
    "host_namespaces": ("cgroup", "time", "user"),
    "no_new_privs": False,
    "privileges_gained": False,
    "bounding": ("CAP_CHOWN", "CAP_NET_BIND_SERVICE"),
}


def _evidence(phases: Iterable[str]) -> Evidence:
    seen = syscall_rule("read").evidence.model_dump()
    return Evidence.model_validate(seen | {"phases": tuple(phases)})


def capability_rule(name: str, *phases: str) -> Rule[CapabilityValue]:
    """Return the rule for capability *name*, used while the workload started unless said."""
    value = CapabilityValue(name=name)
    evidence = _evidence(phases or ("startup",))
    return Rule[CapabilityValue](id=rule_id("capabilities", value), value=value, evidence=evidence)


def make_admission_baseline(
    *capabilities: str | Rule[CapabilityValue],
    subject: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    calls: Iterable[str] = ("read",),
    quarantined: Iterable[str] = (),
    **observed: Any,
) -> Baseline:
    """Return a baseline of `checkout` that used *capabilities* and opened *files*.

    *files* maps a path to the letters of its access; *observed* changes what is known of it.
    """
    baseline = make_baseline(*calls, subject={"selector": SELECTOR} | dict(subject or {}))
    rules = [capability_rule(each) if isinstance(each, str) else each for each in capabilities]
    opened = [FileValue(path=path, access=access) for path, access in (files or {}).items()]
    return baseline.model_copy(
        update={
            "observation": baseline.observation.model_copy(update=_OBSERVED | observed),
            "rules": baseline.rules.model_copy(
                update={
                    "capabilities": tuple(rules),
                    "files": tuple(
                        Rule[FileValue](
                            id=rule_id("files", value), value=value, evidence=_evidence(["steady"])
                        )
                        for value in opened
                    ),
                }
            ),
            "quarantined": tuple(
                Quarantined(
                    id=rule.id,
                    dimension="capabilities",
                    value=rule.value,
                    indicators=("shell",),
                    evidence=rule.evidence,
                )
                for rule in map(capability_rule, quarantined)
            ),
        }
    )


def export(
    baseline: Baseline, *settings: str, enforce: bool = False, target: str = "admission"
) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Return the documents of *target*'s policy, where there is one, and the findings."""
    exporter = find_exporter(target)
    options = parse_options(exporter, settings, enforce=enforce)
    items = list(exporter.export(baseline, options))
    artifacts = [item for item in items if isinstance(item, Artifact)]
    documents = [each for item in artifacts for each in yaml.safe_load_all(item.content)]
    return documents, [item for item in items if isinstance(item, Finding)]


def policy_of(
    *capabilities: str, settings: Iterable[str] = (), target: str = "admission", **fields: Any
) -> list[Any]:
    """Return the documents of a policy that denies, for a baseline of these *fields*."""
    baseline = make_admission_baseline(*capabilities, **fields)
    return export(baseline, *settings, enforce=True, target=target)[0]


def profile_of(documents: list[dict[str, Any]]) -> str:
    """Return the installed name of the profile that the policy asks for."""
    for rule in documents[0]["spec"]["validations"]:
        _, has_profile, rest = rule["message"].partition("localhostProfile ")
        if has_profile:
            return str(rest)
    raise AssertionError("the policy asks for no profile")


def container(name: str = "nginx", *, image: str | None = None, **security: Any) -> dict[str, Any]:
    """Return a container that meets every rule but that about its seccomp profile."""
    context = {"allowPrivilegeEscalation": False} | security
    return {
        "name": name,
        "image": image or f"registry.example/nginx@{DIGEST}",
        "securityContext": {key: value for key, value in context.items() if value is not None},
    }


def make_pod(
    documents: list[dict[str, Any]] | None = None,
    *containers: dict[str, Any],
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a pod of `checkout` under the profile that *documents* ask for."""
    profile = (
        {"seccompProfile": {"type": "Localhost", "localhostProfile": profile_of(documents)}}
        if documents
        else {}
    )
    return {
        "metadata": {"name": "checkout-1", "labels": SELECTOR if labels is None else dict(labels)},
        "spec": {"containers": list(containers) or [container()], "securityContext": profile}
        | spec,
    }


def changed(pod: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    """Return *pod* with other fields in its spec; None takes a field away."""
    new = {**pod["spec"], **spec}
    return {**pod, "spec": {key: value for key, value in new.items() if value is not None}}
