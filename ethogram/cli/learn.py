"""`ethogram learn`: recordings and summaries to one baseline for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.inputs import kind_of, summarized
from ethogram.cli.options import Location, examples, force_option
from ethogram.cli.refusals import allow_option, as_allowed
from ethogram.cli.screen import count, next_command, output, say, shell
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline

__all__ = ["command"]


@click.command(
    "learn",
    short_help="Learn a baseline for each workload.",
    epilog=examples(
        "ethogram learn recording -o baselines",
        "ethogram learn recording -o baselines --allow thin",
        "ethogram learn s3://bucket/monday s3://bucket/tuesday -o baselines",
        "ethogram learn monday tuesday host-b.summary.parquet -o baselines --force",
    ),
)
@click.argument("inputs", metavar="REC|SUMMARY...", nargs=-1, required=True,
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
@click.option("--no-model", is_flag=True, help="Leave out the anomaly model beside the allowlist.")
@allow_option
@force_option
def command(
    *,
    inputs: tuple[Path | RecordingUrl, ...],
    place: Path,
    no_model: bool,
    allowances: tuple[tuple[str, ...], ...],
    force: bool,
) -> None:
    """Learn what is normal for each workload, and say how settled that is.

    Recordings also give an anomaly model, a `.skops` file beside the baseline, where they have
    enough steady windows; a summary holds no windows to fit one to.

    Recordings that are thin, lossy or were made under a filter that refused calls teach nothing
    unless `--allow` says so.
    """
    from ethogram.cli.baseline_screen import print_baseline
    from ethogram.contracts.baseline import dump_baseline
    from ethogram.contracts.durable import replace_file
    from learner.learn import learn

    files = _files(place, as_allowed(learn(summarized(inputs)), allowances))
    models: dict[Path, bytes] = {}
    if not no_model:
        files, models = _with_models(
            files, [path for path in inputs if kind_of(path) == "recording"]
        )
    contents = models | {file: dump_baseline(one).encode() for file, one in files.items()}
    _refuse_replacing(contents, force=force)
    if not _is_file(place):
        place.mkdir(parents=True, exist_ok=True)
    # Models come first: a baseline never names one that is not there.
    for file, content in contents.items():
        replace_file(file, content, mode=0o644)
    console = output()
    for file, baseline in files.items():
        print_baseline(console, file, baseline, rules=False)
        console.print()
    say(f"learnt {count(len(files), 'baseline')} from {count(len(inputs), 'input')}")
    next_command(
        shell("ethogram", "export", place, "--to", "seccomp", "-o", "policies"),
        why="or `" + shell("ethogram", "show", place) + "`",
    )


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
        return {place / baseline_filename(one.subject): one for one in baselines}
    if len(baselines) > 1:
        raise UsageError(
            f"{count(len(baselines), 'workload')} do not fit in one file",
            hint=f"name a directory: `-o {place.with_suffix('')}`",
        )
    if not place.absolute().parent.is_dir():
        raise UsageError(f"there is no directory `{place.absolute().parent}`", hint="make it first")
    return {place: baselines[0]}


def _with_models(
    files: dict[Path, Baseline], recordings: Sequence[Path | RecordingUrl]
) -> tuple[dict[Path, Baseline], dict[Path, bytes]]:
    """Return the baselines with references to their models, and the models' files."""
    from ethogram.contracts.baseline import baseline_filename
    from ethogram.contracts.recording import Recording
    from learner.anomaly import attach_model
    from learner.features import feature_frames
    from learner.identity import identity_of_subject

    frames = feature_frames(Recording.open(path) for path in recordings)
    models = {}
    for file, baseline in files.items():
        frame = frames.get(identity_of_subject(baseline.subject))
        if frame is None:
            continue
        # Named after the workload: a reference holds no name that somebody typed.
        name = baseline_filename(baseline.subject).removesuffix(".yaml")
        beside = file.with_name(f"{name}.skops")
        files[file], data = attach_model(baseline, frame, file=beside.name)
        if data is not None:
            models[beside] = data
    return files, models


def _refuse_replacing(contents: dict[Path, bytes], *, force: bool) -> None:
    """Raise `UsageError` where a file that differs is in the way, before anything is written."""
    different = [
        file for file, content in contents.items() if file.exists() and file.read_bytes() != content
    ]
    if different and not force:
        others = len(different) - 1
        what = f" and {others} more exist and differ" if others else " exists and differs"
        raise UsageError(
            f"`{different[0]}`{what}",
            hint="name another place, or pass `--force` to replace it",
        )
