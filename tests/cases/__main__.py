"""Runs the cases and prints what was found, missed and false."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cases.catalogue import all_cases
from tests.cases.harness import run_harness
from tests.cases.report import markdown, write
from tests.cases.staging import HarnessError


def main() -> int:
    """Return 0 when the cases could be run, whatever was found; 1 when not; 3 without root."""
    options = _options()
    if os.geteuid() != 0:
        print("error: containers and eBPF need root\n\nhint: `sudo make cases`", file=sys.stderr)
        return 3
    wanted = set(options.only)
    cases = tuple(case for case in all_cases() if not wanted or case.id in wanted)
    began = time.monotonic()
    try:
        with _directory(options.keep) as directory:
            harness = run_harness(
                directory, cases=cases, quiet_seconds=options.quiet, say=_say,
                baselines=options.baselines,
            )  # fmt: skip
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    kernel = platform.release()
    print(markdown(harness.results, harness.noise, kernel=kernel))
    if options.write:
        write(options.write, harness.results, harness.noise, kernel=kernel)
        _say(f"written: {options.write}")
    _say(f"{time.monotonic() - began:.0f} s")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table in FILE")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave what was made in DIR")
    parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="these cases alone")
    parser.add_argument("--quiet", type=float, default=60, metavar="SECONDS",
                        help="how long the benign service is watched alone")  # fmt: skip
    parser.add_argument("--baselines", type=Path, metavar="DIR",
                        help="by these baselines, without learning them first")  # fmt: skip
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("`--write` keeps the whole table: it cannot go with `--only`")
    return options


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="ethogram-cases-") as name:
        yield Path(name)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
