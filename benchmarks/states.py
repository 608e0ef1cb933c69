"""The states that a loop is measured in: untouched, beside empty hooks, recorded, counted by tools.

A setting is entered once a round and gives one or more states; each is a function that runs a
command and returns the seconds that count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import hooks
from benchmarks.agent import Agent, recording
from benchmarks.timing import timed
from benchmarks.tools import PERF_SCRIPT, STRACE, bpftrace, command_of

__all__ = ["SETTINGS", "Places", "Setting", "State"]

# The seconds that a command takes in a state.
State = Callable[[list[str]], float]


@dataclass(slots=True)
class Places:
    """Where a round happens: *mine* is recorded, *other* is not. *agents* ran in this suite."""

    directory: Path
    mine: Path
    other: Path
    agents: list[Agent]


@dataclass(frozen=True, slots=True)
class Setting:
    """One or more states that are entered together; *slower*: how much less work they are given."""

    states: tuple[str, ...]
    enter: Callable[[Places], AbstractContextManager[Mapping[str, State]]]
    slower: int = 1


def _processor_in(cgroup: Path) -> State:
    return lambda command: timed(command, cgroup).processor


@contextmanager
def _nothing(places: Places) -> Iterator[Mapping[str, State]]:
    yield {"nothing": _processor_in(places.mine)}


@contextmanager
def _empty_enter(places: Places) -> Iterator[Mapping[str, State]]:
    with hooks.attached((hooks.ENTER,)):
        yield {"empty enter": _processor_in(places.mine)}


@contextmanager
def _empty(places: Places) -> Iterator[Mapping[str, State]]:
    with hooks.attached(hooks.places()):
        yield {"empty hooks": _processor_in(places.mine)}


@contextmanager
def _full(places: Places) -> Iterator[Mapping[str, State]]:
    with recording(places.directory / "full", ["--cgroup", places.mine]) as agent:
        yield {"full": _processor_in(places.mine), "beside": _processor_in(places.other)}
    places.agents.append(agent)


@contextmanager
def _tier(tier: str, state: str, places: Places) -> Iterator[Mapping[str, State]]:
    with recording(places.directory / tier, ["--cgroup", places.mine, "--tier", tier]) as agent:
        yield {state: _processor_in(places.mine)}
    places.agents.append(agent)


@contextmanager
def _bpftrace(places: Places) -> Iterator[Mapping[str, State]]:
    with bpftrace():
        yield {"bpftrace": _processor_in(places.mine)}


@contextmanager
def _strace(places: Places) -> Iterator[Mapping[str, State]]:
    prefix = command_of(*STRACE)
    yield {"strace -c": lambda command: timed(command, places.mine, prefix=prefix).with_prefix}


@contextmanager
def _perf(places: Places) -> Iterator[Mapping[str, State]]:
    prefix = command_of(*PERF_SCRIPT)
    yield {"perf trace": lambda command: timed(command, places.mine, prefix=prefix).processor}


SETTINGS: tuple[Setting, ...] = (
    Setting(("nothing",), _nothing),
    Setting(("empty enter",), _empty_enter),
    Setting(("empty hooks",), _empty),
    Setting(("full", "beside"), _full),
    Setting(("no results",), partial(_tier, "calls", "no results")),
    Setting(("light",), partial(_tier, "light", "light")),
    Setting(("bpftrace",), _bpftrace),
    Setting(("strace -c",), _strace, slower=50),
    Setting(("perf trace",), _perf, slower=50),
)
