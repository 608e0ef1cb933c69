"""Measure and print; `--quick` takes a tenth of the work, to see that everything still runs."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import calls, pipeline
from benchmarks.screen import heading, say

SAMPLE = Path(__file__).parents[1] / "notebooks" / "data" / "shop.rec"


def main() -> None:
    """Measure what this user may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("calls", "pipeline"))
    options = parser.parse_args()
    share = 10 if options.quick else 1
    with tempfile.TemporaryDirectory(prefix="ethogram-bench-") as name:
        directory = Path(name)
        if options.only != "pipeline":
            heading(
                "What a recorded call costs", "processor time of the caller, least of the rounds"
            )
            if os.geteuid() == 0:
                calls.measure(directory, share=share, rounds=2 if options.quick else 5)
            else:
                say("skipped: recording needs root")
        if options.only != "calls":
            heading("What learning costs", "processor time, least of the rounds")
            pipeline.measure(
                SAMPLE,
                directory,
                times=2 if options.quick else 20,
                rounds=1 if options.quick else 3,
            )
    say("how to read it: docs/benchmarks.md")


if __name__ == "__main__":
    sys.exit(main())
