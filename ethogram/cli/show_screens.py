"""Screens of `show`: the head of a recording, and what each workload did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ethogram.cli.behaviour import READABLE, Behaviour, Seen, title_of
from ethogram.cli.screen import count, seconds
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from rich.console import Console

    from ethogram.contracts.manifest import Manifest

__all__ = ["print_behaviour", "print_behaviours", "print_manifest"]

# How many of each dimension a screen names; JSON has them all.
NAMED = 12


def _reason(manifest: Manifest) -> str:
    return f" ({manifest.loader_reason})" if manifest.loader_reason else ""


def print_manifest(console: Console, manifest: Manifest) -> None:
    """Print when, where and how a recording was made."""
    from ethogram.contracts.reach import dimensions_in_words, not_looked_at

    length = (
        f", {seconds((manifest.ended - manifest.started).total_seconds())}"
        if manifest.ended
        else ""
    )
    console.print(
        printable(
            f"recording {manifest.recording_id}: {manifest.started:%Y-%m-%d %H:%M:%S} UTC{length}, "
            f"{count(manifest.windows, 'window')} of {seconds(manifest.window_ms / 1000)}"
        )
    )
    attached = sum(program.state == "attached" for program in manifest.programs)
    args = "kept as they were" if manifest.redaction.keep_args else "redacted"
    console.print(
        printable(
            f"host {manifest.host_id}, Linux {manifest.kernel} {manifest.arch}, loader "
            f"{manifest.loader}{_reason(manifest)}, tier {manifest.tier}, {attached} of "
            f"{count(len(manifest.programs), 'program')} attached; arguments {args}"
        )
    )
    if unknown := not_looked_at(manifest.loader, manifest.tier):
        console.print(f"not looked at: {dimensions_in_words(unknown)}")
    if manifest.command is not None:
        words = " ".join(printable(word) for word in manifest.command.argv)
        status = manifest.command.exit_status
        console.print(f"command `{words}`, exit status {'not known' if status is None else status}")
    if (dropped := manifest.dropped) is not None:
        console.print(
            printable(
                f"retained {manifest.retain or 'in part'}: {count(dropped.windows, 'window')} from "
                f"{dropped.since:%Y-%m-%d %H:%M:%S} to {dropped.until:%Y-%m-%d %H:%M:%S} UTC "
                "deleted; what follows is about the rest"
            )
        )
    if (forgotten := manifest.forgotten) is not None:
        console.print(
            printable(
                f"forgotten: {count(forgotten.workloads, 'workload')}, "
                f"{count(forgotten.rows, 'row')}, last {forgotten.last:%Y-%m-%d %H:%M:%S} UTC"
            )
        )
    console.print()


def print_behaviours(console: Console, found: Sequence[Behaviour]) -> None:
    """Print what each workload did, dimension by dimension."""
    if not found:
        console.print("no workload was seen")
    for behaviour in found:
        print_behaviour(console, behaviour)
        console.print()


def print_behaviour(console: Console, behaviour: Behaviour) -> None:
    """Print one workload: how often it was seen, and the most frequent of each dimension."""
    from rich.table import Table
    from rich.text import Text

    instances = count(behaviour.instances, "instance")
    recordings = (
        f" in {count(behaviour.recordings, 'recording')}" if behaviour.recordings > 1 else ""
    )
    console.print(Text(title_of(behaviour.workload_key), "bold"))
    console.print(f"  {instances}{recordings}; phases {', '.join(behaviour.phases)}")
    grid = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    for dimension in READABLE:
        if seen := behaviour.seen.get(dimension, []):
            grid.add_row(dimension, f"{len(seen):,}", _named(seen))
    if grams := len(behaviour.seen.get("ngrams", [])):
        grid.add_row("ngrams", f"{grams:,}", "sequences of six system calls")
    console.print(grid)


def _named(seen: Sequence[Seen]) -> str:
    """Return the first of *seen* in a line; what the container runtime alone did is counted."""
    own = [one for one in seen if set(one.phases) != {"runtime"}]
    words = ", ".join(one.words for one in own[:NAMED])
    if len(own) > NAMED:
        words += f" and {len(own) - NAMED:,} more"
    if by_runtime := len(seen) - len(own):
        words += f"{'; ' if own else ''}{by_runtime:,} by the runtime alone"
    return words
