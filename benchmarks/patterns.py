"""How well patterns of file names fit: what of another run they allow, and what else they would.

    python benchmarks/patterns.py [--write FILE] [RECORDING HELD_OUT]

Directories as programs fill them are learnt from two runs, and judged by a third; one shipped
recording is judged by another. Aliens are names that an attacker would want beside what was seen,
sensitive files anywhere, and the files of all other programs; besides, names that were seen, in a
directory of another name. Only paths are compared: that they would need the same letters of access
is left out. JSON goes to standard output, a table to standard error.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # started as a file: its own directory is where modules are looked for
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.directories import KINDS, File
from benchmarks.report import Column, Part, Table, Value, as_json, as_markdown, as_text, replaced
from ethogram.contracts.baseline import AnyValue, Baseline, Dimension, FileValue
from ethogram.contracts.matching import pattern_to_regex
from ethogram.contracts.recording import Recording
from learner.dimensions import decode_value
from learner.generalise import widened
from learner.identity import identity_of
from learner.learn import learn
from learner.summary import summarize

SHIPPED = Path(__file__).resolve().parents[1] / "notebooks" / "data"
SEED = 11
STARTING = ("runtime", "startup")
WANTED = (
    "id_rsa", "authorized_keys", ".bashrc", ".env", "credentials.json", "shadow", "passwd", "token",
    "config.yaml", "backdoor.so", "ld.so.preload", "cron.sh", "admin.db", "key.pem", "x", "a.out",
)  # fmt: skip
SENSITIVE = (
    "/etc/shadow", "/etc/passwd", "/etc/sudoers", "/etc/ld.so.preload", "/etc/cron.d/x",
    "/root/.ssh/id_rsa", "/root/.ssh/authorized_keys", "/home/app/.aws/credentials",
    "/run/secrets/kubernetes.io/serviceaccount/token", "/run/secrets/db/password",
    "/var/run/docker.sock", "/run/containerd/containerd.sock", "/var/lib/kubelet/config.yaml",
    "/proc/sys/kernel/core_pattern", "/proc/kcore", "/sys/kernel/debug/x", "/dev/mem", "/dev/sda",
    "/usr/bin/sh", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/tmp/x", "/tmp/.hidden", "/dev/shm/x",
    "/var/spool/cron/root", "/var/lib/postgresql/.pgpass", "/boot/vmlinuz",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fit:
    """Counts of distinct paths; *aliens* are none of the workload's own."""

    seen: int
    rules: int
    held_out: int
    known: int
    allowed: int
    aliens: int
    let_in: tuple[str, ...]
    moved: int
    moved_in: int


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print or write what was found."""
    options = _options(words)
    part = measured(options.recording or [SHIPPED / "shop.rec", SHIPPED / "shop-strange.rec"])
    print(as_text(part), file=sys.stderr)
    print(json.dumps(as_json([part], {"command": " ".join(["python", *sys.argv])}), indent=2))
    if options.write:
        text = replaced(options.write.read_text(), {part.name: as_markdown(part)})
        options.write.write_text(text)


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/patterns.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recording", nargs="*", type=Path, metavar="RECORDING")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into a document")
    options = parser.parse_args(words)
    if len(options.recording) not in (0, 2):
        parser.error("two recordings: one to learn from, and one to judge it by")
    return options


def measured(recordings: Sequence[Path]) -> Part:
    """Return the figures of generated directories and of two recordings."""
    made = {kind: fit_of_kind(kind) for kind in KINDS}
    real = dict(fits_of_recordings(*recordings))
    part = Part(
        name="patterns",
        title="Patterns of file names",
        how=f"two runs learnt, a third held out, seed {SEED}; distinct paths",
        tables=[
            _table("generated directories", {**made, "all": _sum(made.values())}),
            _table("shipped recordings", {**real, "all": _sum(real.values())}),
        ],
    )
    let_in = [path for fit in (*made.values(), *real.values()) for path in fit.let_in]
    if let_in:
        part.notes.append(f"aliens that a pattern allows: {', '.join(sorted(let_in)[:12])}")
    return part


def _table(title: str, fits: dict[str, Fit]) -> Table:
    columns = (
        Column(""),
        Column("seen", "count"),
        Column("rules", "count"),
        Column("held out", "count"),
        Column("allowed by exact rules", "share"),
        Column("allowed by patterns", "share"),
        Column("aliens", "count"),
        Column("aliens allowed", "share"),
        Column("elsewhere", "count"),
        Column("elsewhere allowed", "share"),
    )
    return Table(columns, tuple(_row(name, fit) for name, fit in fits.items()), title)


def _row(name: str, fit: Fit) -> tuple[Value, ...]:
    return (
        name, fit.seen, fit.rules, fit.held_out, fit.known / max(1, fit.held_out),
        fit.allowed / max(1, fit.held_out), fit.aliens, len(fit.let_in) / max(1, fit.aliens),
        fit.moved, fit.moved_in / max(1, fit.moved),
    )  # fmt: skip


def _sum(fits: Iterable[Fit]) -> Fit:
    fits = list(fits)
    names = ("seen", "rules", "held_out", "known", "allowed", "aliens", "moved", "moved_in")
    totals = {name: sum(getattr(fit, name) for fit in fits) for name in names}
    return Fit(**totals, let_in=tuple(path for fit in fits for path in fit.let_in))


# --- what is compared ------------------------------------------------------------------------


def fit_of_kind(kind: str) -> Fit:
    """Return how the patterns of two runs of *kind* fit a third."""
    learnt = [file for run in (0, 1) for file in run_of(kind, run)]
    values: list[tuple[Dimension, AnyValue]] = [
        ("files", FileValue(path=path, access=access)) for path, access, _ in learnt
    ]
    found = widened(values, [origin for *_, origin in learnt])
    patterns = {value.path for value in found if isinstance(value, FileValue)}
    others = [path for name in KINDS if name != kind for path, *_ in run_of(name, 2)]
    return _fit({path for path, *_ in learnt}, patterns, {p for p, *_ in run_of(kind, 2)}, others)


def run_of(kind: str, run: int) -> list[File]:
    """Return the files of one run of *kind*: others for each run, the same each time."""
    return KINDS[kind](random.Random(f"{SEED} {kind} {run}"), run)


def fits_of_recordings(first: Path, second: Path) -> Iterator[tuple[str, Fit]]:
    """Yield how patterns of *first* fit its other replicas, and the starts of *second*.

    Sessions, and what an intruder of *second* did later, are no measure of what should be allowed.
    """
    summary = summarize(Recording.open(first))
    told = _told(summary)
    for who, instance in sorted({(who, instance) for who, instance, *_ in told}):
        own = {path for one, name, _, path in told if (one, name) == (who, instance)}
        others = {path for one, name, _, path in told if one == who and name != instance}
        if others:
            mask = pc.equal(summary.column("instance_key"), instance)
            baseline = _of_workload(learn(_with_shared(summary, mask)), who)
            yield f"{who}, by another replica", _fit(own, baseline, others, ())
    later = _told(summarize(Recording.open(second)))
    whole = learn(summary)
    for who in sorted({who for who, *_ in told} & {who for who, *_ in later}):
        own = {path for one, _, _, path in told if one == who}
        starts = {path for one, _, phase, path in later if one == who and phase in STARTING}
        yield f"{who}, by another start", _fit(own, _of_workload(whole, who), starts, ())


def _with_shared(summary: pa.Table, mask: pa.ChunkedArray) -> pa.Table:
    return summary.filter(pc.or_(mask, pc.equal(summary.column("instance_key"), "")))


def _of_workload(baselines: Iterable[Baseline], who: str) -> set[str]:
    return {
        rule.value.path
        for baseline in baselines
        if f"{baseline.subject.kind} {baseline.subject.name}" == who
        for rule in baseline.rules.files
    }


def _told(summary: pa.Table) -> list[tuple[str, str, str, str]]:
    """Return workload, instance, phase and path of each file, sessions left out."""
    found = []
    for row in summary.to_pylist():
        if row["dimension"] == "files" and row["phase"] != "exec":
            who = identity_of(row["workload_key"])
            value = decode_value("files", None, row["key"])
            assert isinstance(value, FileValue)
            found.append((f"{who[1]} {who[2]}", row["instance_key"], row["phase"], value.path))
    return found


def _fit(seen: set[str], patterns: set[str], held_out: set[str], others: Iterable[str]) -> Fit:
    exact = {path for path in patterns if "*" not in path}
    regexes = [pattern_to_regex(path) for path in patterns - exact]
    aliens = {*SENSITIVE, *_beside(seen), *others} - seen - held_out
    moved = set(_elsewhere(seen)) - seen - held_out
    return Fit(
        seen=len(seen),
        rules=len(patterns),
        held_out=len(held_out),
        known=len(held_out & seen),
        allowed=sum(_allows(path, exact, regexes) for path in held_out),
        aliens=len(aliens),
        let_in=tuple(sorted(path for path in aliens if _allows(path, exact, regexes))),
        moved=len(moved),
        moved_in=sum(_allows(path, exact, regexes) for path in moved),
    )


def _allows(path: str, exact: set[str], regexes: Sequence[re.Pattern[str]]) -> bool:
    return path in exact or any(regex.fullmatch(path) for regex in regexes)


def _beside(seen: Iterable[str]) -> Iterator[str]:
    """Yield names that somebody would want, beside each file."""
    for path in seen:
        directory = path.rpartition("/")[0]
        yield from (f"{directory}/{name}" for name in WANTED)


def _elsewhere(seen: Iterable[str]) -> Iterator[str]:
    """Yield each file where one of its directories has another name."""
    for path in seen:
        *directories, leaf = path.split("/")
        for number in range(1, len(directories)):
            for name in ("admin", "root", ".git"):
                yield "/".join([*directories[:number], name, *directories[number + 1 :], leaf])


if __name__ == "__main__":
    main()
