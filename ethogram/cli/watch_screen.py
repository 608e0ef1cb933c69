"""What a watch says on standard error: states as they change, progress, and what it came to."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from detector.states import NAME_TO_COME, NO_BASELINE, RECORDED
from ethogram.cli.completeness import loss_lines
from ethogram.cli.screen import count, say, subject_words
from ethogram.cli.watch_anomaly import AnomalyScreen, anomaly_summary
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from detector.library import Known
    from detector.options import WatchResult, WindowStatus, WorkloadStatus
    from detector.states import StateChange
    from detector.suppressions import SuppressionsStatus
    from ethogram.cli.findings_screen import Printer
    from ethogram.contracts.baseline import Baseline, Subject
    from ethogram.contracts.finding import Finding
    from ethogram.contracts.incident import Incident

__all__ = ["WatchScreen", "baseline_words", "listed", "standing", "summary"]

_NAMED = 5
_SEES_ALL = frozenset({"ok", "deviating", "learning", "rollout"})
_NARROW = 80
_CLEAR_LINE = "\r\x1b[2K"


class WatchScreen:
    """Says states, and on a terminal one line of progress that findings push down.

    *printer* prints findings and incidents. A command that writes to the same terminal wants no
    line between its own: *has_progress* is false then.
    """

    def __init__(self, printer: Printer, *, has_progress: bool) -> None:
        self._printer = printer
        self._has_progress = has_progress and sys.stderr.isatty()
        self._unknown: list[Subject] = []
        self._anomaly = AnomalyScreen()
        self._failing: set[str] = set()

    def on_finding(self, finding: Finding) -> None:
        """Print *finding*."""
        self._clear()
        self._printer.show(finding)

    def on_incident(self, incident: Incident) -> None:
        """Print that *incident* grew."""
        self._clear()
        self._printer.show_incident(incident)

    def on_settled(self) -> None:
        """Print what waited for what else was found with it."""
        self._printer.settle()

    def on_state(self, change: StateChange) -> None:
        """Say *change*; named workloads that no baseline is for are said together."""
        if change.before is None and change.reason == NAME_TO_COME:
            return
        if change.before is None and change.reason in {NO_BASELINE, RECORDED}:
            self._unknown.append(change.subject)
            return
        self._clear()
        say(_state_words(change))

    def on_window(self, status: WindowStatus) -> None:
        """Say what the window left to say."""
        self.on_settled()
        for line in [*self._anomaly.take(status.anomaly), *self._failing_words(status)]:
            self._clear()
            say(line)
        if self._unknown:
            self._clear()
            say(f"no baseline is for {listed(map(subject_words, self._unknown))}")
            self._unknown.clear()
        if self._has_progress:
            line = _progress(status)[: _columns() - 1]
            print(f"{_CLEAR_LINE}{line}", end="", file=sys.stderr, flush=True)

    def _failing_words(self, status: WindowStatus) -> Iterator[str]:
        """Yield a line for each indicator that fails and did not before."""
        for one in status.failing:
            if one.rule not in self._failing:
                self._failing.add(one.rule)
                yield (
                    f"warning: the indicator `{one.rule}` failed, and missed what it was asked "
                    f"about: {one.trouble}; the watch goes on"
                )

    def close(self) -> None:
        """Print what waits, and leave the terminal as it was."""
        self._clear()
        self.on_settled()

    def _clear(self) -> None:
        if self._has_progress:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)


def _columns() -> int:
    """Return how wide the terminal on standard error is; one that does not know is narrow."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _NARROW
    except OSError:
        return _NARROW


def _state_words(change: StateChange) -> str:
    who = subject_words(change.subject)
    if change.before is not None:
        return f"{who}: {change.before} -> {change.after}: {change.reason}"
    by = f" by `{change.baseline}`" if change.baseline else ""
    why = "" if change.after == "ok" else f": {change.after}: {change.reason}"
    return f"watching {who}{by}{why}"


def _progress(status: WindowStatus) -> str:
    return (
        f"watching {count(len(status.workloads), 'workload')}: "
        f"{count(status.window + 1, 'window')}, {count(status.calls, 'call')}, "
        f"{_lost(status.lost)}; {count(status.findings, 'finding')}; Ctrl-C ends it"
    )


def standing(status: WindowStatus) -> str:
    """Return in words how the watch stands, for a service manager."""
    states = Counter(one.state for one in status.workloads)
    grave = ", ".join(f"{states[one]:,} {one}" for one in ("blind", "degraded") if states[one])
    return (
        f"watching {count(len(status.workloads), 'workload')}{f' ({grave})' if grave else ''}, "
        f"{count(status.findings, 'finding')}"
    )


def _lost(number: int) -> str:
    return f"{count(number, 'event')} lost" if number else "nothing lost"


def listed(words: Iterable[str]) -> str:
    """Return the first few of *words*, sorted, each once, and how many more there are."""
    names = sorted(set(words))
    more = len(names) - _NAMED
    if more > 0:
        return f"{', '.join(names[:_NAMED])} and {more:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def baseline_words(baseline: Baseline) -> str:
    """Return what *baseline* applies to: `Deployment/checkout (nginx) in namespace shop-*`."""
    match = baseline.match
    words = f"{match.kind}/{match.name}"
    words += f" ({match.container})" if match.container else ""
    words += f" in namespace {match.namespace}" if match.namespace else ""
    words += " with its digests" if match.image_digest else ""
    return printable(words)


# --- at the end -----------------------------------------------------------------------------------


def summary(result: WatchResult, known: Sequence[Known]) -> Iterator[str]:
    """Yield in lines what a watch by the baselines *known* came to; the last one is what counts."""
    yield (
        f"watched {count(len(result.workloads), 'workload')} for "
        f"{count(result.windows, 'window')}: {count(result.calls, 'call')}; {_lost(result.lost)}"
    )
    judged = [one for one in result.workloads if one.baseline is not None]
    for one in judged:
        why = "" if one.state == "ok" else f": {one.reason}"
        yield (
            f"  {one.state:<9}  {subject_words(one.subject)}, "
            f"{count(one.instances, 'instance')}, {count(one.findings, 'finding')}{why}"
        )
    if others := [one for one in result.workloads if one.baseline is None]:
        yield f"  {'unknown':<9}  {listed(subject_words(one.subject) for one in others)}"
    if result.losses:
        yield from (f"  {line}" for line in loss_lines(result.losses))
    yield from anomaly_summary(result.anomaly)
    if judged:
        yield from _unmatched(result, known)
    if result.suppressions is not None:
        yield _suppressed(result.suppressions)
    yield _outcome(result, judged)


def _unmatched(result: WatchResult, known: Sequence[Known]) -> Iterator[str]:
    for one in known:
        if one.file in result.unmatched:
            yield (
                f"warning: `{one.file}` was for nothing that ran here: "
                f"it is for {baseline_words(one.baseline)}"
            )


def _suppressed(status: SuppressionsStatus) -> str:
    used = [one for one in status.suppressions if one.findings]
    over = sum(one.is_over for one in status.suppressions)
    words = f"{count(status.suppressed, 'finding')} suppressed"
    if used:
        owners = listed(f"{one.owner} until {one.expires}" for one in used)
        words += f" by {count(len(used), 'suppression')} of {owners}"
    return f"{words}; {count(over, 'suppression is', 'suppressions are')} over" if over else words


def _outcome(result: WatchResult, judged: Sequence[WorkloadStatus]) -> str:
    if result.findings:
        grouped = f" ({count(result.incidents, 'incident')})" if result.incidents else ""
        return f"{count(result.findings, 'finding')}{grouped}, the worst of severity {result.worst}"
    if not judged:
        return "no findings"
    if all(one.state in _SEES_ALL for one in judged):
        return "no findings: nothing strayed from the baselines"
    return "no findings in what was seen: not everything was"
