"""What a soak told: by severity, layer and cause, per node-day, and what that time can show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ethogram.contracts.escape import escape
from ethogram.contracts.finding import SEVERITIES, Finding, Severity
from tests.soak.cluster import CRON
from tests.soak.events import Event

__all__ = ["MARKER", "Soak", "cause_of", "markdown", "upper_bound", "write"]

# Everything below this line of the document is written anew; what stands above it stays.
MARKER = "<!-- everything below is written by `make soak` -->"
# What an event sets off is over this much later: windows, idle workers that end, checkpoints.
AFTER_S = 20.0
# To reach, per node-day.
WANTED = {"high or critical": 0.1, "medium": 1.0}
_GROUPS: Mapping[str, tuple[Severity, ...]] = {
    "high or critical": ("high", "critical"),
    "medium": ("medium",),
    "low": ("low",),
    "info": ("info",),
}


@dataclass(frozen=True, slots=True)
class Soak:
    """What was done and for how long, and each line that was told.

    *learnt* is for how many seconds each workload was, all replicas together; *states* are those
    in which the watch began.
    """

    learnt: Mapping[str, float]
    watched_s: float
    replicas: Mapping[str, int]
    replica_s: float
    uses: int
    events: Sequence[Event]
    lines: Sequence[Finding]
    losses: str
    states: Mapping[str, str]
    trouble: Sequence[str]
    kernel: str
    is_shared: bool = False

    @property
    def findings(self) -> list[Finding]:
        """The last line of each."""
        return list({one.fingerprint: one for one in self.lines}.values())

    @property
    def incidents(self) -> dict[str, Severity]:
        """The severity of each incident, the gravest of its findings; many are of one alone."""
        found: dict[str, Severity] = {}
        for one in self.lines:
            of = one.incident or one.fingerprint
            found[of] = max(found.get(of, "info"), one.severity, key=SEVERITIES.index)
        return found


def upper_bound(found: int) -> float:
    """Return the 95 % upper bound of what was expected where *found* were seen (Poisson).

    With none it is 3.0: zero in T shows less than 3/T.
    """

    def seen_at_most(mean: float) -> float:
        term = total = math.exp(-mean)
        for number in range(1, found + 1):
            term *= mean / number
            total += term
        return total

    low, high = 0.0, found + 10 * math.sqrt(found + 1) + 10
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if seen_at_most(middle) > 0.05 else (low, middle)
    return high


def cause_of(finding: Finding, events: Iterable[Event]) -> str:
    """Return what was done to the workload when *finding* was first seen, or `load`."""
    if finding.workload.name == CRON:
        return "cron job"
    if finding.phase == "exec":
        entry = finding.process.entry if finding.process else None
        first = datetime.fromisoformat(finding.first_seen).timestamp()
        theirs = [one for one in events if one.app == finding.workload.name]
        debug = [one for one in theirs if one.kind == "debug session"]
        is_debug = any(one.began - 1 <= first <= one.ended + 2 for one in debug)
        return "debug session" if is_debug else f"exec probe{'' if entry else ', no process'}"
    first = datetime.fromisoformat(finding.first_seen).timestamp()
    causes = [
        one
        for one in events
        if one.app == finding.workload.name and one.began - 1 <= first <= one.ended + AFTER_S
    ]
    return max(causes, key=lambda one: one.began).kind if causes else "load"


def write(document: Path, soak: Soak) -> None:
    """Put *soak* below the marker of *document*."""
    head, marker, _ = document.read_text().partition(MARKER)
    if not marker:
        raise ValueError(f"`{document}` has no line `{MARKER}`")
    document.write_text(f"{head}{MARKER}\n\n{markdown(soak)}")


def markdown(soak: Soak) -> str:
    """Return the result as Markdown."""
    return "\n".join([*_what(soak), *_rates(soak), *_by_cause(soak), *_list(soak), ""])


def _what(soak: Soak) -> Iterator[str]:
    days = soak.watched_s / 86400
    fleet = ", ".join(f"{app} x{number}" for app, number in soak.replicas.items())
    yield (
        f"Linux {soak.kernel}. Watched for **{soak.watched_s / 3600:.2f} node-hours** "
        f"({days:.4f} node-days, one node, {soak.replica_s / 3600:.1f} container-hours): {fleet}. "
        f"Services were used {soak.uses:,} times, {len(soak.trouble)} of these or of the events "
        f"failed. {soak.losses}"
    )
    if soak.is_shared:
        yield "It ran beside other work on the same machine."
    yield ""
    counted = Counter(event.kind for event in soak.events)
    yield "Events: " + ", ".join(f"{number} x {kind}" for kind, number in sorted(counted.items()))
    yield ""
    yield "| workload | learnt for | in which state the watch began |"
    yield "|---|--:|---|"
    for name, seconds in sorted(soak.learnt.items()):
        yield f"| {name} | {seconds / 60:.1f} min | {_cell(soak.states.get(name, 'not running'))} |"
    yield ""


def _rates(soak: Soak) -> Iterator[str]:
    days = soak.watched_s / 86400
    findings = Counter(finding.severity for finding in soak.findings)
    incidents = Counter(soak.incidents.values())
    yield (
        "| severity | findings | a node-day | 95 % upper bound | incidents | a node-day "
        "| 95 % upper bound | to reach | node-days to show it |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name, severities in _GROUPS.items():
        cells = [name]
        for counts in (findings, incidents):
            found = sum(counts[severity] for severity in severities)
            cells += [str(found), f"{found / days:,.1f}", f"{upper_bound(found) / days:,.0f}"]
        wanted = WANTED.get(name)
        cells += ["", ""] if wanted is None else [str(wanted), f"{3 / wanted:g}, with none"]
        yield f"| {' | '.join(cells)} |"
    layers = Counter(finding.layer for finding in soak.findings)
    told = ", ".join(f"{number} of layer {layer}" for layer, number in sorted(layers.items()))
    yield (
        f"\n{len(soak.findings)} findings ({told or 'none'}), told in {len(soak.lines)} lines "
        f"(other replicas, counts), in {len(soak.incidents)} incidents.\n"
    )


def _by_cause(soak: Soak) -> Iterator[str]:
    counted: dict[str, Counter[str]] = {}
    for finding in soak.findings:
        cause = cause_of(finding, soak.events)
        counted.setdefault(cause, Counter())[finding.severity] += 1
    times = Counter(event.kind for event in soak.events)
    yield "| what was done | times | " + " | ".join(reversed(SEVERITIES)) + " |"
    yield "|---|--:|" + "--:|" * len(SEVERITIES)
    for cause in sorted({*counted, *times}):
        row = counted.get(cause, Counter())
        cells = (str(row[severity]) for severity in reversed(SEVERITIES))
        yield f"| {cause} | {times[cause] or ''} | {' | '.join(cells)} |"
    yield ""


def _list(soak: Soak) -> Iterator[str]:
    yield "| severity | rule | workload | state, phase | what was done | count | seen |"
    yield "|---|---|---|---|---|--:|---|"
    order = {severity: -number for number, severity in enumerate(SEVERITIES)}
    for one in sorted(soak.findings, key=lambda each: (order[each.severity], each.first_seen)):
        cells = (
            one.severity, one.rule, one.workload.name, f"{one.workload_state}, {one.phase}",
            cause_of(one, soak.events), str(one.count), one.evidence.observed[:120],
        )  # fmt: skip
        yield f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return escape(text).replace("|", "\\|").replace("<", "&lt;")
