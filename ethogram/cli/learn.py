"""`ethogram learn`: recordings and summaries to one baseline for each workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.inputs import WORDS, kind_of, learnt_from
from ethogram.cli.models import models_beside, with_models, without_models
from ethogram.cli.next_steps import export_command
from ethogram.cli.options import Location, examples, force_option, until_settled_option
from ethogram.cli.places import expanded
from ethogram.cli.refusals import allow_option, as_allowed
from ethogram.cli.review_options import applied, review_of, review_options
from ethogram.cli.screen import count, next_command, output, say, shell
from ethogram.cli.work_options import work_options
from ethogram.contracts.file_names import MANIFEST_NAME
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from learner.difference import Difference

__all__ = ["command"]

_BUDGET = "1/week"


@click.command(
    "learn",
    short_help="Learn a baseline for each workload.",
    epilog=examples(
        "ethogram learn recording -o baselines",
        "ethogram learn recording -o baselines --allow thin",
        "ethogram learn recording -o baselines --until-settled 0.99",
        "ethogram learn s3://bucket/monday s3://bucket/tuesday -o baselines",
        "ethogram learn monday tuesday -o baselines --budget 2/day",
        "ethogram learn monday tuesday host-b.summary.parquet -o baselines --force",
        "ethogram learn monday tuesday -o baselines --min-replicas 2 --without syscalls:ptrace",
        "ethogram learn monday -o baselines --overlay reviewed.yaml",
        "ethogram learn baselines --without files:/etc/shadow -o baselines --force",
        "ethogram learn new-version --base baselines -o baselines --force",
    ),
)
@click.argument("inputs", metavar="REC|SUMMARY|BASELINE...", nargs=-1, required=True,
                type=Location())  # fmt: skip
@click.option(
    "-o",
    "--output",
    "place",
    required=True,
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="Directory for one file a workload, or a `.yaml` file where there is one.",
)
@click.option(
    "--base",
    metavar="BASELINE",
    type=click.Path(path_type=Path),
    help="Start from these baselines of an earlier version: what they allow stays allowed, marked"
    " `carried` where the recordings do not show it.",
)
@click.option("--no-model", is_flag=True, help="Leave out the anomaly model beside the allowlist.")
@click.option(
    "--budget",
    metavar="N/TIME",
    help=f"How many episodes of false alarms a workload's model may raise.  [default: {_BUDGET}]",
)
@until_settled_option(
    "Fail with exit code 1, baselines written, where less than this share of the windows to come "
    "shows nothing new, or anything was lost."
)
@allow_option
@review_options
@work_options
@force_option
def command(
    *,
    inputs: tuple[Path | RecordingUrl, ...],
    place: Path,
    base: Path | None,
    no_model: bool,
    budget: str | None,
    until_settled: float | None,
    allowances: tuple[tuple[str, ...], ...],
    jobs: int | None,
    dask: str | None,
    force: bool,
    **choices: Any,
) -> None:
    """Learn what is normal for each workload, and say how settled that is.

    Recordings also give an anomaly model, a `.skops` file beside the baseline, where they have
    enough steady windows; a summary holds no windows to fit one to. Its threshold keeps `--budget`
    on windows that were held out, or the baseline says how much more time that needs.

    Recordings that are thin, lossy or were made under a filter that refused calls teach nothing
    unless `--allow` says so.

    What is left out, and what an overlay decides, stands in the baseline with its evidence. A
    baseline that is named as input is not learnt again: the choices are applied to it as it is.
    """
    from ethogram.cli.baseline_screen import print_baseline, started_words
    from ethogram.cli.settled import require_settled
    from ethogram.contracts.baseline import dump_baseline
    from ethogram.contracts.durable import replace_file

    _refuse_budget(budget, no_model=no_model)
    review = review_of(choices)
    places = expanded(inputs)
    known = _baselines(places, said={"--allow": bool(allowances), "--budget": budget is not None})
    if known is None:
        baselines = as_allowed(learnt_from(places, jobs=jobs, dask=dask), allowances)
    else:
        baselines = [one for _, one in known]
    since = None if base is None else _since(base, baselines, is_learnt=known is None)
    if since is not None:
        baselines = [one for one, _ in since]
    files = _files(place, applied(baselines, review))
    models: dict[Path, bytes] = {}
    if known is not None:
        files = without_models(files) if no_model else files
        models = models_beside(known, files)
    elif not no_model:
        recordings = [path for path in places if kind_of(path) == "recording"]
        files, models = with_models(files, recordings, budget or _BUDGET, jobs=jobs, dask=dask)
        _warn_of_budget(budget, recordings)
    if not force:
        _refuse_replacing(models, files)
    if not _is_file(place):
        place.mkdir(parents=True, exist_ok=True)
    # Models come first: a baseline never names one that is not there.
    for file, content in models.items():
        replace_file(file, content, mode=0o644)
    for file, baseline in files.items():
        replace_file(file, dump_baseline(baseline).encode(), mode=0o644)
    console = output()
    for file, baseline in files.items():
        print_baseline(console, file, baseline, rules=False)
        console.print()
    for _, difference in since or ():
        say(started_words(difference))
    say(f"learnt {count(len(files), 'baseline')} from {count(len(places), 'input')}")
    if until_settled is not None:
        require_settled(files.values(), until_settled)
    next_command(
        export_command(place, files.values()),
        why="or `" + shell("ethogram", "show", place) + "`",
    )


def _refuse_budget(budget: str | None, *, no_model: bool) -> None:
    """Raise `UsageError` before hours of work, and also where no model comes of it."""
    from learner.budget import Budget

    Budget.parse(_BUDGET if budget is None else budget)
    if no_model and budget is not None:
        raise UsageError(
            "`--budget` is the model's, and `--no-model` leaves it out",
            hint="leave out one of them",
        )


def _warn_of_budget(budget: str | None, recordings: Sequence[Path | RecordingUrl]) -> None:
    if budget is not None and not recordings:
        say("warning: `--budget` does nothing: summaries hold no windows to fit a model to")


def _since(
    base: Path, baselines: Sequence[Baseline], *, is_learnt: bool
) -> list[tuple[Baseline, Difference]]:
    """Return *baselines* with what those in *base* allow, and how each differs from its own."""
    from ethogram.contracts.baseline import load_baselines
    from learner.rollout import started_from

    if not is_learnt:
        raise UsageError(
            "`--base` starts what is learnt of recordings, and the inputs are baselines",
            hint="name recordings or summaries of the new version",
        )
    old = load_baselines(base)
    digests = {str(file): sha256(file.read_bytes()).hexdigest() for file, _ in old}
    return started_from(old, [(base, one) for one in baselines], digests=digests)


def _baselines(
    inputs: Sequence[Path | RecordingUrl], *, said: Mapping[str, bool]
) -> list[tuple[Path, Baseline]] | None:
    """Return the baselines among *inputs* with their files, None where there are none of them.

    *said*: which options were given of those that mean nothing to baselines as they are.
    """
    from ethogram.contracts.baseline import load_baselines

    kinds = {path: kind_of(path) for path in inputs}
    others = [path for path, kind in kinds.items() if kind not in ("baseline", "baselines")]
    if len(others) == len(kinds):
        return None
    if others:
        raise UsageError(
            f"`{others[0]}` is {WORDS[kinds[others[0]]]}, and another input is a baseline",
            hint="learn of recordings and summaries, or decide about baselines",
        )
    if options := [option for option, is_said in said.items() if is_said]:
        raise UsageError(
            f"`{options[0]}` is for what is learnt of recordings, and the inputs are baselines",
            hint="leave it out, or name the recordings",
        )
    return [pair for path in inputs if isinstance(path, Path) for pair in load_baselines(path)]


def _is_file(place: Path) -> bool:
    return place.suffix in {".yaml", ".yml"} and not place.is_dir()


def _files(place: Path, baselines: Sequence[Baseline]) -> dict[Path, Baseline]:
    """Return where each of *baselines* belongs; `UsageError` where *place* cannot hold them."""
    from ethogram.contracts.baseline import baseline_filename

    if not baselines:
        raise UsageError(
            "there is no workload to learn from", hint="`ethogram show` says what was seen"
        )
    if not _is_file(place):
        if place.exists() and not place.is_dir():
            raise UsageError(f"`{place}` is not a directory", hint="name a directory")
        if (place / MANIFEST_NAME).exists():
            raise UsageError(
                f"`{place}` is a recording: baselines have no place in it",
                hint="name another directory, such as `-o baselines`",
            )
        return {place / baseline_filename(one.subject): one for one in baselines}
    if len(baselines) > 1:
        raise UsageError(
            f"{count(len(baselines), 'workload')} do not fit in one file",
            hint=f"name a directory: `-o {place.with_suffix('')}`",
        )
    if not place.absolute().parent.is_dir():
        raise UsageError(f"there is no directory `{place.absolute().parent}`", hint="make it first")
    return {place: baselines[0]}


def _refuse_replacing(models: Mapping[Path, bytes], files: Mapping[Path, Baseline]) -> None:
    """Raise `UsageError` where a file that differs is in the way, before anything is written."""
    from ethogram.contracts.baseline import dump_baseline

    existing = [file for file in files if file.exists()]
    contents = {file: content for file, content in models.items() if file.exists()}
    contents |= {file: dump_baseline(files[file]).encode() for file in existing}
    different = [file for file, content in contents.items() if file.read_bytes() != content]
    if different:
        others = len(different) - 1
        what = f" and {others} more exist and differ" if others else " exists and differs"
        raise UsageError(
            f"`{different[0]}`{what}",
            hint="name another place, or pass `--force` to replace it",
        )
