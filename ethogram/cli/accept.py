"""`ethogram accept`: a deviation that somebody reviewed becomes an entry of an overlay."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.options import examples, of_a_finding
from ethogram.cli.screen import count, next_command, say, shell, subject_words
from ethogram.contracts.escape import printable
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.finding import Finding
    from ethogram.contracts.overlay_file import Entry, OverlayMatch

__all__ = ["command"]


@click.command(
    "accept",
    short_help="Allow what a finding showed, by an overlay with author, reason and end.",
    epilog=examples(
        "ethogram accept 3f2a9c81 --findings findings.jsonl --reason 'SHOP-12: new cache'"
        " --expires 2027-06-30",
        "ethogram accept 3f2a9c81 --findings findings.jsonl --overlay reviewed.yaml"
        " --author alice --reason 'SHOP-12' --expires 2027-06-30",
    ),
)
@of_a_finding
@click.option("--reason", required=True, metavar="TEXT", help="Why it may be done.")
@click.option("--expires", required=True, metavar="DAY", help="The last day, like `2027-06-30`.")
@click.option("--author", metavar="NAME", help="Who decides.  [default: as `git config` has it]")
@click.option(
    "--overlay",
    metavar="FILE",
    default="accepted.yaml",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The overlay to append to; begun where there is none.",
)
@click.option(
    "--even-indicator",
    is_flag=True,
    help="Allow also what an indicator told of, which is bad unless somebody knows better.",
)
def command(
    *,
    finding: str,
    files: tuple[Path, ...],
    reason: str,
    expires: str,
    author: str | None,
    overlay: Path,
    even_indicator: bool,
) -> None:
    """Append to an overlay what allows the behaviour of a reviewed FINDING.

    FINDING is its fingerprint, the first 8 digits of it or more, or the whole line of JSON. The
    entry is for the workload's kind, name and container; also for its namespace, where the
    baseline was learnt there. Nothing is allowed yet: `learn --overlay` applies it to baselines.
    """
    from ethogram.cli.accept_findings import found
    from ethogram.cli.decisions import author_of, day_of_option, text_of
    from ethogram.contracts.overlay_append import append_entries

    # Refused before a long file is read.
    until, why = day_of_option(expires), text_of(reason, "--reason")
    who = author_of(author)
    chosen = found(finding, files)
    _require_acceptable(chosen, even_indicator=even_indicator)
    entries = _entries(chosen, author=who, reason=why, expires=until)
    added = append_entries(overlay, entries)
    for entry in added:
        print(f"allow {_words(entry)} until {until}: {subject_words(chosen.workload)}")
    if not added:
        say(f"nothing to add: `{overlay}` allows it already, until {until} at least")
    more = (chosen.evidence.more or 0) + sum(one.more or 0 for one in chosen.evidence.groups or ())
    if more:
        say(f"warning: {count(more, 'more value')} of it the finding does not name")
    next_command(
        shell("ethogram", "learn", "baselines", "--overlay", overlay, "-o", "baselines", "--force"),
        why="with the directory of your baselines; then sign them again, where they are signed",
    )


def _require_acceptable(finding: Finding, *, even_indicator: bool) -> None:
    if not finding.evidence.values and not finding.evidence.groups:
        raise UsageError(
            "the finding names nothing that a baseline could allow",
            hint="a baseline for the workload makes it go away: `ethogram learn`"
            if finding.rule == "unknown-workload"
            else "a model told of it: learn that anew from recordings in which this is usual"
            if finding.layer == "anomaly"
            else "it stands for what is only counted, or an earlier version wrote it",
        )
    if finding.layer != "indicator":
        return
    if not even_indicator:
        raise UsageError(
            f"the finding is of indicator `{finding.rule}`: bad, unless somebody knows better",
            hint="pass `--even-indicator` where you do",
        )
    from ethogram.indicators.registry import indicators

    rule = indicators().get(finding.rule)
    if rule is not None and rule.metadata.gate == "always":
        say(f"warning: `watch` tells of `{finding.rule}` whatever a baseline allows")


def _entries(finding: Finding, *, author: str, reason: str, expires: date) -> list[Entry]:
    from ethogram.contracts.overlay_file import Entry, Target

    evidence = finding.evidence
    shown = [(evidence.dimension, value) for value in evidence.values or ()]
    for group in evidence.groups or ():
        shown += [(group.dimension, value) for value in group.values]
    return [
        Entry(
            match=_match(finding),
            allow=Target.model_validate(
                {"dimension": dimension, "value": value.model_dump(exclude_none=True)}
            ),
            author=author,
            reason=reason,
            expires=expires,
        )
        for dimension, value in shown
    ]


def _words(entry: Entry) -> str:
    from detector.words import in_words

    value = entry.target.value
    assert value is not None
    return f"{entry.target.dimension} {printable(in_words(value))}"


def _match(finding: Finding) -> OverlayMatch:
    """Return which baselines the entry is for: an overlay asks where one was learnt."""
    from ethogram.contracts.baseline import baseline_filename
    from ethogram.contracts.overlay_file import OverlayMatch

    subject = finding.workload
    if "*" in f"{subject.name}{subject.namespace}":
        raise UsageError(
            f"no entry can be for `{subject.name}` alone: `*` in a name stands for anything",
            hint="write the overlay by hand",
        )
    is_home = finding.baseline == baseline_filename(subject)
    return OverlayMatch(
        kind=subject.kind,
        name=subject.name,
        container=subject.container,
        namespace=subject.namespace if is_home else None,
    )
