"""What a call, an opened file, a process and a connection cost, in loops that do nothing else.

Each round goes through all states, in turn forwards and backwards, so that a machine that changes
its speed changes it for all. The time is the processor time of the program in the loop, of which
the kernel side's work in its calls is part; the least of some repetitions stands for the round.
"""

from __future__ import annotations

import secrets
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.agent import Agent
from benchmarks.cgroups import cgroup
from benchmarks.machine import tracing_programs
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target
from benchmarks.states import SETTINGS, Places, Setting
from benchmarks.timing import UnavailableError
from tests.workloads import build_known, known

__all__ = ["LOOPS", "measure"]

_GETPPID, _OPENAT, _READ, _CLOSE = 110, 257, 0, 3
_AT_FDCWD = 0xFFFFFF9C
_FILE, _BYTES = "/etc/passwd", 16
_SHORT = 50


def _connections(count: int) -> list[str]:
    """Return a program that connects to itself, at an address where nothing waits to expire."""
    a, b, c = (secrets.randbelow(250) + 2 for _ in range(3))
    address, port = f"127.{a}.{b}.{c}", 20000 + secrets.randbelow(10000)
    return known(
        ["listen", port, address], ["repeat", count, [["connect", address, port], ["accept", 1]]]
    )


def _files(count: int) -> list[str]:
    opened = ["call", _OPENAT, 1, _AT_FDCWD, f"@{_FILE}", 0]
    taken = ["expect", _BYTES, "call", _READ, 1, 3, "@" + "-" * _BYTES, _BYTES]
    return known(["repeat", count, [opened, taken, ["call", _CLOSE, 1, 3]]])


@dataclass(frozen=True, slots=True)
class Loop:
    """*count* times the same; *command* makes the words that do it so often."""

    title: str
    count: int
    command: Callable[[int], list[str]]


LOOPS = {
    "calls": Loop(
        "What a call costs: `getppid`",
        1_000_000,
        lambda count: known(["call", _GETPPID, count]),
    ),
    "files": Loop("What an opened file costs: openat, read, close", 100_000, _files),
    "processes": Loop(
        "What a process costs: fork, exec, exit, wait",
        1_000,
        lambda count: known(["storm-exec", count, build_known(), "exit"]),
    ),
    "connections": Loop(
        "What a connection costs: connect, accept, close both, on loopback", 5_000, _connections
    ),
}


@dataclass(slots=True)
class _Seen:
    """Seconds for each time of each loop, a value a round, by (state, loop)."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = field(default_factory=dict)
    agents: list[Agent] = field(default_factory=list)


def measure(
    directory: Path, names: Sequence[str], *, rounds: int, is_quick: bool = False
) -> list[Part]:
    """Return a part for each of the loops *names*; each state is entered once a round for all."""
    seen = _Seen()
    others = 0
    for number in range(rounds):
        others = max(others, tracing_programs())
        say(f"{', '.join(names)}: round {number + 1} of {rounds}")
        order = SETTINGS if number % 2 == 0 else tuple(reversed(SETTINGS))
        with cgroup("mine") as mine, cgroup("other") as other:
            places = Places(directory, mine, other, seen.agents)
            for setting in order:
                _enter(setting, places, names, seen, is_quick=is_quick)
    parts = [_part(name, seen, rounds) for name in names]
    lost = sum(agent.lost for agent in seen.agents)
    parts[0].notes += [
        f"`{state}` could not run here: {why}" for state, why in seen.missing.items()
    ]
    parts[-1].notes.append(f"{lost:,} events lost" if lost else "nothing lost")
    if others:
        parts[0].notes.append(
            f"{others} tracing programs of others were loaded, so `nothing` is not nothing"
        )
    return parts


def _enter(
    setting: Setting, places: Places, names: Sequence[str], seen: _Seen, *, is_quick: bool
) -> None:
    """Do every loop in the states of *setting*, unless it turned out to be unavailable."""
    if setting.states[0] in seen.missing:
        return
    repetitions = 1 if is_quick else 3
    try:
        with setting.enter(places) as states:
            for name in names:
                loop = LOOPS[name]
                count = max(loop.count // (setting.slower * (_SHORT if is_quick else 1)), 10)
                for state, run in states.items():
                    taken = min(run(loop.command(count)) for _ in range(repetitions))
                    seen.seconds[state, name].append(taken / count)
    except UnavailableError as error:
        seen.missing[setting.states[0]] = str(error)


# --- what it comes to ------------------------------------------------------------------------

_COLUMNS = (
    Column("state"),
    Column("least", "seconds"),
    Column("median", "seconds"),
    Column("most", "seconds"),
    Column("of nothing", "ratio"),
    Column("over empty hooks", "seconds"),
)


def _part(name: str, seen: _Seen, rounds: int) -> Part:
    loop = LOOPS[name]
    part = Part(name, loop.title, f"processor time of the caller for one; {rounds} rounds")
    values = {state: times for (state, of), times in seen.seconds.items() if of == name}
    states = [state for setting in SETTINGS for state in setting.states if state in values]
    base, floor = min(values["nothing"]), min(values["empty hooks"])
    rows = [
        (
            state,
            min(values[state]),
            statistics.median(values[state]),
            max(values[state]),
            min(values[state]) / base,
            None if state == "nothing" else min(values[state]) - floor,
        )
        for state in states
    ]
    part.tables.append(Table(_COLUMNS, tuple(rows)))
    if name == "calls":
        least = {state: min(times) for state, times in values.items()}
        part.targets += [
            Target(
                "everything, over the same hooks empty", least["full"] - floor, 60e-9, "seconds"
            ),
            Target(
                "without refused calls and errnos, over an empty `sys_enter`",
                least["no results"] - least["empty enter"],
                30e-9,
                "seconds",
            ),
        ]
    return part
