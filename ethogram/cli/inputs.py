"""Tells recordings, summaries, baselines and the rest apart, and reads what a command got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ethogram.cli.places import owned
from ethogram.cli.screen import shell
from ethogram.cli.work_options import progress, workers
from ethogram.contracts.escape import escape
from ethogram.contracts.file_names import SUMMARY_SUFFIX
from ethogram.contracts.foreign import HEAD_CHARACTERS, recognise
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import EthogramError, RecordingError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pyarrow as pa

    from ethogram.contracts.baseline import Baseline
    from learner.summary import Source

__all__ = [
    "WORDS",
    "Kind",
    "kind_of",
    "learnt_from",
    "rows_in",
    "sources_of",
    "summarized",
    "use_of",
]

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
        # Its reader says what is missing.
        return "summary" if str(path).endswith(SUMMARY_SUFFIX) else "recording"
    with owned(path):
        return _kind_of(path)


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
            hint=_hint_of(path, what),
        )
    raise EthogramError(
        f"`{path}` is no recording, summary or baseline",
        hint="`ethogram record`, `summarize` and `learn` write those",
    )


def _hint_of(path: Path, what: str) -> str:
    if path.name == "manifest.json":
        return "a recording is a directory: name that"
    if what == "the provenance of a policy":
        return "`ethogram explain POLICY RULE` reads it: name the policy that it stands beside"
    return "`ethogram record`, `summarize` and `learn` write those"


def use_of(kind: Kind, path: Path | RecordingUrl) -> str:
    """Return what to do with *path* of this *kind* where a command cannot use it."""
    match kind:
        case "map":
            return f"`ethogram export BASELINES --map {shell(path)} ...` reads it"
        case "policies":
            return "`index.json` in it says what each policy is for"
    return f"`{shell('ethogram', 'show', path)}` prints it"


def sources_of(paths: Sequence[Path | RecordingUrl]) -> list[Source]:
    """Return *paths*, recordings and summaries alike, as what summaries are made of."""
    from ethogram.contracts.recording import Recording

    found: list[Source] = []
    for path in paths:
        match kind_of(path):
            case "recording":
                found.append(Recording.open(path))
            case "summary":
                found.append(path)
            case kind:
                raise UsageError(
                    f"`{path}` is {WORDS[kind]}, not a recording or summary",
                    hint=use_of(kind, path),
                )
    return found


def rows_in(sources: Sequence[Source]) -> int:
    """Return how many rows the recordings among *sources* have."""
    return sum(0 if isinstance(one, Path | RecordingUrl) else one.rows for one in sources)


def summarized(sources: Sequence[Source], executor: Executor) -> pa.Table:
    """Return the union of *sources* as rows with codes, by *executor*; a terminal sees how far."""
    from learner.summary import summarize_all

    return summarize_all(sources, executor, told=progress("summarizing"))


def learnt_from(
    places: Sequence[Path | RecordingUrl], *, jobs: int | None = None, dask: str | None = None
) -> list[Baseline]:
    """Return the baselines of *places*, by the workers that were asked for."""
    from learner.learn import learn_all

    sources = sources_of(places)
    with workers(jobs, dask, rows=rows_in(sources)) as executor:
        return learn_all(summarized(sources, executor), executor, told=progress("learning"))
