"""An audit as people read it: by owner, the gravest first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ethogram.cli.screen import count, next_command, output
from ethogram.contracts.escape import printable
from ethogram.contracts.finding import SEVERITIES

if TYPE_CHECKING:
    from rich.console import Console

    from ethogram.posture.findings import PostureFinding, Report
    from ethogram.posture.objects import Reference

__all__ = ["grouped", "print_report", "summary_words"]


def grouped(report: Report) -> dict[Reference, list[PostureFinding]]:
    """Return the findings by owner: the owner with the gravest first."""
    found: dict[Reference, list[PostureFinding]] = {}
    for one in report.findings:
        found.setdefault(one.owner, []).append(one)
    return found


def summary_words(report: Report) -> str:
    """Return what was audited and found, in a line."""
    version = ".".join(str(part) for part in report.version)
    counts = Counter(one.severity for one in report.open)
    graves = ", ".join(f"{counts[name]:,} {name}" for name in reversed(SEVERITIES) if counts[name])
    exempted = len(report.findings) - len(report.open)
    words = (
        f"{count(report.objects, 'object')}, {count(report.workloads, 'workload')}; Pod Security"
        f" `{report.level}` of v{version}, CIS {report.benchmark}:"
        f" {count(len(report.open), 'finding')}"
    )
    words += f" ({graves})" if graves else ""
    return words + (f", {exempted:,} exempted" if exempted else "")


def print_report(report: Report) -> None:
    """Print *report* on standard output."""
    console = output()
    for owner, some in grouped(report).items():
        console.print(printable(str(owner)), soft_wrap=True)
        for one in some:
            _print_finding(console, one, report.benchmark)
        console.print()
    console.print(summary_words(report), soft_wrap=True)
    for note in report.notes:
        console.print(f"not judged {note}", soft_wrap=True)
    if any(one.patch for one in report.open):
        next_command("ethogram audit ... --patches DIR", why="writes one patch for each owner")


def _print_finding(console: Console, one: PostureFinding, benchmark: str) -> None:
    ids = dict(one.cis)
    marks = [one.check, *([f"CIS {ids[benchmark]}"] if benchmark in ids else [])]
    console.print(f"  {one.severity:<8}  {printable(one.message)}", soft_wrap=True)
    where = printable(one.source.file) if one.source.file else str(one.found_in)
    told = [", ".join(marks), where]
    if one.found_in != one.owner:
        told.append(f"seen in {printable(str(one.found_in))}")
    if one.pods:
        told.append(f"{count(one.pods, 'pod')} on {count(one.nodes, 'node')}")
    if one.first_seen is not None:
        told.append(f"since {one.first_seen.date()}")
    console.print(f"            {'; '.join(told)}", soft_wrap=True)
    if one.evidence is not None:
        console.print(
            f"            {one.evidence.verdict}: {printable(one.evidence.words)}", soft_wrap=True
        )
    if one.exemption is not None:
        told_of = one.exemption
        words = f"exempt until {told_of.expires} by {told_of.owner}: {told_of.reason}"
        console.print(f"            {printable(words)}", soft_wrap=True)
    if one.expired is not None:
        words = f"the exemption by {one.expired.owner} ended on {one.expired.expires}"
        console.print(f"            {printable(words)}", soft_wrap=True)
