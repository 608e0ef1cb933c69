"""`watch --learn` and `--unknown`: what is recorded beside a watch, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import Location
from ethogram.cli.screen import count, shell
from ethogram.cli.storage_options import new_run_in, rotation_of, rotation_options
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from profiler.options import Keeping, Storage

__all__ = ["UNKNOWN", "RecordingScreen", "ending_of_recording", "learning_options", "storage_of"]

UNKNOWN = ("ignore", "record", "alert")
_ROTATION = ("rotate_size", "rotate_every", "retain")


def learning_options(command: Any) -> Any:
    """Add the options that `storage_of` reads."""
    options = (
        click.option(
            "--unknown",
            type=click.Choice(UNKNOWN),
            default="ignore",
            show_default=True,
            help="What to do about workloads that no baseline is for: `ignore` them but for "
            "indicators, `record` them, with `--learn` or `--unknown-to`, or `alert` once for each "
            "that runs in a container.",
        ),
        click.option(
            "-o",
            "--learn",
            metavar="DIR|URL",
            type=Location(),
            help="Record what is watched, too: each run adds a recording to this directory, "
            "or below this URL, which `ethogram learn DIR` takes together.",
        ),
        click.option(
            "--unknown-to",
            metavar="DIR|URL",
            type=Location(),
            help="With `--unknown record`: the same, of workloads alone that no baseline is for.",
        ),
        rotation_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


def storage_of(values: dict[str, Any]) -> Storage | None:
    """Return where the watch is recorded, as the option *values* have it; None for nowhere."""
    place = values["learn"] or values["unknown_to"]
    _require_sense(values, has_place=place is not None)
    if place is None:
        return None
    from profiler.options import Storage

    return Storage(output=new_run_in(place), rotation=rotation_of(values))


def _require_sense(values: dict[str, Any], *, has_place: bool) -> None:
    if values["unknown_to"] is not None and values["learn"] is not None:
        raise UsageError(
            "`--learn` records every workload: `--unknown-to` has nothing to add",
            hint="leave one of them out",
        )
    if values["unknown_to"] is not None and values["unknown"] != "record":
        raise UsageError(
            "`--unknown-to` is for `--unknown record`", hint="pass `--unknown record`, too"
        )
    if values["unknown"] == "record" and not has_place:
        raise UsageError(
            "`--unknown record` does not say where to",
            hint="`--unknown-to DIR` records those workloads alone, `--learn DIR` all",
        )
    if has_place:
        return
    source = click.get_current_context().get_parameter_source
    for name in _ROTATION:
        if source(name) is not click.core.ParameterSource.DEFAULT:
            raise UsageError(
                f"`--{name.replace('_', '-')}` is for a recording, and nothing is recorded",
                hint="`--learn DIR` records what is watched",
            )


class RecordingScreen:
    """Says once that a recording loses rows, that it takes them again, or that it failed."""

    def __init__(self) -> None:
        self._state = "recording"

    def take(self, recording: Keeping | None) -> Iterator[str]:
        """Yield what is to be said of *recording* since the last window."""
        if recording is None or recording.state == self._state:
            return
        before, self._state = self._state, recording.state
        if recording.state == "full":
            yield (
                f"warning: `{recording.place}` takes no rows, for want of room or time: they are "
                "counted as lost; the watch goes on"
            )
        elif recording.state == "failed":
            yield (
                f"warning: the recording failed: {recording.trouble}; the watch goes on without it"
            )
        elif before == "full" and recording.state == "recording":
            yield f"`{recording.place}` takes rows again, {count(recording.lost, 'row')} later"


def ending_of_recording(recording: Keeping | None, *, teaches: bool) -> Iterator[str]:
    """Yield what came of *recording*, and what to do with it where it *teaches* something new.

    Where all that ran has a baseline, what strayed is first to be reviewed.
    """
    if recording is None:
        return
    lost = f"{count(recording.lost, 'row')} lost" if recording.lost else "nothing lost"
    yield f"recorded `{recording.place}`: {count(recording.windows, 'window')}; {lost}"
    if recording.trouble is not None:
        yield f"warning: the recording did not end well: {recording.trouble}"
    elif recording.windows and teaches:
        yield f"next: {shell('ethogram', 'learn', recording.place, '-o', 'baselines')}"
