"""The fields of a container's securityContext, each where the evidence allows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.baseline import Baseline, CapabilityValue, Rule
from exporters.protocol import Finding, Reason, Why, shown
from exporters.securitycontext_choices import Choices

__all__ = ["Field", "capability_fields", "fields_of", "is_only_the_runtimes"]

# What a runtime hides from a container, or mounts read-only, unless it is told `Unmasked`:
# https://github.com/opencontainers/runtime-spec, `maskedPaths` and `readonlyPaths` of containerd.
_MASKED = re.compile(
    r"/proc/(asound|acpi|kcore|keys|latency_stats|timer_list|timer_stats|sched_debug|scsi)(/.*)?"
    r"|/sys/firmware(/.*)?"
)
_READ_ONLY = re.compile(r"/proc/(bus|fs|irq|sys|sysrq-trigger)(/.*)?")
_WRITES = frozenset("wctandlp")
# Of these mounts nobody knows here whether they are outside of the container's root.
_OF_THE_KERNEL = re.compile(r"/(dev|proc|sys)(/.*)?")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its value, the evidence in words, and the rules of the baseline behind it."""

    name: str
    value: Any
    why: Why
    evidence: str
    rules: tuple[str, ...] = ()

    def reason(self, above: str) -> Reason:
        """Return the reason for the field below the place *above*."""
        return Reason(f"{above}.{self.name}", self.why, self.rules, self.evidence)


def fields_of(baseline: Baseline, choices: Choices) -> Iterator[Field | Finding]:
    """Yield the fields for a container that need not be privileged, but for its profile."""
    yield from _users(baseline)
    yield from _root(baseline)
    yield from _escalation(baseline, choices)
    yield from capability_fields(baseline)
    yield Field("privileged", False, "unused", "it used nothing that only a privileged one has")
    yield from _proc_mount(baseline)


def _users(baseline: Baseline) -> Iterator[Field | Finding]:
    users = baseline.observation.runs_as
    if users is None:
        yield Finding(
            "info",
            "as which users it runs is not known, so `runAsNonRoot` is left out",
            hint="record it across its start with this version, on the host's user ids",
        )
    elif 0 in users:
        others = [str(user) for user in users if user]
        also = f", and as {shown(others)}" if others else ""
        yield Finding("info", f"it ran as root{also}, so `runAsNonRoot` is left out")
    elif len(users) > 1:
        yield Finding(
            "info",
            f"it ran as several users ({shown([str(user) for user in users])}), and which of them"
            " it starts as is not known: `runAsUser` and `runAsNonRoot` are left out",
            hint="add `runAsNonRoot: true` where the image's user is a number",
        )
    elif users:
        evidence = f"every process of every instance ran as user {users[0]}"
        yield Field("runAsNonRoot", True, "observed", evidence)
        # An image that names its user by a word is refused under `runAsNonRoot` alone.
        yield Field("runAsUser", users[0], "observed", evidence)


def _root(baseline: Baseline) -> Iterator[Field | Finding]:
    writes = baseline.observation.writes_root
    if writes is False:
        evidence = "what it wrote was on file systems mounted into it"
        yield Field("readOnlyRootFilesystem", True, "unused", evidence)
        return
    places = sorted(
        {
            rule.value.path.rpartition("/")[0] or "/"
            for rule in baseline.rules.files
            if not rule.evidence.is_the_runtimes
            and set(rule.value.access) & _WRITES
            and not _OF_THE_KERNEL.fullmatch(rule.value.path)
        }
    )
    if writes:
        yield Finding(
            "info",
            "it wrote into its root file system, so `readOnlyRootFilesystem` is left out; it wrote"
            f" below {shown(places)}",
            hint="an `emptyDir` at each place that is in the root allows it",
        )
    else:
        yield Finding(
            "info",
            "whether it wrote into its root file system is not known, so `readOnlyRootFilesystem`"
            " is left out",
            hint="record it across its start with `--loader core --tier full`",
        )


def _escalation(baseline: Baseline, choices: Choices) -> Iterator[Field | Finding]:
    gained, had = baseline.observation.privileges_gained, baseline.observation.no_new_privs
    name = "allowPrivilegeEscalation"
    if gained:
        yield Finding(
            "warning" if choices.no_new_privs else "info",
            f"an executable raised its caller's privileges, so `{name}: false` is left out",
        )
    elif choices.no_new_privs is False:
        yield Finding(
            "info",
            f"`no-new-privs=no` says that containers run without, so `{name}: false` is left out",
        )
    elif gained is False:
        evidence = "no executable raised its caller's privileges while it was recorded"
        yield Field(name, False, "unused", evidence)
    elif had:
        yield Field(name, False, "observed", "it ran with no_new_privs while it was recorded")
    else:
        yield Finding(
            "info",
            "whether an executable raised its caller's privileges is not known, so"
            f" `{name}: false` is left out",
            hint="record it across its start with `--loader core`",
        )


def capability_fields(baseline: Baseline) -> Iterator[Field | Finding]:
    """Yield the field `capabilities`: all dropped, those that were used added."""
    rules = baseline.rules.capabilities
    used = sorted((rule for rule in rules if not is_only_the_runtimes(rule)), key=_name)
    runtime = sorted(_name(rule) for rule in rules if is_only_the_runtimes(rule))
    if runtime:
        yield Finding(
            "info",
            "left out capabilities that only the container runtime used, before the entrypoint"
            f" ran: {shown(runtime)}",
        )
    names = [_name(rule).removeprefix("CAP_") for rule in used]
    # An empty list takes away what the workload asked for until now.
    value = {"drop": ["ALL"], "add": names}
    evidence = f"used {shown(names)}, and no other" if names else "none was used"
    ids = tuple(sorted(rule.id for rule in used))
    yield Field("capabilities", value, "observed" if names else "unused", evidence, ids)


def is_only_the_runtimes(rule: Rule[CapabilityValue]) -> bool:
    """Return whether only the container runtime used the capability, before the entrypoint."""
    return rule.evidence.is_the_runtimes


def _name(rule: Rule[CapabilityValue]) -> str:
    return rule.value.name


def _proc_mount(baseline: Baseline) -> Iterator[Field | Finding]:
    used = _unmasked(baseline)
    if not used:
        evidence = "it used nothing of /proc and /sys that a runtime hides or protects"
        yield Field("procMount", "Default", "unused", evidence)
    else:
        yield Finding(
            "info", f"`procMount` is left out, as it used what runtimes protect: {shown(used)}"
        )


def _unmasked(baseline: Baseline) -> Sequence[str]:
    """Return what the workload did that `procMount: Default` keeps from a container."""
    found = {
        rule.value.path
        for rule in baseline.rules.files
        if not rule.evidence.is_the_runtimes
        and (
            _MASKED.fullmatch(rule.value.path)
            or (_READ_ONLY.fullmatch(rule.value.path) and set(rule.value.access) & _WRITES)
        )
    }
    # Whoever mounts a `/proc` of its own needs all of the first one to be in sight.
    mounts = {
        f"`{rule.value.operation}`"
        for rule in baseline.rules.operations
        if rule.value.operation in ("mount", "move_mount") and not rule.evidence.is_the_runtimes
    }
    return sorted(found | mounts)
