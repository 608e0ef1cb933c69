"""Tells recordings, summaries and baselines apart, and reads what a command was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ethogram.contracts.escape import escape
from ethogram.errors import EthogramError, RecordingError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Kind", "kind_of", "summarized"]

Kind = Literal["recording", "summary", "baseline", "baselines"]


def kind_of(path: Path) -> Kind:
    """Return what *path* is, by its content; `EthogramError` where it is nothing that we wrote."""
    try:
        return _kind_of(path)
    except PermissionError as error:
        raise RecordingError(
            f"`{escape(str(path))}` cannot be read: permission denied",
            hint="a recording is its owner's alone: run this as its owner, or `chown -R` it",
        ) from error


def _kind_of(path: Path) -> Kind:
    if not path.exists():
        raise UsageError(
            f"there is no `{escape(str(path))}`",
            hint="name a recording, a summary, or baselines: a path is relative to where you are",
        )
    if path.is_dir():
        if (path / "manifest.json").exists():
            return "recording"
        if any(path.glob("*.baseline.yaml")):
            return "baselines"
        raise RecordingError(
            f"`{path}` is neither a recording nor a directory of baselines",
            hint="a recording has a `manifest.json`, a baseline is called `*.baseline.yaml`",
        )
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return "summary"
    if path.suffix in {".yaml", ".yml"}:
        return "baseline"
    raise EthogramError(
        f"`{path}` is no recording, summary or baseline",
        hint="`ethogram record`, `summarize` and `learn` write those",
    )


def summarized(paths: Sequence[Path]) -> pa.Table:
    """Return one summary of *paths*, recordings and summaries alike."""
    from ethogram.contracts.recording import Recording
    from ethogram.contracts.summary import read_summary
    from learner.summary import merge, summarize

    tables = []
    for path in paths:
        match kind_of(path):
            case "recording":
                tables.append(summarize(Recording.open(path)))
            case "summary":
                tables.append(read_summary(path))
            case kind:
                raise UsageError(
                    f"`{path}` is a {kind.removesuffix('s')}, not a recording or summary",
                    hint=f"`ethogram show {path}` prints it",
                )
    return merge(tables)
