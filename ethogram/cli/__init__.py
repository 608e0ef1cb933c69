"""The command line: one module a command, one place where failures become messages.

A foreseen failure prints its cause and what to do about it on standard error and exits with its
own code. Whatever else escapes is a bug of ours, and is said to be one; `ETHOGRAM_TRACEBACK=1`
shows where it came from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with *arguments* (those of the process by default), then exit."""
    from ethogram.cli.run import run

    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
