"""How often the intervals hold that a baseline states of what is still to come.

    python benchmarks/coverage.py [--trials N] [--shil DIR] [--write FILE] [RECORDING...]

Generated workloads, whose truth is known, are watched for a while; recordings are cut at several
moments. The outlook of the first part is compared with what is new in the next. JSON goes to
standard output, a table to standard error. Without a RECORDING those that are shipped are taken;
DIR has the layout of the SHIL data (`windows.parquet`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:  # started as a file: its own directory is where modules are looked for
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.kinds import DAY, HOUR, KINDS, MINUTE, WINDOW_S, bursts, watch
from benchmarks.report import Column, Part, Table, as_json, as_markdown, as_text, replaced
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import ENUMS
from learner.novelty import Novelty
from learner.richness import in_all_of
from learner.settling import windows_for
from learner.sights import TABLES, sights

NOMINAL = 0.95
SHIPPED = Path(__file__).resolve().parents[1] / "notebooks" / "data"
# Watched for, and ahead.
HORIZONS = (
    (5 * MINUTE, MINUTE),
    (30 * MINUTE, 10 * MINUTE),
    (2 * HOUR, HOUR),
    (DAY, HOUR),
    (7 * DAY, DAY),
)
FEWEST = 24  # windows of a recording's first part; `learn` says nothing of fewer than 60
STARTUP = [ENUMS["phase"].index(name) for name in ("startup", "runtime")]
STEADY = [ENUMS["phase"].index(name) for name in ("steady", "unknown")]


@dataclass(slots=True)
class Scores:
    """One row of results: what each trial came to."""

    held: list[bool]
    over: list[bool]
    width: list[float]
    chance: list[float]
    any_came: list[bool]
    quiet: list[bool]
    in_all: list[bool]

    @classmethod
    def none(cls) -> Scores:
        return cls([], [], [], [], [], [], [])

    def add(self, novelty: Novelty, ahead_s: float, came: int) -> None:
        low, high = novelty.count_bounds(ahead_s)
        self.held.append(low <= came <= high)
        self.over.append(came > high)
        self.width.append(high - low)
        self.chance.append(novelty.probability(ahead_s))
        self.any_came.append(came > 0)

    def row(self, name: str, horizon: str) -> tuple[Any, ...]:
        def share(values: Sequence[float]) -> float | None:
            return float(np.mean(values)) if values else None

        return (
            name, horizon, len(self.held), NOMINAL, share(self.held), share(self.over),
            float(np.median(self.width)) if self.width else None, share(self.chance),
            share(self.any_came), share(self.quiet), share(self.in_all),
        )  # fmt: skip


COLUMNS = (
    Column("workload"), Column("watched, ahead"), Column("n", "count"),
    Column("nominal", "share"), Column("held", "share"), Column("more came", "share"),
    Column("width", "count"), Column("P(new)", "share"), Column("new came", "share"),
    Column("settled held", "share"), Column("in all >= low", "share"),
)  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/coverage.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("recordings", nargs="*", type=Path, metavar="RECORDING")
    parser.add_argument("--trials", type=int, default=1000, metavar="N", help="of each kind")
    parser.add_argument("--shil", type=Path, metavar="DIR", help="windows of containers")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="replace the block between markers in FILE"
    )
    options = parser.parse_args(words)
    part = Part(
        "coverage", "How often the intervals of coverage hold",
        f"{options.trials:,} trials a row, windows of {WINDOW_S:.0f} s; intervals of 95 %",
    )  # fmt: skip
    part.tables.append(Table(COLUMNS, tuple(_generated(options.trials)), "generated workloads"))
    paths = options.recordings or sorted(SHIPPED.glob("*.rec"))
    rows = [_recorded(path) for path in paths] + ([_shil(options.shil)] if options.shil else [])
    part.tables.append(Table(COLUMNS, tuple(rows), "recordings, cut"))
    part.tables.append(_stopped(max(2, options.trials // 5)))
    part.notes += [
        "a release and a monthly job cannot be known from before: there the intervals do not hold, "
        "and the baseline says what it is blind to",
        f"the recordings are short: their cuts have {FEWEST} windows or more, and `learn` would "
        "say nothing ahead of fewer than 60",
        "in all: a bound from below, for what comes at random; what comes by the clock and was "
        "seen once is not the tip of more",
    ]
    print(as_text(part), file=sys.stderr)
    facts = {"command": " ".join(["python", *sys.argv])}
    print(json.dumps(as_json([part], facts), indent=2))
    if options.write:
        text = options.write.read_text()
        options.write.write_text(replaced(text, {part.name: as_markdown(part)}))


# --- generated -----------------------------------------------------------------------------------


def _generated(trials: int) -> Iterator[tuple[Any, ...]]:
    for name, make in KINDS.items():
        for watched_s, ahead_s in HORIZONS:
            random = np.random.default_rng(5)
            scores = Scores.none()
            for _ in range(trials):
                trial = watch(random, make(random, watched_s), watched_s, ahead_s)
                scores.add(trial.novelty, ahead_s, trial.came)
                scores.quiet.append(trial.quiet >= trial.novelty.settled)
                scores.in_all.append(in_all_of(trial.novelty).low <= trial.unseen)
            yield scores.row(name, f"{_time(watched_s)}, {_time(ahead_s)}")


def _time(seconds: float) -> str:
    for length, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _stopped(trials: int) -> Table:
    """Return how often what had settled was settled, where the estimate said when to stop."""
    rows = []
    for target in (0.95, 0.99):
        random = np.random.default_rng(7)
        stops = [_stop(random, target) for _ in range(trials)]
        ended = [stop for stop in stops if stop is not None]
        quiet = [share >= target for _, share in ended]
        rows.append((
            f"--until-settled {target}", trials, len(ended) / trials,
            float(np.median([seconds for seconds, _ in ended])) if ended else None,
            float(np.mean(quiet)) if quiet else None,
        ))  # fmt: skip
    columns = (
        Column("bursts, at most a day"), Column("n", "count"), Column("stopped", "share"),
        Column("after", "seconds"), Column("was settled then", "share"),
    )  # fmt: skip
    return Table(columns, tuple(rows), "a recording that ends once it is settled")


def _stop(random: np.random.Generator, target: float) -> tuple[float, float] | None:
    """Return when a recording of bursts stops, and the true share of quiet windows to come."""
    jobs = bursts(random, DAY)
    times = [np.sort(random.random(n) * DAY) for n in random.poisson(jobs.rate * DAY)]
    watched_s = windows_for(target) * WINDOW_S
    while watched_s <= DAY:
        counts = np.array([np.searchsorted(one, watched_s) for one in times])
        seen = np.flatnonzero(counts)
        first = np.array([times[job][0] for job in seen])
        last = np.array([times[job][counts[job] - 1] for job in seen])
        size, width = jobs.size[seen], jobs.width[seen]
        novelty = Novelty(
            np.repeat(np.floor(first / WINDOW_S) * WINDOW_S, size),
            np.repeat((np.floor(last / WINDOW_S) + width) * WINDOW_S, size),
            np.repeat(counts[seen] * width, size).astype(float),
            watched_s,
            WINDOW_S,
        )
        if novelty.settled >= target:
            return watched_s, float(np.exp(-jobs.rate[counts == 0].sum() * WINDOW_S))
        watched_s = np.ceil(watched_s * 1.02 / WINDOW_S) * WINDOW_S
    return None


# --- recorded ------------------------------------------------------------------------------------


def _cut(spans: pd.DataFrame, windows: int, window_s: float, scores: Scores) -> None:
    """Compare the outlook at a third, a half and two thirds with as much as half of that again.

    *spans* has the window of each sight of each `key`, from 0 to *windows*.
    """
    for share in (1 / 3, 1 / 2, 2 / 3):
        cut = round(windows * share)
        ahead = min(windows - cut, cut // 2)
        before = spans[spans.window < cut].groupby("key").window
        known = before.agg(["min", "max", "nunique"])
        novelty = Novelty(
            known["min"].to_numpy(float) * window_s,
            (known["max"].to_numpy(float) + 1) * window_s,
            known["nunique"].to_numpy(float),
            cut * window_s,
            window_s,
        )
        if cut < FEWEST or not ahead:
            continue
        then = spans[(spans.window >= cut) & (spans.window < cut + ahead)].key
        came = len(set(then) - set(known.index))
        scores.add(novelty, ahead * window_s, came)


def _recorded(path: Path) -> tuple[Any, ...]:
    """Return how often the outlook of workloads in a recording held, each dimension apart."""
    recording = Recording.open(path)
    window_s = recording.manifest.window_ms / 1000
    seen: dict[tuple[int, str], list[tuple[Any, int]]] = defaultdict(list)
    before = set()
    for table in TABLES:
        for window, rows in _by_window(recording.table(table)):
            for workload, phase, sight in sights(table, rows):
                if phase in STARTUP:
                    before.add((workload, sight))
                elif phase in STEADY:
                    seen[workload, sight[0]].append((sight, window))
    scores = Scores.none()
    for (workload, _), pairs in seen.items():
        new = [pair for pair in pairs if (workload, pair[0]) not in before]
        steady = sorted({window for one, found in seen.items() if one[0] == workload
                         for _, window in found})  # fmt: skip
        place = {window: index for index, window in enumerate(steady)}
        frame = pd.DataFrame(
            {"key": [str(sight) for sight, _ in new], "window": [place[w] for _, w in new]}
        )
        _cut(frame, len(steady), window_s, scores)
    return scores.row(path.name, "1/3, 1/2, 2/3")


def _by_window(table: pa.Table) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """Yield the rows of each window, times as numbers."""
    for name in table.column_names:
        if pa.types.is_timestamp(table.schema.field(name).type):
            index = table.schema.get_field_index(name)
            table = table.set_column(index, name, table.column(name).cast(pa.int64()))
    windows = table.column("window").to_numpy()
    for window in np.unique(windows).tolist():
        part = table.filter(pa.array(windows == window))
        yield window, {name: part.column(name).to_pylist() for name in part.column_names}


def _shil(directory: Path) -> tuple[Any, ...]:
    """Return the same of training minutes of containers, windows of a second."""
    whole = pd.read_parquet(directory / "windows.parquet")
    whole = whole[whole.role == "train"]
    calls = [name for name in whole.columns if name.startswith("sc_")]
    scores = Scores.none()
    for (_, group), part in whole.groupby(["cve", (whole.container - 1) // 3]):
        del group
        rows = part.sort_values(["container", "sample"])
        second = np.arange(len(rows)) // 10
        window, call = np.nonzero(rows[calls].to_numpy() > 0)
        frame = pd.DataFrame({"key": call, "window": second[window]}).drop_duplicates()
        _cut(frame, int(second[-1]) + 1, 1.0, scores)
    return scores.row("SHIL, training minutes", "1/3, 1/2, 2/3")


if __name__ == "__main__":
    main()
