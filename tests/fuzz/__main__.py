"""Fuzz one target: `python -m tests.fuzz TARGET [CORPUS] [-runs=N] [-seed=N] [-max_total_time=S]`.

Under atheris, whose options are libFuzzer's; what it finds is written beside the corpus.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ethogram", "profiler"]):
    from tests.fuzz.targets import SEEDS, TARGETS

# A hang is a finding, and so is a reader that takes a gigabyte.
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=8192")


def main() -> None:
    """Fuzz the target that is named."""
    name, *options = sys.argv[1:]
    if name not in TARGETS:
        raise SystemExit(f"there is no target `{name}`: {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory(prefix="ethogram-corpus-") as corpus:
        seed = SEEDS[name]()
        for length in (len(seed), len(seed) // 2, len(seed) // 4, 0):
            Path(corpus, f"{length}").write_bytes(seed[:length])
        atheris.Setup([sys.argv[0], corpus, *LIMITS, *options], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
