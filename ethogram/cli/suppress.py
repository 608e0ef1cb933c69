"""`ethogram suppress`: a finding that nobody needs to hear of for a while, by a suppression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.options import examples, of_a_finding
from ethogram.cli.screen import next_command, say, shell, subject_words
from ethogram.contracts.escape import printable
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from ethogram.contracts.finding import Finding
    from ethogram.contracts.suppression_file import Suppression

__all__ = ["command"]


@click.command(
    "suppress",
    short_help="Hear no more of a finding until a day: by a suppression with an owner.",
    epilog=examples(
        "ethogram suppress 3f2a9c81 --findings findings.jsonl --reason 'SHOP-12: backup'"
        " --expires 2027-06-30",
        "ethogram suppress 3f2a9c81 --findings findings.jsonl --any-value --owner alice"
        " --reason 'SHOP-12: backup' --expires 2027-06-30",
    ),
)
@of_a_finding
@click.option("--reason", required=True, metavar="TEXT", help="Why nobody needs to hear of it.")
@click.option("--expires", required=True, metavar="DAY", help="The last day, like `2027-06-30`.")
@click.option("--owner", metavar="NAME", help="Who answers for it.  [default: as `git config` has]")
@click.option(
    "--suppressions",
    "path",
    metavar="FILE",
    default="suppressions.yaml",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to append to; begun where there is none.",
)
@click.option(
    "--any-value", is_flag=True, help="Whatever was seen, where rule, workload and program match."
)
def command(
    *,
    finding: str,
    files: tuple[Path, ...],
    reason: str,
    expires: str,
    owner: str | None,
    path: Path,
    any_value: bool,
) -> None:
    """Append a suppression of a FINDING to a file that `watch --suppressions` reads.

    FINDING is its fingerprint, the first 8 digits of it or more, or the whole line of JSON. The
    suppression is for its rule, workload, program and what was seen. A deviation that is as it
    should be is better accepted: `ethogram accept` puts it into the baseline.
    """
    from ethogram.cli.accept_findings import found
    from ethogram.cli.decisions import author_of, day_of_option, text_of
    from ethogram.contracts.suppression_append import append_suppression

    until, why = day_of_option(expires), text_of(reason, "--reason")
    who = author_of(owner, "--owner")
    chosen = found(finding, files)
    made = _suppression(chosen, owner=who, reason=why, expires=until, any_value=any_value)
    if append_suppression(path, made):
        print(f"suppress until {until}: {printable(str(made))}")
    else:
        say(f"nothing to add: `{path}` suppresses it already, until {until} at least")
    if chosen.layer == "deviation" and chosen.evidence.values:
        say(f"`{shell('ethogram', 'accept', chosen.fingerprint[:8])}` allows it in the baseline")
    next_command(
        shell("ethogram", "watch", "--baseline", "baselines", "--suppressions", path, "--all"),
        why=f"a watch that has it takes it at once, for {subject_words(chosen.workload)}",
    )


def _suppression(
    finding: Finding, *, owner: str, reason: str, expires: date, any_value: bool
) -> Suppression:
    from detector.words import in_words
    from ethogram.contracts.suppression_file import SENSOR_RULES, Suppression, SuppressionMatch

    if finding.rule.startswith(SENSOR_RULES):
        raise UsageError(
            f"the finding is of `{finding.rule}`: tampering with the sensor is never suppressed",
            hint="find out who did it",
        )
    exe = finding.process.exe if finding.process else None
    values = finding.evidence.values or ()
    if len(values) > 1 and not any_value:
        raise UsageError(
            f"the finding stands for {len(values) + (finding.evidence.more or 0):,} values",
            hint="`--any-value` suppresses whatever else its rule finds of that program, too",
        )
    # What was observed may say more, such as the port of a connection, which is another each time.
    value = in_words(values[0]) if values and not any_value else None
    subject = finding.workload
    if any("*" in (one or "") for one in (subject.name, subject.namespace, exe, value)):
        raise UsageError(
            "no suppression can be for this alone: `*` stands for anything",
            hint="write it by hand, with `*` in its place",
        )
    return Suppression(
        match=SuppressionMatch(
            kind=subject.kind,
            name=subject.name,
            container=subject.container,
            namespace=subject.namespace,
        ),
        rule=finding.rule,
        dimension=finding.evidence.dimension,
        exe=exe,
        value=value,
        owner=owner,
        reason=reason,
        expires=expires,
    )
