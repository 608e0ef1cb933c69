"""What an admission policy asks of a workload's containers: each rule where evidence allows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ethogram.contracts.baseline import Baseline, CapabilityValue, Rule
from exporters.admission_choices import Choices
from exporters.admission_host_rules import host_rules
from exporters.admission_model import Claim, Constant
from exporters.admission_privileged import Privilege
from exporters.admission_user_rules import user_rules
from exporters.protocol import Finding, shown

__all__ = ["digests_of", "rules_of", "used_capabilities"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ADDED = "c.?securityContext.?capabilities.?add.orValue([])"
_PROFILE = "c.?securityContext.?seccompProfile.or(object.spec.?securityContext.?seccompProfile)"
_LEARNT = "p.?localhostProfile.orValue('') in variables.profiles"


def rules_of(
    baseline: Baseline, choices: Choices, privilege: Privilege, profiles: Sequence[str]
) -> Iterator[Claim | Constant | Finding]:
    """Yield the rules for the pods of *baseline*, what they are told, and what there is to know.

    *profiles* are the installed names of the seccomp profiles that its container may have. The
    expressions use the variables that `PodPolicy` declares.
    """
    container = f"container `{baseline.subject.container}`"
    yield Constant("container", str(baseline.subject.container))
    yield Constant("privileged", privilege.containers)
    yield from privilege.findings
    yield _unprivileged(baseline, privilege)
    yield from host_rules(baseline, privilege, container)
    yield from _capabilities(baseline, container)
    yield from _escalation(baseline, choices, privilege, container)
    yield from user_rules(baseline, privilege, container)
    if profiles and not privilege.is_own:
        yield Constant("profiles", tuple(profiles))
        yield Claim(
            "seccomp",
            f"variables.own.all(c, [{_PROFILE}].all(p, p.?type.orValue('') == 'Localhost'"
            f" && {_LEARNT}))",
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


def used_capabilities(baseline: Baseline) -> list[Rule[CapabilityValue]]:
    """Return the rules for capabilities that the workload used itself, not only its runtime."""
    return [rule for rule in baseline.rules.capabilities if not _is_only_the_runtimes(rule)]


def _unprivileged(baseline: Baseline, privilege: Privilege) -> Claim:
    others = ", ".join(f"`{name}`" for name in privilege.containers)
    reason = (
        "no other was learnt to need it"
        if privilege.is_own
        else f"container `{baseline.subject.container}` used nothing that needs it"
    )
    return Claim(
        "privileged",
        "variables.every.all(c, !c.?securityContext.?privileged.orValue(false))",
        f"no container{f' but {others}' if others else ''} is privileged: {reason}",
    )


def _capabilities(baseline: Baseline, container: str) -> Iterator[Claim | Constant | Finding]:
    used = used_capabilities(baseline)
    if runtime := sorted(
        rule.value.name for rule in baseline.rules.capabilities if rule not in used
    ):
        yield Finding(
            "info",
            "left out capabilities that only the container runtime used, before the entrypoint"
            f" ran: {shown(runtime)}",
        )
    names = sorted(rule.value.name.removeprefix("CAP_") for rule in used)
    # A runtime takes `NET_ADMIN`, some take `CAP_NET_ADMIN`, and containerd takes small letters.
    spelt = [spelling for name in names for spelling in (name, f"CAP_{name}")]
    yield Constant("capabilities", tuple(spelt))
    yield Claim(
        "capabilities",
        f"(variables.own + variables.ephemeral).all(c, {_ADDED}.all(k, k.upperAscii() in"
        " variables.capabilities))",
        f"{container} and debugging containers add no capability but {', '.join(names)}: no other"
        " was used while it was recorded"
        if names
        else f"{container} and debugging containers add no capability: none was used while it was"
        " recorded",
        "observed" if names else "unused",
        tuple(sorted(rule.id for rule in used)),
    )


def _is_only_the_runtimes(rule: Rule[CapabilityValue]) -> bool:
    return rule.evidence.is_the_runtimes


def _escalation(
    baseline: Baseline, choices: Choices, privilege: Privilege, container: str
) -> Iterator[Claim | Finding]:
    """Yield the rule about `allowPrivilegeEscalation`, which sets no_new_privs when false."""
    gained, had = baseline.observation.privileges_gained, baseline.observation.no_new_privs
    if privilege.is_own:
        return  # an API server refuses the one together with the other
    if gained:
        yield Finding(
            "warning" if choices.no_new_privs else "info",
            "an executable raised its caller's privileges, so `allowPrivilegeEscalation: false` is"
            " not asked for",
            hint="the profile is made for containers that run without: leave out"
            " `--set no-new-privs=yes`"
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
        yield Claim(
            "escalation",
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
) -> Iterator[Claim | Constant | Finding]:
    digests = digests_of(baseline)
    if not digests:
        yield Finding(
            "loss" if choices.bind_digest else "info",
            "no digest of its image is known, so images are neither refused nor noted",
            hint="record with `--inventory`, or through the runtime's own socket",
        )
        return
    yield Constant("digests", tuple(digests))
    if choices.bind_digest:
        yield Claim(
            "image",
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
