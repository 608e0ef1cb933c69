"""`ethogram doctor`: what this host can record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.options import examples, format_option
from ethogram.cli.screen import count, next_command, output, say
from ethogram.contracts.escape import printable
from ethogram.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.doctor import Check

__all__ = ["command"]


@click.command(
    "doctor",
    short_help="Say what this host can record, and what is missing.",
    epilog=examples(
        "ethogram doctor", "ethogram doctor --policies policies", "ethogram doctor --format json"
    ),
)
@format_option("text", "json")
@click.option(
    "--policies",
    metavar="DIR",
    type=click.Path(exists=True, path_type=Path),
    help="Say instead whether containers would start here under these exported policies.",
)
def command(output_format: str, policies: Path | None) -> None:
    """Try what recording needs, each program by loading it, and say what came of it.

    Exits with code 3 where this host cannot record, or where a policy of DIR cannot be used on it.
    """
    if policies is not None:
        from ethogram.cli.doctor_policies import examine

        examine(policies, output_format)
        return
    from profiler.doctor import can_record, checks

    found = checks()
    if output_format == "json":
        print(json.dumps(_document(found, can_record=can_record(found)), indent=2))
    else:
        _print_text(found)
    if not can_record(found):
        failed = [check for check in found if check.ok is False]
        raise PreflightError(
            f"this host cannot record: {count(len(failed), 'check')} failed, "
            f"first `{printable(failed[0].name)}`",
            hint=failed[0].hint,
        )
    say("this host can record")
    next_command("ethogram try -- ls")


def _document(found: Sequence[Check], *, can_record: bool) -> dict[str, object]:
    return {
        "schema": "ethogram.doctor/1",
        "can_record": can_record,
        "checks": [
            {"name": check.name, "ok": check.ok, "detail": check.detail, "hint": check.hint}
            for check in found
        ],
    }


def _print_text(found: Sequence[Check]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    words = {True: Text("yes", "green"), False: Text("no", "bold red"), None: Text("partly")}
    grid = Table(box=box.SIMPLE_HEAD)
    grid.add_column("check", no_wrap=True)
    grid.add_column("works", no_wrap=True)
    grid.add_column("found")
    for check in found:
        detail = printable(check.detail)
        if check.hint and check.ok is not True:
            detail += f"\nhint: {printable(check.hint)}"
        grid.add_row(printable(check.name), words[check.ok], detail)
    output().print(grid)
