"""Throughput of real services: untouched, beside empty hooks, recorded whole and recorded light."""

from __future__ import annotations

import statistics
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import hooks
from benchmarks.agent import Agent, map_bytes, pss_bytes, recording
from benchmarks.cgroups import cgroup
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target
from benchmarks.servers import SERVICES, Load, Service, own_directory

__all__ = ["measure"]

_WARM_S = 0.3  # connections are made, caches filled
_WINDOWS_S = 21.0  # four windows and a part of one
_HOUR_S = 3600
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Running:
    service: Service
    cgroup: Path
    load: Load


@dataclass(frozen=True, slots=True)
class _Taken:
    """What the recorder took while a service was loaded."""

    agent: Agent
    processor: float
    pss: int
    maps: int


def measure(directory: Path, *, rounds: int, is_quick: bool = False) -> Part:
    """Return the part: some seconds for each service and state a round, and longer recordings."""
    seconds = 0.3 if is_quick else 2.0
    part = Part(
        "services",
        "What real services lose",
        f"requests or compiled files a second of time that passed; {rounds} rounds of "
        f"{seconds:g} s in each state",
    )
    with ExitStack() as stack:
        running = list(_started(directory, stack, part))
        rates: dict[tuple[str, str], list[float]] = defaultdict(list)
        for each in running:
            for number in range(rounds):
                _round(directory, each, number, rounds, seconds, rates)
        recorded = running[:1] if is_quick else running
        taken = {
            each.service.name: _recorded(directory, each, 1 if is_quick else _WINDOWS_S)
            for each in recorded
        }
    if running:
        names = [each.service.name for each in running]
        part.tables += [_rates(running, rates), _losses(names, rates), _agents(taken)]
        part.targets += _targets(names, rates, taken)
    return part


def _started(directory: Path, stack: ExitStack, part: Part) -> Iterator[_Running]:
    """Start every service that can run here, each in its own cgroup."""
    for service in SERVICES:
        if missing := service.missing():
            programs = ", ".join(f"`{name}`" for name in missing)
            part.notes.append(f"{service.name} could not run here: {programs} not installed")
            continue
        say(f"services: {service.name} starts")
        here = own_directory(directory / service.name)
        place = stack.enter_context(cgroup(service.name.lower()))
        yield _Running(service, place, stack.enter_context(service.run(here, place)))


def _settings(
    directory: Path, each: _Running
) -> Mapping[str, Callable[[], AbstractContextManager[Any]]]:
    target = ("--cgroup", each.cgroup)
    return {
        "nothing": nullcontext,
        "empty hooks": lambda: hooks.attached(hooks.places()),
        "full": lambda: recording(directory / "full", target),
        "light": lambda: recording(directory / "light", target, "--tier", "light"),
    }


def _round(
    directory: Path,
    each: _Running,
    number: int,
    rounds: int,
    seconds: float,
    rates: dict[tuple[str, str], list[float]],
) -> None:
    """Load one service in each state, one right after the other: the machine's speed drifts."""
    say(f"services: {each.service.name}, round {number + 1} of {rounds}")
    settings = list(_settings(directory, each).items())
    for state, enter in settings if number % 2 == 0 else reversed(settings):
        with enter():
            each.load(_WARM_S)
            rates[each.service.name, state].append(each.load(seconds))


def _recorded(directory: Path, each: _Running, seconds: float) -> _Taken:
    """Record one service at full load, for as long as some windows last."""
    say(f"services: {each.service.name} recorded for {seconds:g} s")
    with recording(directory / "long", ["--cgroup", each.cgroup]) as agent:
        busy = agent.busy_s()
        with _sampled(agent.pid) as most:
            each.load(seconds)
        busy = agent.busy_s() - busy
        maps = map_bytes(agent.pid)
    return _Taken(agent, busy / agent.seconds, max(most), maps)


@contextmanager
def _sampled(pid: int) -> Iterator[list[int]]:
    """Look at the memory of *pid* once a second while the block runs."""
    seen = [pss_bytes(pid)]
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(1):
            seen.append(pss_bytes(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


# --- what it comes to ------------------------------------------------------------------------

_STATES = ("nothing", "empty hooks", "full", "light")


def _rates(running: list[_Running], rates: Mapping[tuple[str, str], list[float]]) -> Table:
    columns = (
        Column("a second"),
        *(Column(name, "rate") for name in ("least", "median", "most")),
        Column("of nothing", "share"),
    )
    rows = []
    for each in running:
        name = each.service.name
        base = statistics.median(rates[name, "nothing"])
        for state in _STATES:
            values = rates[name, state]
            middle = statistics.median(values)
            title = f"{name}, {each.service.unit}: {state}"
            rows.append((title, min(values), middle, max(values), middle / base))
    return Table(columns, tuple(rows))


def _lost(name: str, state: str, rates: Mapping[tuple[str, str], list[float]]) -> list[float]:
    """Return the share of the untouched throughput that *state* lost, in each round."""
    return [
        1 - rate / base
        for rate, base in zip(rates[name, state], rates[name, "nothing"], strict=True)
    ]


def _below(name: str, rates: Mapping[tuple[str, str], list[float]]) -> list[float]:
    full, empty = (_lost(name, state, rates) for state in ("full", "empty hooks"))
    return [a - b for a, b in zip(full, empty, strict=True)]


def _losses(names: list[str], rates: Mapping[tuple[str, str], list[float]]) -> Table:
    columns = (
        Column("lost of the throughput, %, median of rounds (least, most)"),
        *(Column(name) for name in (*_STATES[1:], "full below empty hooks")),
    )
    rows = []
    for name in names:
        values = [*(_lost(name, state, rates) for state in _STATES[1:]), _below(name, rates)]
        rows.append((name, *map(_spread, values)))
    return Table(columns, tuple(rows))


def _spread(values: list[float]) -> str:
    middle, least, most = (
        100 * value for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle:.1f} ({least:.1f}, {most:.1f})"


def _agents(taken: Mapping[str, _Taken]) -> Table:
    columns = (
        Column("recorder"),
        Column("of one processor", "share"),
        Column("its memory (PSS)", "bytes"),
        Column("BPF maps", "bytes"),
        Column("Parquet an hour", "bytes"),
        Column("events lost", "count"),
    )
    rows = tuple(
        (
            name,
            each.processor,
            each.pss,
            each.maps,
            each.agent.size_bytes * _HOUR_S / each.agent.seconds,
            each.agent.lost,
        )
        for name, each in taken.items()
    )
    return Table(columns, rows)


def _targets(
    names: list[str],
    rates: Mapping[tuple[str, str], list[float]],
    taken: Mapping[str, _Taken],
) -> Iterator[Target]:
    for name in names:
        points = statistics.median(_below(name, rates))
        yield Target(f"{name}: full below empty hooks, points", points, 0.03, "points")
        light = statistics.median(_lost(name, "light", rates))
        yield Target(f"{name}: light below nothing, %", light, 0.01, "points")
    yield Target(
        "memory of the recorder (PSS), the most seen",
        max(each.pss for each in taken.values()),
        100 * _MIB,
        "bytes",
    )
