"""The results: a table for people (`docs/cases.md`), and what may not get worse (`kept.json`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ethogram.contracts.escape import escape
from tests.cases.catalogue import KINDS
from tests.cases.scoring import Result, Told, Totals, alerts_of, totals

__all__ = ["KEPT", "MARKER", "Noise", "kept_of", "load_kept", "markdown", "noise_of", "write"]

KEPT = Path(__file__).resolve().parent / "kept.json"
COLUMNS = (
    *("case", "what", "kind", "expected", "verdict", "rules that fired", "severity"),
    *("technique", "found as", "workload", "after"),
)
# Everything below this line of the document is written anew; what stands above it stays.
MARKER = "<!-- everything below is written by `make cases` -->"


NOISE_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Noise:
    """What was told of containers that ran nothing but the benign service."""

    containers: int
    seconds: float
    alerts: tuple[str, ...]
    info: int


def noise_of(quiet: Sequence[str], seconds: float, told: Iterable[Told]) -> Noise:
    """Return the noise in the containers with the ids *quiet*."""
    theirs = [each for each in told if each.finding.container_id in quiet]
    alerts = alerts_of(theirs)
    return Noise(
        len(quiet), seconds, tuple(_line(each) for each in alerts), len(theirs) - len(alerts)
    )


def _line(told: Told) -> str:
    finding = told.finding
    return f"{finding.severity} {finding.rule}: {finding.evidence.observed}"


def markdown(results: Sequence[Result], noise: Noise, *, kernel: str) -> str:
    """Return the results as Markdown, without anything that differs between equal runs but times.

    *kernel* is what the cases ran on.
    """
    return "\n".join([*_summary(results, kernel), *_noise(noise), *_table(results), ""])


def _summary(results: Sequence[Result], kernel: str) -> Iterator[str]:
    learnt = sum(result.case.expect == "silent" for result in results)
    yield f"{len(results)} cases on Linux {kernel}, {learnt} of them benign and learnt.\n"
    yield "| kind | cases | found | partial | missed | silent | false | not run | median | p99 |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for kind in KINDS:
        if of_kind := [result for result in results if result.case.kind == kind]:
            yield _summary_row(f"`{kind}`", totals(of_kind))
    yield _summary_row("all", totals(results))


def _summary_row(name: str, total: Totals) -> str:
    verdicts = ("found", "partial", "missed", "silent", "false", "not run")
    counts = [str(total.verdicts.get(verdict, 0)) for verdict in verdicts]  # type: ignore[call-overload]
    times = [_time(total.median_ms), _time(total.p99_ms)]
    return f"| {' | '.join([name, str(total.count), *counts, *times])} |"


def _noise(noise: Noise) -> Iterator[str]:
    yield (
        f"\n{noise.containers} containers ran the benign service alone for {noise.seconds:g} s: "
        f"{len(noise.alerts) or 'no'} findings above `info`, {noise.info or 'none'} of `info`.\n"
    )
    for alert in noise.alerts[:NOISE_SHOWN]:
        yield f"- {_cell(alert)}"
    if len(noise.alerts) > NOISE_SHOWN:
        yield f"- and {len(noise.alerts) - NOISE_SHOWN} more"


def _table(results: Sequence[Result]) -> Iterator[str]:
    yield f"\n| {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * (len(COLUMNS) - 1)}--:|"
    for result in results:
        case = result.case
        workload = {None: "", True: "right", False: "wrong"}[result.is_right_workload]
        cells = (
            case.id, case.title, case.kind, case.expect,
            f"**{result.verdict}**" if _is_bad(result) else result.verdict,
            ", ".join(result.rules) or (result.problem or ""), result.severity or "",
            ", ".join(case.techniques), _found_as(result), workload, _time(result.latency_ms),
        )  # fmt: skip
        yield f"| {' | '.join(map(_cell, cells))} |"


def _is_bad(result: Result) -> bool:
    return result.verdict in ("partial", "missed", "false", "not run")


def _found_as(result: Result) -> str:
    if not result.techniques:
        return ""
    mark = "" if result.technique in ("right", "-") else f" ({result.technique})"
    return ", ".join(result.techniques) + mark


def _time(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def _cell(text: str) -> str:
    """Return *text* for one cell: what a workload chose may not end the cell or the line."""
    return escape(text).replace("|", "\\|").replace("<", "&lt;")


def kept_of(results: Iterable[Result]) -> dict[str, list[str]]:
    """Return the ids of what was found, and of what was silent where it should be."""
    kept: dict[str, list[str]] = {"found": [], "silent": []}
    for result in results:
        if result.verdict in kept and (result.verdict == "found") == (
            result.case.expect == "finding"
        ):
            kept[result.verdict].append(result.case.id)
    return kept


def load_kept() -> dict[str, list[str]]:
    """Return what a run found that was kept."""
    kept: dict[str, list[str]] = json.loads(KEPT.read_text())
    return kept


def write(document: Path, results: Sequence[Result], noise: Noise, *, kernel: str) -> None:
    """Put the results below the marker of *document*, and keep them beside the cases."""
    head, marker, _ = document.read_text().partition(MARKER)
    if not marker:
        raise ValueError(f"`{document}` has no line `{MARKER}`")
    document.write_text(f"{head}{MARKER}\n\n{markdown(results, noise, kernel=kernel)}")
    KEPT.write_text(json.dumps(kept_of(results), indent=1) + "\n")
