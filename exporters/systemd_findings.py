"""What the reader of a drop-in has to know that it cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.quality import states_of, was_told
from exporters.protocol import Finding, shown
from exporters.seccomp_calls import call_name
from exporters.systemd_choices import Choices
from exporters.systemd_seen import Seen
from exporters.systemd_setting import LeftOut

__all__ = ["findings_about", "refused_rules"]

_STATES: Mapping[str, str] = {
    "lossy": "the recorder lost events of this unit: what a setting refuses may have been done"
    " unseen",
    "enforced": "the unit was learnt under enforcement: what that kept it from is refused again",
    "partial": "the baseline is partial: it has not seen enough to be called complete",
}


def refused_rules(seen: Seen, choices: Choices) -> Iterator[Finding]:
    """Yield the rules that no setting can name."""
    for rule in seen.baseline.rules.syscalls:
        if call_name(rule) is None and choices.filter == "allow":
            yield Finding(
                "loss",
                f"call {rule.value.nr} of {rule.value.arch} has no name here, and settings have"
                " names only: a list of allowed calls refuses it",
                hint="a newer version of ethogram may know the name",
                subject=rule.id,
            )
    for name, rules in seen.capabilities.items():
        if name not in CAPABILITIES:
            yield Finding(
                "loss", f"capability {name} has no name here: it is not in the bounding set",
                subject=rules[0],
            )  # fmt: skip


def findings_about(
    baseline: Baseline, choices: Choices, left_out: Sequence[LeftOut]
) -> Iterator[Finding]:
    """Yield the findings of the drop-in for *baseline*."""
    names = sorted({one.name for one in left_out if "@" not in one.name})
    if names:
        yield Finding(
            "info",
            f"left out, as the unit needs what they refuse or nobody knows: {shown(names)}",
            hint="the drop-in says of each why",
        )
    yield Finding(
        "info",
        "a drop-in comes after the unit's own file, and its `ProtectSystem`, `ProtectHome` and"
        " `ProtectProc` take the place of stricter ones there",
        hint="compare them with `systemctl cat UNIT`, and take such a line out of the drop-in",
    )
    if not choices.enforce:
        yield Finding(
            "info",
            "only calls can be logged: all other settings stand in the drop-in as comments",
            hint="`--enforce` puts them in force; try it where a unit that fails harms nobody",
        )
    yield Finding(
        "info",
        f"groups of calls are as systemd {choices.groups.package} has them: another version may"
        " have put a call that was made into a group that is refused",
        hint="`tools/measure_systemd_groups.py` of the sources measures another version",
    )
    seen = baseline.observation
    if not (seen.runs_as and 0 not in seen.runs_as and seen.privileges_gained is False):
        yield Finding(
            "info",
            "`AmbientCapabilities` is left as the unit has it: a capability there that was not used"
            " is not in the bounding set either, and such a unit does not start",
            hint="compare them with `systemctl show -p AmbientCapabilities UNIT`",
        )
    for state in states_of(seen):
        if message := _STATES.get(state):
            yield Finding("info" if state == "partial" else "warning", message)
    if told := was_told(seen):
        yield Finding("warning", told)
    if seen.phases and "startup" not in seen.phases:
        yield Finding(
            "warning",
            "the unit's start was not recorded: what it needs to start may be refused",
            hint="record across its start: `ethogram record --unit NAME`, then restart it",
        )
    if baseline.quarantined:
        count = len(baseline.quarantined)
        yield Finding(
            "info",
            f"{count} value{' is' if count == 1 else 's are'} quarantined and not allowed for",
            hint="a reviewed overlay in the baseline allows them",
        )
