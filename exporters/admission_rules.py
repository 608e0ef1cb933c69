"""What an admission policy asks of a workload's pods: each rule where the evidence allows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ethogram.contracts.baseline import Baseline, CapabilityValue, Rule
from exporters.admission_cel import any_of, cel_list
from exporters.admission_choices import Choices
from exporters.admission_privileged import Privilege
from exporters.protocol import Finding, Why, shown

__all__ = ["Validation", "digests_of", "rules_of"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST: Mapping[str, str] = MappingProxyType(
    {"net": "hostNetwork", "pid": "hostPID", "ipc": "hostIPC"}
)
_ADDED = "c.?securityContext.?capabilities.?add.orValue([])"
_PROFILE = "c.?securityContext.?seccompProfile.or(object.spec.?securityContext.?seccompProfile)"


@dataclass(frozen=True, slots=True)
class Validation:
    """A claim in CEL that holds for the pods to admit, and what to say where it does not.

    *why* it is asked for, as a `Reason` says it, and the *rules* of the baseline that it rests on.
    """

    expression: str
    message: str
    why: Why = "unused"
    rules: tuple[str, ...] = ()


def rules_of(
    baseline: Baseline, choices: Choices, privilege: Privilege, profiles: Sequence[str]
) -> Iterator[Validation | Finding]:
    """Yield the rules for the pods of *baseline*, and what there is to know about them.

    *profiles* are the installed names of the seccomp profiles that its container may have. The
    expressions use the variables that `exporters.admission` declares.
    """
    container = f"container `{baseline.subject.container}`"
    yield from privilege.findings
    yield _unprivileged(baseline, privilege)
    yield from _host_namespaces(baseline)
    yield from _capabilities(baseline, container)
    yield from _escalation(baseline, choices, privilege, container)
    if profiles and not privilege.is_own:
        is_learnt = any_of("p.?localhostProfile.orValue('')", profiles)
        yield Validation(
            f"variables.own.all(c, [{_PROFILE}].all(p, p.?type.orValue('') == 'Localhost'"
            f" && {is_learnt}))",
            f"{container} runs under the seccomp profile learnt from it: type Localhost,"
            f" localhostProfile {' or '.join(profiles)}",
            "observed",
        )
    yield from _digests(baseline, choices, container)


def digests_of(baseline: Baseline) -> list[str]:
    """Return the digests of images that *baseline* was learnt from, sorted."""
    subject = baseline.subject.image_digest
    seen = baseline.observation.image_digests or ((subject,) if subject else ())
    return sorted({digest for digest in seen if _DIGEST.fullmatch(digest)})


def _unprivileged(baseline: Baseline, privilege: Privilege) -> Validation:
    others = ", ".join(f"`{name}`" for name in privilege.containers)
    reason = (
        "no other was learnt to need it"
        if privilege.is_own
        else f"container `{baseline.subject.container}` used nothing that needs it"
    )
    return Validation(
        "variables.every.all(c, !c.?securityContext.?privileged.orValue(false))",
        f"no container{f' but {others}' if others else ''} is privileged: {reason}",
    )


def _host_namespaces(baseline: Baseline) -> Iterator[Validation | Finding]:
    observation = baseline.observation
    shared = [name for name in _HOST if name in observation.host_namespaces]
    for namespace, field in _HOST.items():
        if namespace not in shared:
            yield Validation(
                f"!object.spec.?{field}.orValue(false) || variables.before.?{field}.orValue(false)",
                f"no {field}: no instance was in the host's {namespace} namespace",
            )
    if shared:
        fields = " and ".join(f"`{_HOST[name]}`" for name in shared)
        many = len(shared) > 1
        yield Finding(
            "info",
            f"it was in the host's {' and '.join(shared)} namespace{'s' if many else ''}:"
            f" {fields} {'are' if many else 'is'} not refused",
        )
    # Any container shares some of the host's namespaces, time for one.
    if not observation.host_namespaces and observation.bounding is None:
        yield Finding(
            "warning",
            "the baseline does not say which of the host's namespaces it was in: the policy takes"
            " it that it was in none",
            hint="learn again from a recording of this version before the policy denies",
        )


def _capabilities(baseline: Baseline, container: str) -> Iterator[Validation | Finding]:
    rules = baseline.rules.capabilities
    runtime = sorted(rule.value.name for rule in rules if _is_only_the_runtimes(rule))
    if runtime:
        yield Finding(
            "info",
            "left out capabilities that only the container runtime used, before the entrypoint"
            f" ran: {shown(runtime)}",
        )
    names = sorted(
        rule.value.name.removeprefix("CAP_") for rule in rules if not _is_only_the_runtimes(rule)
    )
    # A runtime takes `NET_ADMIN`, some take `CAP_NET_ADMIN`, and containerd takes small letters.
    spelt = [spelling for name in names for spelling in (name, f"CAP_{name}")]
    claim = f"{_ADDED}.all(k, k.upperAscii() in {cel_list(spelt)})"
    yield Validation(
        f"(variables.own + variables.ephemeral).all(c, {claim if names else f'{_ADDED} == []'})",
        f"{container} and debugging containers add no capability but {', '.join(names)}: no other"
        " was used while it was recorded"
        if names
        else f"{container} and debugging containers add no capability: none was used while it was"
        " recorded",
        "observed" if names else "unused",
        tuple(sorted(rule.id for rule in rules if not _is_only_the_runtimes(rule))),
    )


def _is_only_the_runtimes(rule: Rule[CapabilityValue]) -> bool:
    return rule.evidence.phases == ("runtime",)


def _escalation(
    baseline: Baseline, choices: Choices, privilege: Privilege, container: str
) -> Iterator[Validation | Finding]:
    """Yield the rule about `allowPrivilegeEscalation`, which sets no_new_privs when false."""
    gained, had = baseline.observation.privileges_gained, baseline.observation.no_new_privs
    if privilege.is_own:
        return  # an API server refuses the one together with the other
    if gained:
        yield Finding(
            "warning" if choices.no_new_privs else "info",
            "an executable raised its caller's privileges, so `allowPrivilegeEscalation: false` is"
            " not asked for",
            hint="the profile is made for containers that run without: leave out `no-new-privs=yes`"
            if choices.no_new_privs
            else None,
        )
    elif choices.no_new_privs is False:
        yield Finding(
            "info",
            "`no-new-privs=no` says that containers run without, so"
            " `allowPrivilegeEscalation: false` is not asked for",
        )
    elif gained is False or had or choices.no_new_privs:
        yield Validation(
            "variables.own.all(c, !c.?securityContext.?allowPrivilegeEscalation.orValue(true))",
            f"{container} has allowPrivilegeEscalation: false: "
            + (
                "no executable raised its caller's privileges while it was recorded"
                if gained is False
                else "it ran with no_new_privs while it was recorded"
                if had
                else "its seccomp profile is made for no_new_privs"
            ),
        )
    else:
        yield Finding(
            "info",
            "whether an executable raised its caller's privileges is not known, so"
            " `allowPrivilegeEscalation: false` is not asked for",
        )


def _digests(
    baseline: Baseline, choices: Choices, container: str
) -> Iterator[Validation | Finding]:
    if not digests_of(baseline):
        yield Finding(
            "loss" if choices.bind_digest else "info",
            "no digest of its image is known, so images are neither refused nor noted",
            hint="record with `--inventory`, or through the runtime's own socket",
        )
    elif choices.bind_digest:
        yield Validation(
            "variables.strange == []",
            f"the image of {container} is pinned to a learnt digest: what others do is not known",
            "observed",
        )
        yield Finding(
            "info",
            "an image named by its tag is refused, whatever it points to: a policy sees no digest"
            " but the one in the image's name",
            hint="pin images when deploying, and learn each new digest before it is rolled out",
        )
