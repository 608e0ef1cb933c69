"""`--state DIR`: what a watch keeps for the next one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.screen import say

if TYPE_CHECKING:
    from detector.sensor.kept import Kept
    from ethogram.contracts.finding import Finding

__all__ = ["kept_of", "killed_finding", "state_option"]


def state_option(command: Any) -> Any:
    """Add the option that `kept_of` reads."""
    return click.option(
        "--state",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep there what was told, and that the watch lives, so that the next one tells "
        "nothing twice and says since when nobody watched; such as /var/lib/ethogram/watch.",
    )(command)


def kept_of(values: dict[str, Any]) -> Kept | None:
    """Return what the watch before kept; None where nobody asked for that."""
    if values["state"] is None:
        return None
    from detector.sensor.kept import Kept

    return Kept(values["state"].absolute(), say)


def killed_finding(kept: Kept | None) -> Finding:
    """Return what who outlives this watch is to tell where it is killed."""
    import os
    import time

    from detector.sensor.telling import last_words
    from profiler.host import HostFacts

    return last_words(
        HostFacts.read().host_id,
        kept.run if kept else str(os.getpid()),
        os.getpid(),
        told=kept.told if kept else {},
        now_ns=time.time_ns(),
    )
