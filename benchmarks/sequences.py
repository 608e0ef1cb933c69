"""How well traces of system calls are told from attacks, by what ethogram records of them.

    python benchmarks/sequences.py FILE.parquet [--per-group]

FILE has the columns `trace` (string), `split` (`train`, `validation`, `attack`), `group` (string,
may be empty) and `calls` (list of int16). Detectors learn from `train` alone, and each trace is
scored alone: as one window, by its set of sequences of six calls and its counts of calls. JSON goes
to standard output, a table to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:  # started as a file: its own directory is where modules are looked for
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.report import Column, Part, Table, as_json, as_text
from benchmarks.traces import SPLITS, Traces, made, read
from ethogram.errors import EthogramError, UsageError
from learner.detectors.registry import detectors
from learner.ensemble import (
    DEFAULT_COUNTS,
    DEFAULT_GRAM_COMBINE,
    DEFAULT_GRAMS,
    Windows,
    combined,
    fit_ensemble,
)
from learner.grams import GramWindows

ALARMS = (0.01, 0.05, 0.15, 0.20)
FOLDS = 5
ENSEMBLE = "default ensemble"


@dataclass(slots=True)
class Scored:
    """Strangeness of traces by detector, and the seconds that it took."""

    normal: dict[str, np.ndarray]
    attack: dict[str, np.ndarray]
    training_s: dict[str, float]
    scoring_s: dict[str, float]
    attack_groups: list[str]


def main(words: Sequence[str] | None = None) -> None:
    """Read the traces, score them, and print what was found."""
    options = _options(words)
    try:
        if options.generate:
            made(options.file)
            print(f"wrote `{options.file}`", file=sys.stderr)
            return
        traces = read(options.file)
        scored = list(_models(traces, per_group=options.per_group))
    except EthogramError as error:
        hint = f"\n\nhint: {error.hint}" if error.hint else ""
        sys.exit(f"error: {error.message}{hint}")
    part = _part(traces, scored, options)
    print(as_text(part), file=sys.stderr)
    facts = {"command": " ".join(["python", *sys.argv]), "traces": str(len(traces.names))}
    print(json.dumps(as_json([part], facts), indent=2))


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/sequences.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE.parquet")
    parser.add_argument("--per-group", action="store_true", help="train one model for each group")
    parser.add_argument("--generate", action="store_true", help="write a small made FILE instead")
    return parser.parse_args(words)


# --- scoring ---------------------------------------------------------------------------------


def _models(traces: Traces, *, per_group: bool) -> Iterator[Scored]:
    """Yield the scores of each model: one, or one for each group that has normal traces."""
    if not per_group:
        yield scored_of(traces, None)
        return
    groups = sorted({traces.groups[number] for number in range(len(traces.names))})
    for group in groups:
        if not traces.where("train", group):
            raise UsageError(
                f"the group `{group}` has no trace of the split `train`",
                hint="a model for each group needs them in each; leave out `--per-group`",
            )
    for group in groups:
        yield scored_of(traces, group)


def scored_of(traces: Traces, group: str | None) -> Scored:
    train = traces.where("train", group)
    if len(train) < 2 * FOLDS:
        where = f" of the group `{group}`" if group is not None else ""
        raise UsageError(
            f"{len(train)} traces of the split `train`{where} are too few",
            hint=f"{2 * FOLDS} are needed",
        )
    known = np.unique(np.concatenate([np.unique(calls) for calls in traces.calls_of(train)]))
    if not len(known):
        raise UsageError(f"no trace of the split `train` of the group `{group}` makes a call")
    fitted_on = _windows(traces.calls_of(train), known)
    # By name, so that the order of the file changes nothing.
    names = np.array([zlib.crc32(traces.names[number].encode()) for number in train])
    folds = np.argsort(np.argsort(names, kind="stable"), kind="stable") % FOLDS
    tests = [traces.where(split, group) for split in ("validation", "attack")]
    tests = [traces.where(split, group) for split in ("validation", "attack")]
    normal, attack = (_windows(traces.calls_of(numbers), known) for numbers in tests)
    result = Scored({}, {}, {}, {}, [traces.groups[number] for number in tests[1]])
    for name in detectors():
        began = time.process_time()
        ensemble = fit_ensemble(fitted_on, folds, members=[name])
        result.training_s[name] = time.process_time() - began
        began = time.process_time()
        for scores, windows in ((result.normal, normal), (result.attack, attack)):
            scores[name] = ensemble.members(windows)[name]
        result.scoring_s[name] = time.process_time() - began
    members = (*DEFAULT_COUNTS, *DEFAULT_GRAMS)
    for scores in (result.normal, result.attack):
        scores[ENSEMBLE] = -combined([scores[name] for name in members], DEFAULT_GRAM_COMBINE)
    for seconds in (result.training_s, result.scoring_s):
        seconds[ENSEMBLE] = sum(seconds[name] for name in members)
    return result


def _windows(calls: Sequence[np.ndarray], known: np.ndarray) -> Windows:
    """Return each trace as a window: how often it makes each of *known* calls, and others."""
    counts = np.zeros((len(calls), len(known) + 1))
    for row, trace in enumerate(calls):
        place = np.searchsorted(known, trace)
        is_known = known[np.minimum(place, len(known) - 1)] == trace
        place = np.where(is_known, place, len(known))
        counts[row] = np.bincount(place, minlength=len(known) + 1)
    return Windows(counts, GramWindows.of_calls(calls))


# --- figures ---------------------------------------------------------------------------------


def area(normal: np.ndarray, attack: np.ndarray) -> float | None:
    """Return how probably an attack is stranger than a normal trace; ties count half."""
    if not len(normal) or not len(attack):
        return None
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, attack, "left") + np.searchsorted(ordered, attack, "right")
    return float(below.mean() / 2 / len(normal))


def detected(normal: np.ndarray, attack: np.ndarray, alarms: float) -> float | None:
    """Return the share of attacks above the lowest threshold with at most *alarms* false ones."""
    if not len(normal) or not len(attack):
        return None
    allowed = int(alarms * len(normal) + 1e-9)
    limit = np.sort(normal)[::-1][min(allowed, len(normal) - 1)]
    return float((attack > limit).mean())


def _part(traces: Traces, scored: Sequence[Scored], options: argparse.Namespace) -> Part:
    count = {split: len(traces.where(split)) for split in SPLITS}
    numbers = ", ".join(f"{number:,} {split}" for split, number in count.items())
    models = f"{len(scored)} models, one a group" if options.per_group else "one model"
    part = Part("sequences", "Traces of system calls against attacks", f"{numbers}; {models}")
    names = list(scored[0].normal)
    names.sort(key=lambda name: (name == ENSEMBLE, name))
    whole = [_row(name, scored, None) for name in names]
    columns = (
        Column("detector"),
        Column("AUC", "share"),
        *(Column(f"detected at {alarms:.0%}", "share") for alarms in ALARMS),
        Column("training", "seconds"),
        Column("scoring", "seconds"),
    )
    part.tables.append(Table(columns, tuple(whole), "all attacks"))
    for group in sorted({each for one in scored for each in one.attack_groups}):
        rows = tuple(_row(name, scored, group)[: 2 + len(ALARMS)] for name in names)
        title = f"attacks of group `{group}`" if group else "attacks of no group"
        part.tables.append(Table(columns[: 2 + len(ALARMS)], rows, title))
    part.notes.append(
        f"training includes scoring each of {FOLDS} folds held out; counting calls and sequences "
        "is part of neither; processor time of one process"
    )
    return part


def _row(name: str, scored: Sequence[Scored], group: str | None) -> tuple[Any, ...]:
    normal, attack = [], []
    for one in scored:
        mine = np.array([group is None or each == group for each in one.attack_groups], np.bool_)
        # A group that has a model of its own is compared with its own normal traces.
        if group is None or len(scored) == 1 or mine.any():
            normal.append(one.normal[name])
        attack.append(one.attack[name][mine])
    strange, strange_attack = np.concatenate(normal), np.concatenate(attack)
    return (
        name,
        area(strange, strange_attack),
        *(detected(strange, strange_attack, alarms) for alarms in ALARMS),
        sum(one.training_s[name] for one in scored),
        sum(one.scoring_s[name] for one in scored),
    )


if __name__ == "__main__":
    main()
