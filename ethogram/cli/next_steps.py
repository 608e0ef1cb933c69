"""The command that comes next: one that works when it is pasted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.cli.screen import shell
from ethogram.errors import RecordingError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from ethogram.contracts.manifest import Manifest
    from ethogram.contracts.remote import RecordingUrl

__all__ = ["export_command", "learn_command"]


def learn_command(recording: Path | RecordingUrl, manifest: Manifest | None = None) -> str:
    """Return the command that learns *recording*.

    With `--allow thin` where it lasted for less than what `learn` asks for: alone it would be
    refused. Without, where that is not known.
    """
    from ethogram.contracts.quality import STEADY_SECONDS  # with pydantic: not for `--help`

    words: list[str | Path | RecordingUrl] = ["ethogram", "learn", recording, "-o", "baselines"]
    seconds = _seconds(recording, manifest)
    if seconds is not None and seconds < STEADY_SECONDS:
        words += ["--allow", "thin"]
    return shell(*words)


def export_command(place: Path, baselines: Iterable[Baseline]) -> str:
    """Return the command that exports *baselines*, which stand at *place*.

    With `--allow` for what of them `export` would refuse.
    """
    from ethogram.contracts.baseline_values import ALLOWANCES
    from ethogram.contracts.quality import needed_allowances

    needed = {kind for one in baselines for kind in needed_allowances(one.observation)}
    words: list[str | Path] = ["ethogram", "export", place, "--to", "seccomp", "-o", "policies"]
    if needed:
        words += ["--allow", ",".join(kind for kind in ALLOWANCES if kind in needed)]
    return shell(*words)


def _seconds(recording: Path | RecordingUrl, manifest: Manifest | None) -> float | None:
    if manifest is None:
        from ethogram.contracts.manifest import read_manifest

        if not isinstance(recording, Path):
            return None
        try:
            manifest = read_manifest(recording)
        except RecordingError:
            return None
    return (manifest.ended - manifest.started).total_seconds() if manifest.ended else None
