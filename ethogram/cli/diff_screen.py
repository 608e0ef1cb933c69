"""The differences between baselines on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ethogram.cli.diff_ranking import Ranked, evidence_words, ranked, verdict
from ethogram.cli.screen import count, output, say, subject_words
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from rich.console import Console

    from learner.difference import Difference, Way

__all__ = ["print_differences", "state_words"]

_SIGNS: dict[Way, str] = {"wider": "+", "narrower": "-", "apart": "?"}
_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow"}
# Of what is no longer allowed; what is allowed now is never cut.
_NAMED = 20


def print_differences(found: Sequence[Difference]) -> None:
    """Print every difference, the gravest of each workload first, and what it comes to."""
    console = output()
    differing = [one for one in found if one.changes or one.match]
    for difference in differing:
        _print(console, difference)
        console.print()
    same = len(found) - len(differing)
    if same:
        console.print(f"{count(same, 'workload')} the same")
    ways = Counter(change.way for one in found for change in one.changes)
    say(
        f"{verdict(found)}: {ways['wider']:,} allowed now, {ways['narrower']:,} no longer, "
        f"{ways['apart']:,} newly in quarantine"
    )


def state_words(difference: Difference) -> str:
    """Return what became of the workload: new, gone, or changed."""
    if difference.old is None:
        return "new workload"
    return "changed" if difference.new else "workload is gone"


def _print(console: Console, difference: Difference) -> None:
    from rich.text import Text

    subject = subject_words(difference.baseline.subject)
    console.print(Text(f"{subject}: {state_words(difference)}", "bold"))
    for note in difference.notes:
        console.print(f"  {printable(note)}")
    for way, words in difference.match:
        console.print(f"  {_SIGNS[way]} {printable(words)}")
    changes = ranked(difference)
    if difference.new is None:
        console.print(f"  - {count(len(changes), 'rule')}, all of them")
        return
    left = _NAMED
    for one in changes:
        if one.change.way == "narrower":
            left -= 1
            if left < 0:
                continue
        _print_change(console, one)
    if left < 0:
        console.print(f"  - and {-left:,} more that are not allowed any more")


def _print_change(console: Console, one: Ranked) -> None:
    from rich.padding import Padding
    from rich.text import Text

    change = one.change
    line = Text(f"  {_SIGNS[change.way]} ")
    if change.way == "narrower":
        line.append(f"{change.dimension}: {printable(one.title)}", "dim")
        if change.is_apart:
            line.append(f" ({printable(one.why)})")
        console.print(line)
        return
    line.append(f"{one.severity:<8}", _STYLES.get(one.severity, ""))
    line.append(f" {change.dimension}: {printable(one.title)}")
    if change.way == "apart":
        line.append(" (quarantined, not allowed)")
    console.print(line)
    for words in (one.why, evidence_words(change.evidence)):
        console.print(Padding(Text(printable(words), "dim"), (0, 0, 0, 6), expand=False))
