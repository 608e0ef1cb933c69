"""How well attacks on containers are told from their normal work, by counts of system calls alone.

    python benchmarks/shil.py DIRECTORY [--sizes 1,10,50] [--workers N] [--write FILE]

DIRECTORY holds `windows.parquet` (`cve`, `role`, `container`, `sample`, one column `sc_<name>` a
call: counts of 100 ms) and `attack_times.csv`, as SHIL's recordings reshaped. Each application is
learnt from its own training files. Thresholds come from scores of training files that the scoring
model did not see, and never from labels or test recordings; windows are scored one by one. JSON
goes to standard output, tables to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if not __package__:  # started as a file: its own directory is where modules are looked for
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from benchmarks.attacks import (
    SAMPLES_A_MINUTE,
    Application,
    Outcome,
    Summary,
    difference,
    outcome,
    read,
    summed,
)
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target, as_json, as_markdown, as_text, replaced
from ethogram.errors import EthogramError
from learner.budget import Budget, Threshold, share_threshold, threshold
from learner.calibration import Calibration
from learner.ensemble import DEFAULT_ALONE, DEFAULT_COMBINE, Windows, combined, fit_detectors

ENSEMBLE = "default ensemble"
BUDGET = Budget.parse("0.15/min")
SHARE = 0.0095
SINGLE = (
    "unseen-call",
    "unseen-pair",
    "count-envelope",
    "residual",
    "residual-peak",
    "neighbours",
    "isolation-forest",
)
# Plain methods: the detector, and the share of windows that its threshold leaves; 0: any novelty.
PLAIN = (
    ("any call never seen", "unseen-call", 0.0),
    ("highest count per call, q.999", "count-envelope", 0.001),
    ("highest count per call, q.99", "count-envelope", 0.01),
    ("PCA residual, q.999", "residual", 0.001),
    ("PCA residual, q.99", "residual", 0.01),
    ("isolation forest, q.99", "isolation-forest", 0.01),
)
Scores = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of one application by detector: of each training file held out, and of each test."""

    application: Application
    held_out: Scores
    test: Scores


def main() -> None:
    """Read the recordings, score them, and print what was found."""
    options = _options()
    try:
        applications = read(options.directory)
    except EthogramError as error:
        hint = f"\n\nhint: {error.hint}" if error.hint else ""
        sys.exit(f"error: {error.message}{hint}")
    part = Part(
        "shil",
        "Attacks on containers, by counts of system calls",
        f"{len(applications)} applications, {sum(len(a.test) for a in applications)} recordings",
    )
    for size in options.sizes:
        scored = _all_scored(applications, size, options.workers)
        _report(part, scored, size)
    print(as_text(part), file=sys.stderr)
    facts = {"command": " ".join(["python", *sys.argv])}
    print(json.dumps(as_json([part], facts), indent=2))
    if options.write:
        document = options.write.read_text(encoding="utf-8")
        options.write.write_text(replaced(document, {part.name: as_markdown(part)}), "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/shil.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(each) for each in text.split(",")],
        default=[1, 10, 50],
        metavar="N[,N...]",
        help="samples of 100 ms in a window: 1, 10 and 50 unless told",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="replace the block `shil` in FILE"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    return parser.parse_args()


# --- scoring ---------------------------------------------------------------------------------


def _all_scored(applications: Sequence[Application], size: int, workers: int) -> list[Scored]:
    found = []
    with ProcessPoolExecutor(workers) as pool:
        for each in pool.map(partial(scores_of, size=size), applications):
            say(f"{_length(size)}: {each.application.name}")
            found.append(each)
    return found


def scores_of(application: Application, *, size: int, names: Sequence[str] = SINGLE) -> Scored:
    """Return the scores of *application* by each detector, and by the ensemble of some."""
    train = [summed(counts, size) for counts in application.train]
    test = [summed(recording.counts, size) for recording in application.test]
    raw: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for out, counts in enumerate(train):
        fitted = fit_detectors(Windows(np.vstack(train[:out] + train[out + 1 :])), names)
        for name, scores in fitted.scores(Windows(counts)).items():
            raw[name].append(scores)
    fitted = fit_detectors(Windows(np.vstack(train)), names)
    tested = [fitted.scores(Windows(counts)) for counts in test]
    scales = {name: Calibration.of(np.concatenate(raw[name])) for name in names}
    held_out = {name: [-scales[name].strangeness(s) for s in raw[name]] for name in names}
    scored = {name: [-scales[name].strangeness(t[name]) for t in tested] for name in names}
    return Scored(
        application,
        {**held_out, ENSEMBLE: _together(held_out)},
        {**scored, ENSEMBLE: _together(scored)},
    )


def _together(scores: Scores) -> list[np.ndarray]:
    members = zip(*(scores[name] for name in DEFAULT_ALONE), strict=True)
    return [combined([-each for each in part], DEFAULT_COMBINE) for part in members]


# --- thresholds ------------------------------------------------------------------------------

Limits = Callable[[Scored], float]


def shared(scored: Sequence[Scored], name: str, size: int) -> Limits:
    """One threshold for all applications, whose budget is one: the held-out time of all counts."""
    blocks = [block for each in scored for block in each.held_out[name]]
    window_s = 60 * size / SAMPLES_A_MINUTE
    found = threshold(blocks, BUDGET, window_s=window_s)
    limit = found.score if isinstance(found, Threshold) else -np.inf
    return lambda _: limit


def _own(name: str, share: float) -> Limits:
    """A threshold for each application, by its own held-out windows."""

    def limit(each: Scored) -> float:
        if not share:
            return float(np.max(np.concatenate(each.held_out[name])))  # any novelty
        found = share_threshold(each.held_out[name], share)
        return -np.inf if found is None else found

    return limit


def outcomes_of(scored: Sequence[Scored], name: str, limits: Limits, size: int) -> list[Outcome]:
    return [
        outcome(each.application.name, recording, scores < limits(each), size)
        for each in scored
        for recording, scores in zip(each.application.test, each.test[name], strict=True)
    ]


def _as_many(
    scored: Sequence[Scored], name: str, size: int, is_few: Callable[[Summary], bool]
) -> list[Outcome]:
    """Return the outcomes of *name* at the highest shared threshold with as *few* false alarms.

    Chosen on the test recordings themselves: it compares detectors, and is no way to run one.
    """
    levels = np.unique(np.concatenate([s for each in scored for s in each.test[name]]))
    low, high = 0, len(levels)  # flagged is what is below levels[low]
    while high - low > 1:
        middle = (low + high) // 2
        outcomes = outcomes_of(scored, name, lambda _, level=levels[middle]: level, size)
        low, high = (middle, high) if is_few(Summary.of(outcomes)) else (low, middle)
    return outcomes_of(scored, name, lambda _: levels[low], size)


# --- the report ------------------------------------------------------------------------------


def _report(part: Part, scored: Sequence[Scored], size: int) -> None:
    names = (*SINGLE, ENSEMBLE)
    budget = {n: outcomes_of(scored, n, shared(scored, n, size), size) for n in names}
    share = {n: outcomes_of(scored, n, _own(n, SHARE), size) for n in names}
    for title, outcomes in ((f"a budget of {BUDGET.text}", budget), (f"{SHARE:.2%}", share)):
        rows = [(name, *_cells(Summary.of(found))) for name, found in outcomes.items()]
        part.tables.append(Table(_COLUMNS, tuple(rows), f"windows of {_length(size)}, {title}"))
    part.tables.append(_equal(scored, budget[ENSEMBLE], share[ENSEMBLE], size))
    if size == 1:
        part.tables.append(_against_plain(scored, budget[ENSEMBLE], share[ENSEMBLE]))
        part.targets += _targets(Summary.of(budget[ENSEMBLE]), Summary.of(share[ENSEMBLE]))


_COLUMNS = (
    Column("detector"),
    Column("detected", "share"),
    Column("false alarms", "fine"),
    Column("episodes/min", "number"),
    Column("chance", "share"),
)
_GAIN = (
    Column("more than", "text"),
    Column("points", "points"),
    Column("low", "points"),
    Column("high", "points"),
)


def _cells(found: Summary) -> Iterator[float]:
    yield from (found.detected, found.false_alarms, found.episodes, found.chance)


def _equal(
    scored: Sequence[Scored], budget: Sequence[Outcome], share: Sequence[Outcome], size: int
) -> Table:
    """The ensemble against each detector at as many episodes, and at as many flagged windows."""
    episodes = Summary.of(budget).episodes
    flagged = Summary.of(share).false_alarms
    rows = []
    for name in SINGLE:
        few = _as_many(scored, name, size, lambda s: s.episodes <= episodes)
        rare = _as_many(scored, name, size, lambda s: s.false_alarms <= flagged)
        rows.append((name, Summary.of(few).detected, *difference(budget, few),
                     Summary.of(rare).detected, *difference(share, rare)))  # fmt: skip
    columns = (
        Column("detector"),
        Column(f"at {episodes:.2f}/min", "share"),
        *_GAIN[1:],
        Column(f"at {flagged:.2%}", "share"),
        *_GAIN[1:],
    )
    title = f"windows of {_length(size)}, at the ensemble's false alarms, which detects more by"
    return Table(columns, tuple(rows), title)


def _against_plain(
    scored: Sequence[Scored], budget: Sequence[Outcome], share: Sequence[Outcome]
) -> Table:
    rows = []
    for title, name, kept in PLAIN:
        plain = outcomes_of(scored, name, _own(name, kept), 1)
        few, rare = difference(budget, plain), difference(share, plain)
        rows.append((title, *_cells(Summary.of(plain)), *few, *rare))
    columns = (Column("plain method"), *_COLUMNS[1:], *_GAIN[1:], *_GAIN[1:])
    title = (
        f"the ensemble at {BUDGET.text}, then at {SHARE:.2%}, detects more than plain methods by"
    )
    return Table(columns, tuple(rows), title)


def _targets(budget: Summary, share: Summary) -> list[Target]:
    return [
        Target(f"episodes/min, {BUDGET.text}", budget.episodes, 0.15, "number"),
        Target("attacks missed there", 1 - budget.detected, 0.2, "share"),
        Target(f"false alarms, {SHARE:.2%}", share.false_alarms, 0.0084, "fine"),
        Target("attacks missed there", 1 - share.detected, 0.1, "share"),
    ]


def _length(size: int) -> str:
    milliseconds = size * 60_000 // SAMPLES_A_MINUTE
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"


if __name__ == "__main__":
    main()
