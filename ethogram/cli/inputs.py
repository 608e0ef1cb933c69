"""Tells recordings, summaries, baselines and the rest apart, and reads what a command got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ethogram.cli.screen import shell
from ethogram.contracts.escape import escape
from ethogram.contracts.foreign import HEAD_CHARACTERS, recognise
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import EthogramError, RecordingError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["WORDS", "Kind", "kind_of", "summarized", "use_of"]

Kind = Literal["recording", "summary", "baseline", "baselines", "map", "policies"]
# What people call each of them.
WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        "recording": "a recording",
        "summary": "a summary",
        "baseline": "a baseline",
        "baselines": "a directory of baselines",
        "map": "a map of environments",
        "policies": "a directory of policies",
    }
)


def kind_of(path: Path | RecordingUrl) -> Kind:
    """Return what *path* is, by its content; `EthogramError` where it is nothing that we wrote."""
    if isinstance(path, RecordingUrl):
        return "recording"  # nothing else is read from a URL, and its reader says what is missing
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
        if (path / "index.json").exists():
            return "policies"
        raise RecordingError(
            f"`{path}` is neither a recording nor a directory of baselines",
            hint="a recording has a `manifest.json`, a baseline is called `*.baseline.yaml`",
        )
    if not path.is_file():
        raise UsageError(
            f"`{escape(str(path))}` is not a file",
            hint="write it to a file first: it is read more than once",
        )
    with path.open("rb") as file:
        head = file.read(HEAD_CHARACTERS)
    if head.startswith(b"PAR1"):
        return "summary"
    what = recognise(head.decode("utf-8", "replace"))
    if what == WORDS["map"]:
        return "map"
    # A baseline that is broken is refused by its reader, which knows the line and the field.
    if what == WORDS["baseline"] or (what is None and path.suffix in {".yaml", ".yml"}):
        return "baseline"
    if what is not None:
        raise UsageError(
            f"`{path}` is {what}, not a recording, summary or baseline",
            hint="a recording is a directory: name that"
            if path.name == "manifest.json"
            else "`ethogram record`, `summarize` and `learn` write those",
        )
    raise EthogramError(
        f"`{path}` is no recording, summary or baseline",
        hint="`ethogram record`, `summarize` and `learn` write those",
    )


def use_of(kind: Kind, path: Path | RecordingUrl) -> str:
    """Return what to do with *path* of this *kind* where a command cannot use it."""
    match kind:
        case "map":
            return f"`ethogram export BASELINES --map {shell(path)} ...` reads it"
        case "policies":
            return "`index.json` in it says what each policy is for"
    return f"`{shell('ethogram', 'show', path)}` prints it"


def summarized(paths: Sequence[Path | RecordingUrl]) -> pa.Table:
    """Return one summary of *paths*, recordings and summaries alike."""
    from ethogram.contracts.recording import Recording
    from ethogram.contracts.summary import read_summary
    from learner.summary import merge, summarize

    tables = []
    for path in paths:
        match kind_of(path):
            case "recording":
                tables.append(summarize(Recording.open(path)))
            case "summary" if isinstance(path, Path):
                tables.append(read_summary(path))
            case kind:
                raise UsageError(
                    f"`{path}` is {WORDS[kind]}, not a recording or summary",
                    hint=use_of(kind, path),
                )
    return merge(tables)
