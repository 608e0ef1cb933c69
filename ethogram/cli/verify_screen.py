"""What policies would have denied, on a terminal."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ethogram.cli.screen import count, output, say
from ethogram.contracts.escape import escape, printable

if TYPE_CHECKING:
    from rich.console import Console

    from ethogram.contracts.keys import WorkloadKey
    from exporters.replay.processes import Example, Process
    from exporters.replay.verdicts import Refusal, Report

__all__ = ["print_report", "time_of", "words_of"]

_SHOWN_OPEN = 40
_SHOWN_LOGGED = 20
_ARGUMENTS = 8


def print_report(report: Report, *, unread: Sequence[str], idle: Sequence[str]) -> None:
    """Print what is denied, what is only logged, what is open, and what it comes to.

    *unread* are files of kinds that nobody replays, *idle* those that pick nothing recorded.
    """
    console = output()
    denied, logged = report.of("denied"), report.of("logged")
    _print_refusals(console, denied)
    _print_logged(console, logged)
    questions = _questions(report)
    _print_open(console, questions)
    _print_left(console, report, unread, idle)
    words = ", ".join(f"{number:,} {what}" for what, number in sorted(_amounts(report).items()))
    say(
        f"judged {words} of {count(len(report.covered), 'workload')}: "
        f"{count(len(denied), 'rule')} denied, {len(logged)} logged,"
        f" {count(len(questions), 'question')} open"
    )


def _amounts(report: Report) -> dict[str, int]:
    """Return how much was judged of each thing; what several targets judged counts once."""
    by_target: dict[tuple[str, str], int] = defaultdict(int)
    for (target, _, what), number in report.judged.items():
        by_target[what, target] += number
    found: dict[str, int] = defaultdict(int)
    for (what, _), number in by_target.items():
        found[what] = max(found[what], number)
    return found


def _questions(report: Report) -> list[tuple[str, int]]:
    """Return what could not be judged, with how often; what several policies ask is one."""
    found: dict[str, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    for one in sorted(report.left_open.values(), key=lambda o: (str(o.workload), o.reason)):
        who = f"{words_of(one.workload)}: " if one.workload else ""
        found[f"{who}{printable(one.reason)}"][one.policy] += one.count
    return [(what, max(counts.values())) for what, counts in found.items()]


def words_of(key: WorkloadKey) -> str:
    """Return how people call the workload of *key*."""
    parts = (key.cluster, key.namespace, key.kind, key.name)
    title = "/".join(escape(part) for part in parts if part is not None)
    return f"{title} ({escape(key.container)})" if key.container else title


def time_of(example: Example) -> str:
    """Return when it was, to the second, in UTC."""
    return datetime.fromtimestamp(example.time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_refusals(console: Console, found: Sequence[Refusal]) -> None:
    from rich.text import Text

    workload = None
    for one in found:
        if one.workload != workload:
            workload = one.workload
            console.print(Text(words_of(workload), "bold"))
        line = Text("  denied ", "bold red")
        line.append(f"{one.target}: {printable(one.rule)}", "bold")
        line.append(f", {_times(one.count)}")
        line.append(f": {printable(one.answer)}")
        console.print(line, soft_wrap=True)
        _print_line(console, f"    by `{escape(one.policy)}`")
        if one.example:
            _print_example(console, one.recording, one.example)
        _print_line(console, f"    to allow it: {one.relaxation.words}")
        for step in one.relaxation.patch:
            _print_line(console, f"      {json.dumps(step, ensure_ascii=True)}")
        console.print()


def _times(number: int) -> str:
    return f"{number:,} times" if number > 1 else "once"


def _print_example(console: Console, recording: str, example: Example) -> None:
    instance = escape(example.instance)[:12] or "an instance without a name"
    head = (
        f"    first in `{escape(recording)}`, {time_of(example)}, phase {example.phase}, {instance}"
    )
    _print_line(console, head)
    if not example.tree:
        _print_line(console, "      by a process that is not in the recording")
        return
    if example.candidates > 1:
        _print_line(console, f"      by one of {example.candidates:,} processes, such as")
    for depth, process in enumerate(example.tree):
        _print_line(console, f"      {'  ' * depth}{'child of ' if depth else ''}{_named(process)}")


def _named(process: Process) -> str:
    words = [process.exe or "?", *process.argv[1:_ARGUMENTS]]
    more = " ..." if len(process.argv) > _ARGUMENTS else ""
    pid = "" if process.pid is None else f" (pid {process.pid})"
    return " ".join(words) + more + pid


def _print_logged(console: Console, found: Sequence[Refusal]) -> None:
    for one in found[:_SHOWN_LOGGED]:
        what = f"{one.target}: {printable(one.rule)}, {_times(one.count)}: {printable(one.answer)}"
        _print_line(console, f"logged, not denied: {words_of(one.workload)}: {what}")
    if (more := len(found) - _SHOWN_LOGGED) > 0:
        _print_line(console, f"and {more:,} more that are logged and not denied")


def _print_open(console: Console, found: Sequence[tuple[str, int]]) -> None:
    for what, number in found[:_SHOWN_OPEN]:
        _print_line(console, f"not judged: {what} ({number:,})")
    if (more := len(found) - _SHOWN_OPEN) > 0:
        _print_line(console, f"and {more:,} more that were not judged")


def _print_left(
    console: Console, report: Report, unread: Sequence[str], idle: Sequence[str]
) -> None:
    for path in unread:
        _print_line(console, f"not judged: `{escape(path)}` is of no kind that can be replayed")
    for path in idle:
        _print_line(console, f"not judged: `{escape(path)}` picks nothing that was recorded")
    for name in sorted(report.uncovered):
        _print_line(console, f"not judged: no policy is for {printable(name)}")


def _print_line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)
