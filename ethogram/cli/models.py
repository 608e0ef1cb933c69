"""The anomaly models beside baselines: fitted by the workers, or taken along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.cli.work_options import progress, workers
from ethogram.contracts.file_names import MODEL_NAME
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import BaselineError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline

__all__ = ["models_beside", "with_models", "without_models"]


def with_models(
    files: Mapping[Path, Baseline],
    recordings: Sequence[Path | RecordingUrl],
    budget: str,
    *,
    jobs: int | None = None,
    dask: str | None = None,
) -> tuple[dict[Path, Baseline], dict[Path, bytes]]:
    """Return the baselines with references to their models, and the models' files."""
    from ethogram.contracts.recording import Recording
    from learner.anomaly import modelled_all
    from learner.identity import identity_of_subject
    from learner.windows import steady_windows

    windows = steady_windows(Recording.open(path) for path in recordings)
    owners, work = [], []
    for file, baseline in files.items():
        mine = windows.get(identity_of_subject(baseline.subject))
        if mine is not None:
            owners.append(file)
            work.append((mine, _name_beside(file, baseline), budget))
    rows = sum(mine.rows for mine, _, _ in work) if len(work) > 1 else 0
    baselines, models = dict(files), {}
    with workers(jobs if len(work) > 1 else 1, dask if work else None, rows=rows) as executor:
        found = modelled_all(work, executor, told=progress("fitting models"))
    for file, made in zip(owners, found, strict=True):
        if made is not None:
            reference, data = made
            baselines[file] = files[file].model_copy(update={"model": reference})
            models[file.with_name(reference.file)] = data
    return baselines, models


def models_beside(
    known: Sequence[tuple[Path, Baseline]], files: Mapping[Path, Baseline]
) -> dict[Path, bytes]:
    """Return the models of baselines that are decided about, for where their files go."""
    sources = {one.model.sha256: file.with_name(one.model.file) for file, one in known if one.model}
    models = {}
    for file, baseline in files.items():
        if baseline.model is None:
            continue
        source = sources[baseline.model.sha256]
        if not source.is_file():
            raise BaselineError(
                f"`{source}` is missing: a baseline names it as its model",
                hint="put it back, or learn the recordings again",
            )
        data = source.read_bytes()
        if sha256(data).hexdigest() != baseline.model.sha256:
            raise BaselineError(
                f"`{source}` is not the model that the baseline names: its sha256 differs",
                hint="restore the file, leave it out by `--no-model`, or learn again",
            )
        models[file.with_name(baseline.model.file)] = data
    return models


def _name_beside(file: Path, baseline: Baseline) -> str:
    """Return what the model of *baseline* is called beside *file*.

    As the file is, so that several versions of a workload fit in one directory; as the workload is
    where a reference cannot hold what somebody typed.
    """
    from ethogram.contracts.baseline import baseline_filename

    name = f"{file.stem}.skops"
    if MODEL_NAME.fullmatch(name):
        return name
    return f"{baseline_filename(baseline.subject).removesuffix('.yaml')}.skops"


def without_models(files: Mapping[Path, Baseline]) -> dict[Path, Baseline]:
    """Return the baselines of *files* without references to models."""
    return {file: one.model_copy(update={"model": None}) for file, one in files.items()}
