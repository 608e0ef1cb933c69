"""Measure what ethogram costs, and print it, or write it into a document.

`--quick` takes a fraction of the work: it shows that everything runs, and no more than that.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    churn,
    events,
    findings,
    loops,
    memory,
    open_storm,
    pipeline,
    services,
    start,
    storms,
    watch_cost,
    watch_latency,
    webhook,
)
from benchmarks.machine import facts
from benchmarks.progress import say
from benchmarks.report import Part, as_json, as_markdown, as_text, replaced

SAMPLE = Path(__file__).parents[1] / "notebooks" / "data" / "shop.rec"

# Part -> rounds of a whole run, and of a quick one.
ROUNDS = {
    **dict.fromkeys(loops.LOOPS, (5, 1)),
    "services": (6, 1),
    "memory": (1, 1),
    "start": (10, 1),
    "storms": (1, 1),
    "pipeline": (3, 1),
    "watch-cost": (30, 5),
    "watch-latency": (210, 9),
    "events": (5, 1),
    "findings": (3, 1),
    "churn": (1, 1),
    "open-storm": (1, 1),
    "webhook": (20, 2),
}


def main() -> None:
    """Measure what was asked for, and print or write it."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which cleans up, as Ctrl-C does
    machine = {**facts(), "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])}
    names = options.only or tuple(ROUNDS)
    if os.geteuid() != 0 and not set(names) <= {"pipeline", "webhook", "findings"}:
        say("recording needs root: only `pipeline` is measured")
        names = ("pipeline",)
    parts = []
    with tempfile.TemporaryDirectory(prefix="ethogram-bench-") as directory:
        for part in _measured(names, Path(directory), options):
            parts.append(part)
            if options.format == "text":
                print(as_text(part), flush=True)
            if options.write:  # what was measured stands, whatever becomes of the next part
                _write(options.write, part, machine)
    if options.format == "json":
        print(json.dumps(as_json(parts, machine), indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fraction of the work")
    parser.add_argument(
        "--only", type=_names, metavar="PART[,PART...]", help=f"of {', '.join(ROUNDS)}"
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        metavar="N",
        help="for each part; of watch-cost and webhook, seconds; of watch-latency, acts",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="replace the blocks between markers in FILE"
    )
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in ROUNDS]:
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}")
    return tuple(name for name in ROUNDS if name in names)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _measured(names: Sequence[str], directory: Path, options: argparse.Namespace) -> Iterator[Part]:
    """Measure the parts *names*; loops share their rounds."""

    def rounds(name: str) -> int:
        return int(options.rounds or ROUNDS[name][options.quick])

    looped = [name for name in names if name in loops.LOOPS]
    if looped:
        yield from loops.measure(
            directory, looped, rounds=rounds(looped[0]), is_quick=options.quick
        )
    others: dict[str, Callable[[], Part]] = {
        "services": lambda: services.measure(
            directory, rounds=rounds("services"), is_quick=options.quick
        ),
        "memory": lambda: memory.measure(directory, recorded_s=1 if options.quick else 11),
        "start": lambda: start.measure(directory, rounds=rounds("start")),
        "storms": lambda: storms.measure(directory, share=50 if options.quick else 1),
        "pipeline": lambda: pipeline.measure(
            SAMPLE, directory, times=2 if options.quick else 20, rounds=rounds("pipeline")
        ),
        "events": lambda: events.measure(
            SAMPLE, directory, rows=500 if options.quick else 10_000, rounds=rounds("events")
        ),
        "findings": lambda: findings.measure(
            SAMPLE, directory, number=300 if options.quick else 10_000, rounds=rounds("findings")
        ),
        "churn": lambda: churn.measure(directory, number=100 if options.quick else 5_000),
        "open-storm": lambda: open_storm.measure(
            directory, opens=200_000 if options.quick else 10_000_000
        ),
        "watch-cost": lambda: watch_cost.measure(directory, seconds=rounds("watch-cost")),
        "watch-latency": lambda: watch_latency.measure(directory, acts=rounds("watch-latency")),
        "webhook": lambda: webhook.measure(
            directory, seconds=rounds("webhook"), reviews=800 if options.quick else 100_000
        ),
    }
    for name, measure in others.items():
        if name in names:
            yield measure()


def _write(document: Path, part: Part, machine: dict[str, str]) -> None:
    facts = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    blocks = {part.name: as_markdown(part), "machine": facts}
    document.write_text(replaced(document.read_text(), blocks))
    say(f"wrote {part.name} into `{document}`")


if __name__ == "__main__":
    sys.exit(main())
