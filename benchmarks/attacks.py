"""Recordings of system-call counts with an attack in each: read, cut into windows, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ethogram.errors import UsageError
from learner.budget import episodes

__all__ = [
    "SAMPLES_A_MINUTE",
    "Application",
    "Outcome",
    "Recording",
    "Summary",
    "difference",
    "outcome",
    "read",
    "summed",
]

SAMPLES_A_MINUTE = 600  # of 100 ms
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Recording:
    """Counts per sample; the attack is in the samples *start* to *success*, both included."""

    counts: np.ndarray
    start: int
    success: int


@dataclass(frozen=True, slots=True)
class Application:
    """Normal recordings to train on, and recordings that hold an attack."""

    name: str
    train: tuple[np.ndarray, ...]
    test: tuple[Recording, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What flags of one recording make: before the attack, and in it."""

    application: str
    is_detected: bool
    flagged: int
    windows: int
    episodes: int
    minutes: float
    chance: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Outcomes over all recordings: shares, and episodes a minute."""

    detected: float
    false_alarms: float
    episodes: float
    chance: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Summary:
        return cls(
            float(np.mean([each.is_detected for each in outcomes])),
            sum(each.flagged for each in outcomes) / sum(each.windows for each in outcomes),
            sum(each.episodes for each in outcomes) / sum(each.minutes for each in outcomes),
            float(np.mean([each.chance for each in outcomes])),
        )


def read(directory: Path) -> list[Application]:
    """Return the applications of *directory*: `windows.parquet` and `attack_times.csv`."""
    try:
        windows = pd.read_parquet(directory / "windows.parquet")
        times = pd.read_csv(directory / "attack_times.csv")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"`{directory}` has no recordings of attacks",
            hint="it holds `windows.parquet` and `attack_times.csv`",
        ) from error
    calls = [name for name in windows.columns if name.startswith("sc_")]
    attack = times.set_index(["cve", "container"])
    found = []
    for cve, rows in windows.groupby("cve", sort=True):
        parts: dict[str, dict[int, np.ndarray]] = {"train": {}, "test": {}}
        for (role, container), part in rows.groupby(["role", "container"], sort=True):
            counts = part.sort_values("sample")[calls].to_numpy(np.float64)
            parts[role][int(container)] = counts
        test = tuple(
            Recording(
                counts, *map(int, attack.loc[(cve, each), ["attack_start", "attack_success"]])
            )
            for each, counts in parts["test"].items()
        )
        found.append(Application(str(cve), tuple(parts["train"].values()), test))
    return found


def summed(counts: np.ndarray, size: int) -> np.ndarray:
    """Return *counts* over windows of *size* samples; what does not fill one is left out."""
    whole = len(counts) // size
    sums: np.ndarray = counts[: whole * size].reshape(whole, size, -1).sum(axis=1)
    return sums


def outcome(application: str, recording: Recording, flags: np.ndarray, size: int) -> Outcome:
    """Return what *flags* of windows of *size* samples make of *recording*.

    The windows that the attack is in are those that share a sample with it; those before end
    before it. Chance is the share of all places before the attack, end joined to beginning, where
    as long an attack would have met a flag.
    """
    before = flags[: recording.start // size]
    inside = flags[recording.start // size : recording.success // size + 1]
    length = recording.success // size - recording.start // size + 1
    return Outcome(
        application,
        bool(inside.any()),
        int(before.sum()),
        len(before),
        episodes(before),
        len(before) * size / SAMPLES_A_MINUTE,
        _chance(before, length),
    )


def _chance(before: np.ndarray, length: int) -> float:
    if not before.any():
        return 0.0
    around = np.concatenate([before] * (1 + -(-length // len(before))))
    sums = np.concatenate([[0], np.cumsum(around)])
    return float((sums[length : length + len(before)] > sums[: len(before)]).mean())


def difference(
    ours: Sequence[Outcome], theirs: Sequence[Outcome], *, seed: int = 0
) -> tuple[float, float, float]:
    """Return how much more of the recordings *ours* detects, and the 95 % interval.

    Paired: applications are drawn with all of their recordings, because those are alike.
    """
    names = sorted({each.application for each in ours})
    gain: dict[str, list[int]] = {name: [] for name in names}
    for our, their in zip(ours, theirs, strict=True):
        gain[our.application].append(int(our.is_detected) - int(their.is_detected))
    sums = np.array([sum(gain[name]) for name in names])
    counts = np.array([len(gain[name]) for name in names])
    drawn = np.random.default_rng(seed).integers(len(names), size=(_RESAMPLES, len(names)))
    resampled = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(sums.sum() / counts.sum()), float(low), float(high)
