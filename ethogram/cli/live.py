"""The summary that changes while a recording runs, on a terminal and nowhere else."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ethogram.cli.screen import count, errors, seconds
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from profiler.recorder import WindowReport

__all__ = ["live_summary"]

# How many of the newest sights stay on the screen.
NEWEST = 6


@contextmanager
def live_summary(
    *, is_wanted: bool = True, progress: Callable[[], str] | None = None
) -> Iterator[Callable[[WindowReport], None] | None]:
    """Yield what to call at the end of each window; None where standard error is no terminal.

    There is no thread that refreshes: privileges are dropped thread by thread, and one that draws
    would keep root's. A command that writes to the same terminal wants no summary between its
    lines: *is_wanted* is false then. *progress* says how far it is, where it has an aim.
    """
    console = errors()
    if not (is_wanted and console.is_terminal):
        yield None
        return
    from rich.live import Live
    from rich.text import Text

    newest: deque[str] = deque(maxlen=NEWEST)
    so_far: Counter[str] = Counter()
    length = 0.0
    waiting = Text("recording; Ctrl-C ends it and keeps what was seen")
    with Live(waiting, console=console, auto_refresh=False, transient=True) as live:

        def show(report: WindowReport) -> None:
            newest.extend(printable(line) for line in report.new)
            so_far.update(calls=report.calls, execs=report.execs, lost=report.lost)
            nonlocal length
            length += report.seconds
            aim = progress() if progress else ""
            live.update(_screen(report, so_far, newest, length=length, aim=aim), refresh=True)

        yield show


def _screen(
    report: WindowReport,
    so_far: Mapping[str, int],
    newest: Iterable[str],
    *,
    length: float,
    aim: str = "",
) -> RenderableType:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD)
    grid.add_column("")
    for name in ("calls", "execs", "files", "peers", "lost"):
        grid.add_column(name, justify="right", min_width=9)
    # Files and peers of windows overlap, so they have no sum.
    last = (report.calls, report.execs, report.files, report.peers)
    grid.add_row("last window", *(f"{number:,}" for number in last), _lost(report.lost))
    total = (f"{so_far['calls']:,}", f"{so_far['execs']:,}", "", "")
    grid.add_row("so far", *total, _lost(so_far["lost"]))
    head = (
        f"recording for {seconds(length)}, "
        f"{count(report.workloads, 'workload')}; Ctrl-C ends it and keeps what was seen"
    )
    lines = [Text(f"  new  {line}", overflow="ellipsis", no_wrap=True) for line in newest]
    if aim:
        lines.append(Text(f"  {aim}"))
    return Group(Text(head), grid, *lines)


def _lost(number: int) -> Text:
    from rich.text import Text

    return Text(f"{number:,}", "bold red") if number else Text("nothing")
