"""Findings on standard output: blocks for people, or one line of JSON each."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from ethogram.cli.screen import count, output, shell, subject_words
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Subject
    from ethogram.contracts.finding import Finding
    from ethogram.contracts.finding_parts import FindingProcess, ProcessEntry
    from ethogram.contracts.incident import Incident

__all__ = ["FORMATS", "Format", "Printer", "block", "incident_block", "printer", "repeat"]

Format = Literal["text", "jsonl"]
FORMATS: tuple[Format, ...] = ("text", "jsonl")
_CONTAINER_DIGITS = 12
_FINDING_DIGITS = 12  # `accept` and `suppress` take 8 or more
_REMEMBERED = 100_000
_SHOWN = 1_000  # characters of one field; JSON has all of it
_IN_LINE = 240  # of what a finding of an incident saw
_SMALL = ("info", "low")
_ORDER = ("info", "low", "medium", "high", "critical")
_ENTERED = frozenset({"exec", "login"})
_STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "bold yellow",
    "low": "cyan",
    "info": "dim",
}
_STATES = {
    "deviating": "a medium or graver finding was told of it lately",
    "learning": "the baseline is thin",
    "degraded": "events were lost: there may be more",
    "blind": "part of it is not seen: there may be more",
    "rollout": "the baseline was not learnt from this image",
    "unknown": "no baseline is for this workload",
}


class Printer(Protocol):
    """Prints findings and incidents; what was found at once is `settled` when all of it came."""

    def show(self, finding: Finding) -> None:
        """Print *finding*, now or once it is settled what it belongs to."""

    def show_incident(self, incident: Incident) -> None:
        """Print that *incident* grew."""

    def settle(self) -> None:
        """Print what waits for that."""


def printer(output_format: Format | None, told: Collection[str] = ()) -> Printer:
    """Return what prints findings; None is text on a terminal, JSON lines elsewhere.

    A finding that was printed before is told again in one line of text, or whole in JSON; so are
    those of fingerprints *told*, which a watch before printed.
    """
    chosen = output_format or ("text" if sys.stdout.isatty() else "jsonl")
    return _JsonLines() if chosen == "jsonl" else _Text(told)


class _JsonLines:
    """Prints each line at once."""

    def show(self, finding: Finding) -> None:
        print(finding.line(), flush=True)

    def show_incident(self, incident: Incident) -> None:
        print(incident.line(), flush=True)

    def settle(self) -> None:
        pass


class _Text:
    """Prints blocks: first the incidents that grew, then findings, the small ones in their lines.

    What was found at once waits for its incident, some milliseconds.
    """

    def __init__(self, told: Collection[str]) -> None:
        self._write = _styled if sys.stdout.isatty() else _plain
        self._known = set(told)
        self._named: dict[str, int] = {}  # how many findings of an incident were named
        self._findings: list[Finding] = []
        self._incidents: list[Incident] = []

    def show(self, finding: Finding) -> None:
        self._findings.append(finding)

    def show_incident(self, incident: Incident) -> None:
        self._incidents.append(incident)

    def settle(self) -> None:
        findings, self._findings = self._findings, []
        incidents, self._incidents = self._incidents, []
        named: set[str] = set()
        for incident in incidents:
            before = self._named.pop(incident.id, 0)
            named.update(one.fingerprint for one in incident.findings[before:])
            if len(self._named) >= _REMEMBERED:
                self._named.clear()
            self._named[incident.id] = incident.count
            self._block(incident_block(incident, before), incident.severity)
        for finding in findings:
            is_small = finding.severity in _SMALL
            self._finding(finding, is_named=is_small and finding.fingerprint in named)

    def _finding(self, finding: Finding, *, is_named: bool) -> None:
        is_new = finding.fingerprint not in self._known
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known.add(finding.fingerprint)
        if is_new and is_named:
            return
        if is_new:
            self._block(block(finding), finding.severity)
        else:
            self._write([printable(repeat(finding))], _STYLES[finding.severity])

    def _block(self, lines: Sequence[str], severity: str) -> None:
        self._write([*map(printable, lines), ""], _STYLES[severity])


def incident_block(incident: Incident, before: int = 0) -> list[str]:
    """Return *incident* in lines, its findings after the first *before* one below the other."""
    where = subject_words(incident.workload)
    if incident.container_id:
        where += f", container {incident.container_id[:_CONTAINER_DIGITS]}"
    fields = [("workload", where)]
    if incident.root:
        fields.append(("tree of", _root(incident.root)))
    if before:
        fields.append(("before", f"{count(before, 'finding')} of it"))
    named = sorted(incident.findings[before:], key=lambda one: -_ORDER.index(one.severity))
    fields += [
        (one.severity, f"{one.title}: {_cut(one.observed, _IN_LINE)}, "
         f"finding {one.fingerprint[:_FINDING_DIGITS]}")
        for one in named
    ]  # fmt: skip
    if more := incident.count - before - len(named):
        fields.append(("", f"and {more:,} more"))
    techniques = " ".join(dict.fromkeys(one.technique for one in incident.attack))
    if techniques:
        fields.append(("attack", techniques))
    fields.append(("incident", f"{incident.id}, until {_moment(incident.last_seen)}"))
    return [
        f"{incident.severity.upper()}  Incident: {incident.title}, one of "
        f"{count(incident.count, 'finding')}",
        *(f"  {name:<8}  {_cut(text)}" for name, text in fields),
    ]


def _root(root: ProcessEntry) -> str:
    words = root.exe or "a process"
    words += f", pid {root.pid}" if root.pid else ""
    return f"{words}, entered by {root.type}" if root.type in _ENTERED else f"{words}, {root.type}"


def _plain(lines: Sequence[str], _style: str) -> None:
    print("\n".join(lines), flush=True)


def _styled(lines: Sequence[str], style: str) -> None:
    from rich.text import Text

    console = output()
    # What is longer than the terminal goes on in the next line, so that it can be copied.
    console.print(Text(lines[0], style), soft_wrap=True)
    for line in lines[1:]:
        console.print(Text(line), soft_wrap=True)
    sys.stdout.flush()


def block(finding: Finding) -> list[str]:
    """Return *finding* in lines; what a workload chose in it is escaped already."""
    return [
        f"{finding.severity.upper()}  {finding.title}",
        *(f"  {name:<8}  {_cut(text)}" for name, text in _fields(finding)),
    ]


def repeat(finding: Finding) -> str:
    """Return in one line that *finding* goes on."""
    return (
        f"again {finding.severity}: {finding.title}: {_cut(finding.evidence.observed)}, "
        f"{subject_words(finding.workload)}: {count(finding.count, 'time')} until "
        f"{_moment(finding.last_seen)}, finding {finding.fingerprint[:_FINDING_DIGITS]}"
    )


def _cut(text: str, most: int = _SHOWN) -> str:
    """Return *text*, or how it begins and how much more there is: a workload chose its length."""
    if len(text) <= most:
        return text
    return f"{text[:most]} ... and {len(text) - most:,} characters more"


def _fields(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "why", finding.reason
    evidence = finding.evidence
    yield "seen", f"{evidence.dimension}: {evidence.observed}, {_moment(finding.first_seen)}"
    if evidence.expected:
        yield "nearest", ", ".join(evidence.expected)
    elif _is_like_nothing(finding):
        yield "nearest", "nothing in the baseline is like it"
    if evidence.p_value is not None:
        yield "p-value", f"{evidence.p_value:.3g}"
    yield "process", _process(finding.process) if finding.process else "not known"
    if finding.process and finding.process.ancestry:
        yield "", "".join(f"<- {one.exe} " for one in finding.process.ancestry).rstrip()
    if finding.process and (words := _whose(finding.process)):
        yield "user", words
    yield "workload", _workload(finding)
    if finding.workload.image:
        yield "image", _image(finding.workload)
    yield "rule", _rule(finding)
    yield "finding", finding.fingerprint[:_FINDING_DIGITS]
    if finding.workload_state != "ok":
        yield "state", f"{finding.workload_state}: {_STATES[finding.workload_state]}"
    if finding.count > 1:
        yield "count", f"{finding.count:,} until {_moment(finding.last_seen)}"


def _is_like_nothing(finding: Finding) -> bool:
    """Return whether something like what was seen was looked for, and there was nothing."""
    evidence = finding.evidence
    is_asked = finding.layer == "deviation" and finding.baseline is not None
    return is_asked and len(evidence.values or ()) == 1 and evidence.dimension != "syscalls"


def _process(process: FindingProcess) -> str:
    words = f"{process.exe}, pid {process.pid}"
    if process.candidates:
        words += f" or another of {process.candidates:,}"
    cut = " ..." if process.is_argv_cut else ""
    return f"{words}: {shell(*process.argv)}{cut}" if process.argv else words


def _whose(process: FindingProcess) -> str:
    """Return as whom it ran and how it came in, where that is not as the workload itself did."""
    words = [] if process.uid is None else [f"uid {process.uid}"]
    if process.euid is not None and process.euid != process.uid:
        words.append(f"effective {process.euid}")
    if process.loginuid is not None:
        session = "" if process.sessionid is None else f", session {process.sessionid}"
        words.append(f"login uid {process.loginuid}{session}")
    if process.entry and process.entry.type in _ENTERED:
        entry = process.entry
        through = f" {entry.exe}, pid {entry.pid}" if entry.exe else ""
        words.append(f"entered by {entry.type}:{through}" if through else f"by {entry.type}")
    if process.has_tty:
        words.append("on a terminal")
    return ", ".join(words)


def _image(workload: Subject) -> str:
    image, _, digest = (workload.image or "").partition("@")
    digest = workload.image_digest or digest
    return f"{image}, {digest[:19]}" if digest else image


def _workload(finding: Finding) -> str:
    words = subject_words(finding.workload)
    if finding.container_id:
        words += f", container {finding.container_id[:_CONTAINER_DIGITS]}"
    return f"{words}, phase {finding.phase}"


def _rule(finding: Finding) -> str:
    words = finding.rule if finding.layer == "deviation" else f"{finding.layer} {finding.rule}"
    by_version: dict[str, list[str]] = {}
    for one in finding.attack:
        by_version.setdefault(one.version, []).append(one.technique)
    for version, techniques in by_version.items():
        words += f", {' '.join(techniques)} of ATT&CK {version}"
    return f"{words}, baseline `{finding.baseline}`" if finding.baseline else words


def _moment(time: str) -> str:
    """Return an ISO *time* to the second: `2026-11-23 06:00:01 UTC`."""
    return f"{time[:10]} {time[11:19]} UTC"
