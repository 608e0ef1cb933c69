"""The same work in this process, in a pool of processes, or on a Dask cluster.

All of it is written against `concurrent.futures.Executor`: a map whose results come as they are
done, and a reduction in a tree. What is reduced must not depend on the order.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import forkserver, resource_tracker
from typing import Any, ParamSpec, TypeAlias, TypeVar

import pyarrow as pa

from ethogram import __version__
from ethogram.errors import EthogramError, UsageError

__all__ = [
    "PATIENCE_S",
    "InThisProcess",
    "Told",
    "executor_of",
    "map_reduced",
    "mapped",
    "mapped_in_order",
    "processors",
    "untold",
]

Made = TypeVar("Made")
Parameters = ParamSpec("Parameters")
# Told how many pieces of work there are, and then each that is done.
Told: TypeAlias = "Callable[[int], Callable[[], None]]"

# A piece of work takes about a second; nothing done for so long is a worker that hangs.
PATIENCE_S = 600.0
_ARITY = 8
_HANDED_OUT = 1000  # at once: more than a cluster has workers
_AHEAD = 3
_CONNECT_S = 20
_PR_SET_PDEATHSIG = 1
_ALONE = "`--jobs 1` does it in this process, with less memory"


class InThisProcess(Executor):
    """An executor that does the work when it is handed in."""

    handed_out = 1

    def submit(
        self,
        fn: Callable[Parameters, Made],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Future[Made]:
        """Do it now. What it raises, this raises: nobody else is at work who could go on."""
        future: Future[Made] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Pool(ProcessPoolExecutor):
    """A pool that is handed as much work as keeps it busy: what waits takes memory."""

    handed_out = _AHEAD


def untold(_: int) -> Callable[[], None]:
    """Return what is told that a piece is done where nobody wants to know."""
    return lambda: None


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def executor_of(*, jobs: int, dask: str | None = None) -> Iterator[Executor]:
    """Yield the executor for *jobs* processes here, or for the Dask cluster at *dask*.

    `local` is a cluster of *jobs* processes on this machine. On the way out by an exception, all
    that is still at work is ended.
    """
    if dask is not None:
        with _dask_executor(dask, jobs) as executor:
            yield executor
    elif jobs == 1:
        yield InThisProcess()
    else:
        with _pool(jobs) as executor:
            yield executor


@contextmanager
def _pool(jobs: int) -> Iterator[Executor]:
    # Not `fork`: Arrow and a store's client have threads, whose locks a fork would copy as held.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["learner.summary", "learner.learn"])
    _start_forkserver()
    before = set(multiprocessing.active_children())
    pool = _Pool(jobs, mp_context=processes, initializer=_begin_worker)
    pool.handed_out = _AHEAD * jobs
    hand_out_no_more = _hand_out_quietly(pool)
    try:
        yield pool
    except BaseException:
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()
        hand_out_no_more()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _start_forkserver() -> None:
    """Start what workers are forked from, with Ctrl-C blocked there: it is for the parent."""
    resource_tracker.ensure_running()  # which begins by taking the block away
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _hand_out_quietly(pool: ProcessPoolExecutor) -> Callable[[], None]:
    """Return what has *pool*, whose workers are gone, give up what it is handing them.

    Before Python 3.12 it holds the reading end of their pipe, too: a piece of work that does not
    fit into the pipe is then written forever, and this process never ends (gh-94777).
    """
    queue = getattr(pool, "_call_queue", None)
    reader = getattr(queue, "_reader", None)
    if reader is None:
        return lambda: None
    vars(queue)["_ignore_epipe"] = True  # it would put a traceback on the screen
    close: Callable[[], None] = reader.close
    return close


def _begin_worker() -> None:
    """End with the parent, and keep to one processor."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    pa.set_cpu_count(1)


@contextmanager
def _dask_executor(address: str, jobs: int) -> Iterator[Executor]:
    try:
        import distributed  # noqa: PLC0415  optional, and slow to import
    except ImportError as error:
        raise UsageError(
            "the library for Dask is not installed",
            hint="`pip install 'ethogram[dask]'` adds it",
        ) from error
    # Tables arrive as they lay in a message; Arrow would warn of each that a processor likes less.
    os.environ.setdefault("ACERO_ALIGNMENT_HANDLING", "reallocate")
    # What workers hand back goes to others by way of this process: it is small, and meant so.
    warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
    with _client(distributed, address, jobs) as client:
        executor = client.get_executor(pure=False)
        _check_versions(client)
        yield executor


@contextmanager
def _client(distributed: Any, address: str, jobs: int) -> Iterator[Any]:
    if address == "local":
        with (
            distributed.LocalCluster(
                n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError, TypeError) as error:  # a timeout is an OSError
        raise UsageError(
            f"there is no Dask scheduler at `{address}`",
            hint="name it as in `tcp://10.0.0.5:8786`, or `local` for one on this machine",
        ) from error
    with client:
        yield client


def _check_versions(client: Any) -> None:
    """Refuse workers of another version: they would make other summaries of the same recording."""
    try:
        versions = set(client.run(worker_version).values())
    except Exception as error:  # it raises what the worker raised when it looked for us
        raise UsageError(
            f"the workers of the Dask cluster cannot load ethogram: {type(error).__name__}",
            hint=f"install ethogram {__version__} where they run",
        ) from error
    if others := sorted(versions - {__version__}):
        raise UsageError(
            f"the workers of the Dask cluster have ethogram {', '.join(others)}",
            hint=f"install {__version__} there, as here",
        )


def worker_version() -> str:
    """Return the version of the process that this is called in."""
    return __version__


def mapped(
    executor: Executor,
    function: Callable[..., Made],
    items: Iterable[tuple[Any, ...]],
    *,
    done: Callable[[], None] = lambda: None,
    patience_s: float = PATIENCE_S,
) -> Iterator[tuple[int, Made]]:
    """Yield the number of each of *items* and what *function* makes of it, as they are done.

    *done* is called after each. A worker that died, or that hangs, is an `EthogramError`.
    """
    waiting = enumerate(items)
    numbers: dict[Future[Made], int] = {}
    most = getattr(executor, "handed_out", _HANDED_OUT)
    while True:
        for index, item in islice(waiting, most - len(numbers)):
            with _explained():
                numbers[executor.submit(function, *item)] = index
        if not numbers:
            return
        for future in _first_done(set(numbers), patience_s):
            with _explained():
                made = future.result()
            done()
            yield numbers.pop(future), made
            del made, future


def mapped_in_order(
    executor: Executor,
    function: Callable[..., Made],
    items: Iterable[tuple[Any, ...]],
    *,
    done: Callable[[], None] = lambda: None,
) -> Iterator[Made]:
    """Yield what `mapped` does, in the order of *items*."""
    found: dict[int, Made] = {}
    following = 0
    for number, made in mapped(executor, function, items, done=done):
        found[number] = made
        while following in found:
            yield found.pop(following)
            following += 1


def map_reduced(
    executor: Executor,
    function: Callable[..., Made],
    items: Iterable[tuple[Any, ...]],
    *,
    reduce: Callable[[list[Made]], Made],
    done: Callable[[], None] = lambda: None,
    patience_s: float = PATIENCE_S,
) -> Made:
    """Return *reduce* of what *function* makes of *items*, some at a time, in any order."""
    pending: set[Future[Any]] = set()
    mapping: set[Future[Any]] = set()
    for item in items:
        with _explained():
            future = executor.submit(function, *item)
        pending.add(future)
        if future.done():  # as whoever works in this process is at once
            done()
        else:
            mapping.add(future)
    ready: list[Made] = []
    while pending or len(ready) != 1:
        for future in _first_done(pending, patience_s) if pending else ():
            pending.discard(future)
            with _explained():
                ready.append(future.result())
            if future in mapping:
                mapping.discard(future)
                done()
        while len(ready) >= _ARITY or (not pending and len(ready) != 1):
            some, ready = ready[:_ARITY], ready[_ARITY:]
            with _explained():
                pending.add(executor.submit(reduce, some))
    return ready[0]


def _first_done(pending: set[Future[Any]], patience_s: float) -> set[Future[Any]]:
    found, _ = concurrent.futures.wait(
        pending, patience_s, return_when=concurrent.futures.FIRST_COMPLETED
    )
    if not found:
        raise EthogramError(
            f"no worker finished anything for {patience_s:.0f} s: one hangs", hint=_ALONE
        )
    return found


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the end of a worker into a foreseen failure; what our own work raises, stays."""
    try:
        yield
    except BrokenProcessPool as error:
        raise EthogramError(
            "a worker ended before its work was done: it was killed, or memory ran out", hint=_ALONE
        ) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "distributed":
            raise
        raise EthogramError(
            f"the Dask cluster did not finish the work: {type(error).__name__}",
            hint="look at its scheduler's log; a worker that runs out of memory is ended",
        ) from error
