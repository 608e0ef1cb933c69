"""Baseline -> a drop-in for a systemd service: it may do what it did, and little else.

Each setting rests on the baseline, and one that may refuse what was done is left out. Without
`--enforce` only what logs is in force, and the rest stands there as comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ethogram.contracts.baseline import Baseline, Dimension
from ethogram.contracts.escape import printable, unescape
from ethogram.errors import ExportError
from exporters.files import artifact_of
from exporters.observed import require_observed
from exporters.protocol import Artifact, Finding, Options
from exporters.provenance import facts_about
from exporters.systemd_calls import (
    SECCOMP,
    bears_no_new_privileges,
    call_settings,
    privilege_settings,
)
from exporters.systemd_choices import SETTINGS, Choices, read_choices
from exporters.systemd_families import network_settings
from exporters.systemd_findings import findings_about, refused_rules
from exporters.systemd_groups import Groups, load_groups
from exporters.systemd_protections import protections
from exporters.systemd_seen import Seen, seen_of
from exporters.systemd_setting import LeftOut, Setting

__all__ = ["FILE_NAME", "SystemdExporter", "exporter"]

# What a unit may be called, but for its type: systemd.unit(5).
_SERVICE = re.compile(r"[A-Za-z0-9:_.\\@-]{1,247}\.service")
FILE_NAME = "50-ethogram.conf"
_DIMENSIONS: frozenset[Dimension] = frozenset(
    {"syscalls", "capabilities", "files", "execs", "peers", "listens", "operations"}
)


@dataclass(frozen=True, slots=True)
class SystemdExporter:
    """Writes one drop-in for each service of the host; *groups* is the shipped data."""

    groups: Mapping[str, Groups]
    name: str = "systemd"
    summary: str = "drop-in for a systemd service: it may do what it did, and little else"
    dimensions: frozenset[Dimension] = _DIMENSIONS
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        read_choices(options, self.groups)

    def unenforced(self, options: Options) -> str:
        """Return what a drop-in does until it is enforced."""
        del options
        return "calls are logged, and nothing else is set; once nothing shows, put it in force"

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the drop-in, then what there is to know about it."""
        choices = read_choices(options, self.groups)
        service = _service(baseline)
        if isinstance(service, Finding):
            yield service
            return
        require_observed(baseline, self.dimensions)
        seen = seen_of(baseline)
        if not seen.calls:
            raise ExportError(
                f"no system call of `{printable(service)}` was seen: its settings would refuse"
                " everything",
                hint="record the unit across its start and under traffic, then learn again",
            )
        items = list(_items(seen, choices))
        settings = [item for item in items if isinstance(item, Setting)]
        left_out = [item for item in items if isinstance(item, LeftOut)]
        yield _artifact(baseline, options, service, settings, left_out)
        yield from (item for item in items if isinstance(item, Finding))
        yield from refused_rules(seen, choices)
        yield from findings_about(baseline, choices, left_out)


def exporter() -> SystemdExporter:
    """Return the exporter with the data that ships with it."""
    return SystemdExporter(load_groups())


def _service(baseline: Baseline) -> str | Finding:
    """Return the name of the service that *baseline* is about, or why there is no drop-in."""
    subject = baseline.subject
    who = f"{printable(subject.kind)} `{printable(subject.name)}`"
    if subject.kind != "Unit":
        return Finding(
            "warning",
            f"no drop-in: {who} is no unit of systemd",
            hint="`ethogram record --unit NAME` records one",
        )
    name = unescape(subject.name).decode("utf-8", "replace")
    if "/" in name:
        return Finding(
            "warning",
            f"no drop-in: {who} belongs to a user's own systemd, which may not set most of it",
        )
    if not _SERVICE.fullmatch(name):
        return Finding("warning", f"no drop-in: {who} is no service")
    return name


def _items(seen: Seen, choices: Choices) -> Iterator[Setting | LeftOut | Finding]:
    """Yield the settings, without those that would take from the unit what it needs."""
    bears = bears_no_new_privileges(seen) or seen.baseline.observation.runs_as == (0,)
    for item in (
        *call_settings(seen, choices),
        *privilege_settings(seen),
        *protections(seen),
        *network_settings(seen),
    ):
        if isinstance(item, Setting) and item.name in SECCOMP and not bears:
            evidence = "of another user than root it implies no_new_privs, which it may not bear"
            yield LeftOut(item.name, evidence, item.rules)
        else:
            yield item


def _artifact(
    baseline: Baseline,
    options: Options,
    service: str,
    settings: Sequence[Setting],
    left_out: Sequence[LeftOut],
) -> Artifact:
    lines = [
        f"# Put it to /etc/systemd/system/{service}.d/{FILE_NAME}, then `systemctl daemon-reload`",
        *(f"# {name}: {text}" for name, text in facts_about(baseline, options).items()),
        "",
        "[Service]",
        *_lines(settings, enforce=options.enforce),
        *(f"# left out: {one.name}: {printable(one.evidence)}" for one in left_out),
    ]
    return artifact_of(
        baseline.subject,
        "systemd",
        "conf",
        ("\n".join(lines) + "\n").encode(),
        installs_as=f"{service}.d/{FILE_NAME}",
        reasons=tuple(one.reason() for one in settings),
        left_out=tuple(one.reason() for one in left_out),
    )


def _lines(settings: Sequence[Setting], *, enforce: bool) -> Iterator[str]:
    for setting in settings:
        is_in_force = enforce or setting.logs
        yield f"# {printable(setting.evidence)}"
        for value in setting.values:
            yield f"{'' if is_in_force else '#'}{setting.name}={value}"
        yield ""
