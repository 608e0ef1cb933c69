"""The options by which people decide what a baseline allows, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.group import closest
from ethogram.cli.screen import say
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from learner.review import Review

__all__ = ["applied", "review_of", "review_options"]


def review_options(command: Any) -> Any:
    """Add the options that `review_of` reads."""
    for option in reversed(
        (
            click.option(
                "--without",
                multiple=True,
                metavar="RULE",
                help="Leave out a rule, by its id or by what it allows, such as `syscalls:ptrace`."
                " May be repeated.",
            ),
            click.option(
                "--only-phase",
                "only_phases",
                multiple=True,
                metavar="PHASE",
                help="Leave out what was seen in no such phase: runtime, startup, steady, exec,"
                " shutdown, unknown. May be repeated.",
            ),
            click.option(
                "--min-replicas",
                metavar="N",
                type=click.IntRange(min=1),
                default=1,
                help="Leave out what fewer instances showed.",
            ),
            click.option(
                "--overlay",
                "overlays",
                multiple=True,
                metavar="FILE",
                type=click.Path(readable=False, path_type=Path),
                help="Apply the reviewed decisions in this file. May be repeated.",
            ),
        )
    ):
        command = option(command)
    return command


def review_of(values: Mapping[str, Any]) -> Review:
    """Return what the options decide; `UsageError` for a phase or a file that is none."""
    from ethogram.contracts.baseline import PHASES
    from ethogram.contracts.overlay_file import load_overlay
    from learner.review import Review

    for phase in values["only_phases"]:
        if phase not in PHASES:
            guess = closest(phase, PHASES)
            raise UsageError(
                f"there is no phase `{phase}`",
                hint=f"did you mean `{guess}`?" if guess else f"known: {', '.join(PHASES)}",
            )
    return Review(
        without=tuple(dict.fromkeys(values["without"])),
        only_phases=tuple(phase for phase in PHASES if phase in values["only_phases"]),
        min_replicas=values["min_replicas"],
        overlays=tuple(load_overlay(path) for path in dict.fromkeys(values["overlays"])),
    )


def applied(baselines: Iterable[Baseline], review: Review) -> list[Baseline]:
    """Return *baselines* as *review* decides, today; say what of it did nothing."""
    from datetime import UTC, datetime

    from learner.review import reviewed

    found, notes = reviewed(baselines, review, today=datetime.now(UTC).date())
    for note in notes:
        say(f"warning: {note}")
    return found
