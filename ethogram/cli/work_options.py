"""Who does the work: options for processes here or on a cluster, and how far they have come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.screen import count
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["progress", "work_options", "workers"]

# Up to here one process is done before others would have started.
_ALONE_ROWS = 2_000_000
_CLEAR = "\r\x1b[K"


def work_options(command: Any) -> Any:
    """Add the options `--jobs` and `--dask`."""
    command = click.option(
        "--dask",
        metavar="ADDRESS",
        help="Work on the Dask cluster with this scheduler, or on a `local` one of this machine.",
    )(command)
    return click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(min=1),
        help="Work in so many processes.  [default: one a processor, one where that is enough]",
    )(command)


@contextmanager
def workers(jobs: int | None, dask: str | None, *, rows: int) -> Iterator[Executor]:
    """Yield who works on *rows* rows; `UsageError` where nobody is at *dask*."""
    from learner.parallel import executor_of, processors

    if dask is not None and not dask.strip():
        raise UsageError("`--dask` names no scheduler", hint="write `--dask local`, or its address")
    if jobs is None:
        jobs = 1 if rows <= _ALONE_ROWS and dask is None else processors()
    try:
        with executor_of(jobs=jobs, dask=dask) as executor:
            yield executor
    except BaseException:
        if sys.stderr.isatty():  # what is said next is not to stand behind how far they came
            print(_CLEAR, end="", file=sys.stderr, flush=True)
        raise


def progress(what: str) -> Callable[[int], Callable[[], None]]:
    """Return what to tell how many pieces there are, and then each that is done.

    A terminal shows it, on one line that is gone in the end; nobody else is told.
    """
    if not sys.stderr.isatty():
        return lambda _: lambda: None

    def told(pieces: int) -> Callable[[], None]:
        number = 0

        def show() -> None:
            text = f"{what}: {number:,} of {count(pieces, 'piece')}" if number < pieces else ""
            print(f"{_CLEAR}{text}", end="", file=sys.stderr, flush=True)

        def done() -> None:
            nonlocal number
            number += 1
            show()

        show()  # the first piece may take the longest
        return done

    return told
