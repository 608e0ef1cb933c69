"""Writes a window: from what the kernel side drained to rows for the sink."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ethogram.contracts.events import GRAM_NEW, STRUCTS, RecordKind
from ethogram.contracts.flags import CHANGES
from ethogram.contracts.flags import is_open as opens
from ethogram.contracts.tables import ENUMS
from profiler import assembly, flows
from profiler.arguments import argument_columns
from profiler.clock import BootClock
from profiler.instances import Instance
from profiler.loaders.base import Drained
from profiler.losses import Losses, Lost
from profiler.names import DnsRows, OnAnswer
from profiler.processes import ExecIds, Executables, Processes
from profiler.registry import Registry
from profiler.ring import Records, with_small_as_one
from profiler.sets import PENDING, WANTED, Carried
from profiler.sights import Sights, peer_of
from profiler.sink import Sink
from profiler.withholding import Withholding

__all__ = ["WindowReport", "WindowWriter"]

_REPLIES = (RecordKind.PACKET, RecordKind.SEGMENT)
_LIFE = (RecordKind.EXEC, RecordKind.EXEC_FAILED, RecordKind.FORK, RecordKind.EXIT)
_NEW_SHOWN = 5
# At the end digests of executables are waited for so long.
_SETTLE_S = 5.0
_OUT = ENUMS["direction"].index("out")


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What one window came to, for a screen. `new` names what was never seen before."""

    window: int
    calls: int
    execs: int
    files: int
    peers: int
    lost: int
    workloads: int
    new: tuple[str, ...]
    seconds: float
    opens: int = 0
    connects: int = 0


class WindowWriter:
    """Turns drained windows into rows. Workloads whose name is still to come are kept back.

    Writing takes its time: *meanwhile* is called again and again for what cannot wait. *is_blind*:
    the kernel refused a program, and no window is called complete. *plain* gets the keys of each
    window by their set: of opens and peers of which a row says all.
    """

    def __init__(
        self,
        *,
        sink: Sink,
        registry: Registry,
        processes: Processes,
        executables: Executables,
        ids: ExecIds,
        clock: BootClock,
        unknown: frozenset[str] = frozenset(),
        is_blind: bool = False,
        withholding: Withholding | None = None,
        meanwhile: Callable[[], None] = lambda: None,
        on_answer: OnAnswer | None = None,
        plain: dict[str, np.ndarray] | None = None,
    ) -> None:
        self._sink = sink
        self._unknown = unknown
        self._is_blind = is_blind
        self._withholding = withholding or Withholding()
        self._meanwhile = meanwhile
        self._registry = registry
        self._processes = processes
        self._executables = executables
        self._ids = ids
        self._clock = clock
        self._carried = Carried()
        self._records: dict[RecordKind, list[Records]] = defaultdict(list)
        self._dns = DnsRows(registry, executables, clock, on_answer=on_answer)
        self._sights = Sights()
        self._used: set[int] = {0}
        self._losses = Losses(registry)
        self._activity: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        self._plain = {} if plain is None else plain
        # Keys of sequences that the workload's model does not know, of what was written last.
        self.new_grams = np.zeros(0, STRUCTS["gram_key"].dtype)
        self.calls = 0
        self.lost = 0
        self.losses: Counter[tuple[str, str, str]] = Counter()

    def write(
        self, drained: Drained, started_ns: int, ended_ns: int, *, is_last: bool = False
    ) -> WindowReport:
        """Write *drained*, which began and ended at these times since boot, and flush it.

        After the last window no name comes any more: what still waits for one is lost, and said.
        """
        window = drained.window
        self._plain.clear()
        self._keep_records(drained)
        new = self._take_life(drained)
        losses = self._losses.take(drained, is_last=is_last)
        sets = {name: self._sorted(name, value, window) for name, value in drained.sets.items()}
        calls = self._sorted_calls(drained.calls, window)
        if overflow := self._executables.take_overflow():
            losses[None, None, "map_full", "executables"] += overflow
        losses.update(self._losses.unnamed(self._carried, is_last=is_last))
        new += self._write_processes()
        self._write_calls(calls)
        self._write_arguments(*sets["arguments"], calls)
        self._write_small(sets)
        new += self._write_files(*sets["files"], window=window)
        for what, passed in drained.passed.items():
            self._count_passed(what, passed)
        new += self._write_network(*sets["flows"], window=window, is_open=False)
        new += self._write_unix(*sets["unix_flows"], is_open=False)
        losses.update(self._dns.take_lost())
        self._write_operations(window)
        if is_last:
            self._executables.settle(self._used, _SETTLE_S)
        self._append("executables", self._executables.take_rows(self._used))
        self._write_whose()
        self._append("losses", assembly.loss_columns(window, losses))
        self._write_coverage(window, started_ns, ended_ns, losses)
        self._append("windows", self._span(window, started_ns, ended_ns))
        self._sink.flush(between=self._meanwhile)
        report = self._report(window, sets, losses, new, (ended_ns - started_ns) / 1e9)
        self._activity.clear()
        return report

    def look(self, drained: Drained, started_ns: int, now_ns: int) -> None:
        """Write what *drained* has of a window that is still open, and have it looked at.

        What is lost, and how much was watched, is told at its end.
        """
        window = drained.window
        self._keep_records(drained)
        self._take_life(drained)
        sets = {name: self._sorted(name, value, window) for name, value in drained.sets.items()}
        calls = self._sorted_calls(drained.calls, window)
        self._write_processes()
        self._write_calls(calls)
        self._write_small(sets)
        self._write_files(*sets["files"], window=window, is_open=True)
        self._write_network(*sets["flows"], window=window)
        self._write_unix(*sets["unix_flows"])
        self._write_operations(window)
        self._append("executables", self._executables.take_rows(self._used))
        self._write_whose()
        self._sink.look(self._span(window, started_ns, now_ns), between=self._meanwhile)

    def _take_life(self, drained: Drained) -> list[str]:
        new: list[str] = []
        self._processes.take(
            ((kind, batch) for kind in _LIFE for batch in drained.records.pop(kind, [])),
            drained.window,
            write=lambda: new.extend(self._write_processes(is_end=False)),
        )
        return new

    def _write_whose(self) -> None:
        self._append("workloads", self._registry.changed_workloads())
        self._append("instances", self._registry.changed_instances())

    def _span(self, window: int, started_ns: int, ended_ns: int) -> dict[str, list[int]]:
        utc = self._clock.utc_ns
        return {"window": [window], "start": [utc(started_ns)], "end": [utc(ended_ns)]}

    def write_addresses(self, rows: list[dict[str, object]]) -> None:
        """Write *rows* of table `addresses`; they count from this window on."""
        self._append("addresses", {name: [row[name] for row in rows] for name in rows[0]})

    # --- what goes, what waits -----------------------------------------------------------------

    def _sorted(
        self, name: str, value: tuple[np.ndarray, np.ndarray], window: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._carried.sort_out(name, value, window, self._registry)

    def _sorted_calls(self, calls: np.ndarray, window: int) -> np.ndarray:
        keys = calls[["slot", "window", "nr", "arch"]].copy()
        keys, counts = self._sorted("calls", (keys, calls["calls"].copy()), window)
        rows = np.zeros(len(keys), calls.dtype)
        for name in keys.dtype.names or ():
            rows[name] = keys[name]
        rows["calls"] = counts
        return rows

    def _keep_records(self, drained: Drained) -> None:
        """Keep paths, operations and packets until their slot has a verdict."""
        for kind in (RecordKind.FILE, RecordKind.OPERATION, *_REPLIES):
            for batch in drained.records.get(kind, []):
                self._records[kind].append(batch)

    def _take_records(self, kind: RecordKind, window: int) -> list[Records]:
        """Return the kept records of workloads to be written; those that wait stay."""
        goes, stays = [], []
        for batch in self._records.pop(kind, []):
            verdicts = self._registry.verdicts(batch.heads["slot"])
            is_late = batch.heads["window"] > window
            waits = (verdicts == PENDING) | (is_late & (verdicts == WANTED))
            goes.append(_chosen(batch, (verdicts == WANTED) & ~is_late))
            stays.append(_chosen(batch, waits))
        self._records[kind] = [batch for batch in stays if batch.tails]
        return [batch for batch in goes if batch.tails]

    def _records_of(self, keys: np.ndarray) -> list[Records]:
        """Return copies of the paths that files with these keys may have."""
        if not len(keys):
            return []
        batches = self._records[RecordKind.FILE] = with_small_as_one(self._records[RecordKind.FILE])
        found = (_chosen(b, np.isin(b.heads["fingerprint"], keys["fingerprint"])) for b in batches)
        return [batch for batch in found if batch.tails]

    # --- tables --------------------------------------------------------------------------------

    def _append(self, table: str, columns: dict[str, Any]) -> dict[str, Any]:
        """Hand on *columns*, and return them without what rules withhold."""
        rows = len(next(iter(columns.values())))
        if rows:
            columns = self._withholding.of(table, columns)
            nothing = {
                name: [None] * rows for name in columns if f"{table}.{name}" in self._unknown
            }
            self._sink.append(table, columns | nothing)
            self._meanwhile()
            if "exe" in columns and table != "executables":
                self._used.update(map(int, columns["exe"]))
        return columns

    def _keyed(self, keys: np.ndarray) -> dict[str, Any]:
        return {"window": keys["window"], **self._registry.columns_of(keys["slot"])}

    def _count(self, slots: np.ndarray, what: str, counts: np.ndarray) -> None:
        used, inverse = np.unique(slots, return_inverse=True)
        totals = np.zeros(len(used), np.uint64)
        np.add.at(totals, inverse, counts)
        for slot, total in zip(used.tolist(), totals.tolist(), strict=True):
            found = self._registry.slots[slot]
            self._activity[found.instance.number, found.phase][what] += total

    def _write_processes(self, *, is_end: bool = True) -> list[str]:
        began, columns = self._processes.take_rows(is_end=is_end)
        if not columns["exec_id"]:
            return []
        self._append("processes", columns)
        self._count(np.array(began, np.uint32), "execs", np.ones(len(began), np.uint64))
        executed = [self._withholding.shown(self._executables.paths[exe]) for exe in columns["exe"]]
        return self._sights.new("exec", executed)

    def _write_calls(self, calls: np.ndarray) -> None:
        if not len(calls):
            return
        self.calls += int(calls["calls"].sum())
        self._count(calls["slot"], "calls", calls["calls"])
        self._append("syscalls", self._keyed(calls) | assembly.syscalls_columns(calls))

    def _write_arguments(self, keys: np.ndarray, values: np.ndarray, calls: np.ndarray) -> None:
        if len(keys) and "arguments" not in self._unknown:
            keys, columns = argument_columns(keys, values, calls)
            self._append("arguments", self._keyed(keys) | columns)

    def _write_small(self, sets: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        ids = self._ids
        if len(keys := sets["errors"][0]):
            columns = assembly.errors_columns(keys, sets["errors"][1])
            self._append("errors", self._keyed(keys) | columns)
        if len(keys := sets["denials"][0]):
            columns = assembly.denied_columns(keys, sets["denials"][1], ids)
            self._append("denied", self._keyed(keys) | columns)
        keys, values = sets["grams"]
        self.new_grams = keys[values >= GRAM_NEW]
        if len(keys):
            self._append("ngrams", self._keyed(keys) | assembly.ngrams_columns(keys))
        if len(keys := sets["privileges"][0]):
            columns = assembly.privileges_columns(keys, sets["privileges"][1], ids)
            self._append("privileges", self._keyed(keys) | columns)

    def _write_files(
        self, keys: np.ndarray, values: np.ndarray, *, window: int, is_open: bool = False
    ) -> list[str]:
        """Write what has a path. The paths of a window that *is_open* stay: others ask for them."""
        kept = self._records_of(keys) if is_open else None
        batches = self._take_records(RecordKind.FILE, window) if kept is None else kept
        if not len(keys):
            return []
        canonical = self._registry.canonical()
        for batch in batches:
            batch.heads["slot"] = canonical[batch.heads["slot"]]
        keys, columns = assembly.files_columns(
            keys, values, batches, self._executables, self._clock
        )
        if not is_open:
            self._plain["files"] = keys[self._are_plain(keys, columns)]
        shown = self._append("files", self._keyed(keys) | columns)["path"]
        opened = (keys["errnum"] == 0) & opens(keys["access"])
        self._count(keys["slot"][opened], "opens", columns["calls"][opened])
        return self._sights.new("file", shown)

    def _are_plain(self, keys: np.ndarray, columns: dict[str, Any]) -> np.ndarray:
        """Return which are opens by a known executable, of a file by the name that it has."""
        by_own_name = [asked is None for asked in columns["asked"]]
        opened = (keys["errnum"] == 0) & ((columns["access"] & int(CHANGES)) == 0)
        plain: np.ndarray = opened & ~columns["truncated"] & opens(keys["access"])
        plain &= self._are_known(columns) & np.array(by_own_name, bool)
        return plain

    def _count_passed(self, what: str, passed: Mapping[int, int]) -> None:
        """Count what was allowed, and of which no more was told."""
        slots = [slot for slot in passed if slot in self._registry.slots]
        counts = np.array([passed[slot] for slot in slots], np.uint64)
        wanted = self._registry.verdicts(np.array(slots, np.uint32)) == WANTED
        self._count(np.array(slots, np.uint32)[wanted], what, counts[wanted])

    def _are_known(self, columns: dict[str, Any]) -> np.ndarray:
        """Return which are of an executable whose path is known."""
        return np.array([bool(self._executables.paths[exe]) for exe in columns["exe"]], bool)

    def _write_network(
        self, keys: np.ndarray, values: np.ndarray, *, window: int, is_open: bool = True
    ) -> list[str]:
        replies = [batch for kind in _REPLIES for batch in self._take_records(kind, window)]
        self._append("dns", self._dns.take(replies))
        if not len(keys):
            return []
        says = flows.begun(keys, values)
        keys, values = keys[says], values[says]
        columns = flows.network_columns(keys, values, self._executables, self._clock)
        columns["name"], columns["name_trust"] = self._dns.names_of(keys, columns)
        if not is_open:
            is_plain = self._are_known(columns) & (keys["nat_port"] == 0)
            self._plain["flows"] = keys[is_plain]
        self._append("network", self._keyed(keys) | columns)
        is_out = keys["direction"] == _OUT
        self._count(keys["slot"][is_out], "connects", values["connections"][is_out])
        peers = [peer_of(columns, index) for index in range(len(keys))]
        return self._sights.new("peer", peers)

    def _write_unix(
        self, keys: np.ndarray, values: np.ndarray, *, is_open: bool = True
    ) -> list[str]:
        if not len(keys):
            return []
        columns = flows.unix_columns(keys, values, self._executables, self._clock)
        if not is_open:
            self._plain["unix_flows"] = keys[self._are_known(columns)]
        shown = self._append("network", self._keyed(keys) | columns)["unix_path"]
        is_out = keys["direction"] == _OUT
        self._count(keys["slot"][is_out], "connects", values["connections"][is_out])
        peers = zip(shown, is_out.tolist(), strict=True)
        return self._sights.new("peer", [path for path, out in peers if out])

    def _write_operations(self, window: int) -> None:
        batches = self._take_records(RecordKind.OPERATION, window)
        if not batches:
            return
        slots, windows, columns = assembly.operations_columns(batches, self._ids)
        keyed = {"window": windows, **self._registry.columns_of(slots)}
        self._append("privileges", keyed | columns)

    def _write_coverage(
        self, window: int, started_ns: int, ended_ns: int,
        losses: Lost,
    ) -> None:  # fmt: skip
        rows: list[tuple[Instance, int]] = []
        lossy = {instance for _, instance, _, _ in losses}
        active: defaultdict[int, set[int]] = defaultdict(set)
        for number, phase in self._activity:
            active[number].add(phase)
        for instance in self._registry.instances():
            phases = active.get(instance.number, set())
            if instance.verdict == "wanted" and (phases or instance.ended_ns is None):
                current = self._registry.current_phase(instance)
                rows += [(instance, phase) for phase in sorted(phases | {current})]
        seen = [self._activity[instance.number, phase] for instance, phase in rows]
        self._append(
            "coverage",
            {
                "window": [window] * len(rows),
                "workload": [instance.workload for instance, _ in rows],
                "instance": [instance.number for instance, _ in rows],
                "phase": np.array([phase for _, phase in rows], np.uint8),
                "observed_ns": [_overlap(i, started_ns, ended_ns) for i, _ in rows],
                **{name: [counted[name] for counted in seen]
                   for name in ("calls", "execs", "opens", "connects")},
                "state": [self._state(i.number, lossy) for i, _ in rows],
            },
        )  # fmt: skip

    def _state(self, instance: int, lossy: set[int | None]) -> str:
        if instance in lossy or None in lossy:
            return "incomplete"
        return "blind" if self._is_blind else "complete"

    # --- for the screen --------------------------------------------------------------------------

    def _report(
        self, window: int, sets: dict[str, tuple[np.ndarray, np.ndarray]],
        losses: Lost, new: list[str], seconds: float,
    ) -> WindowReport:  # fmt: skip
        lost = losses.total()
        self.lost += lost
        if lost:
            names = self._registry.workload_keys()
            for (workload, _, kind, place), number in losses.items():
                self.losses[kind, place, names.get(workload, "")] += number
        totals: Counter[str] = sum(self._activity.values(), Counter())
        return WindowReport(
            window=window,
            calls=totals["calls"],
            execs=totals["execs"],
            files=len(sets["files"][0]),
            peers=len(sets["flows"][0]) + len(sets["unix_flows"][0]),
            lost=lost,
            workloads=self._registry.workload_count(),
            new=tuple(new[:_NEW_SHOWN]),
            seconds=seconds,
            opens=totals["opens"],
            connects=totals["connects"],
        )


def _chosen(batch: Records, mask: np.ndarray) -> Records:
    tails = [tail for tail, is_chosen in zip(batch.tails, mask, strict=True) if is_chosen]
    return Records(batch.heads[mask], tails)


def _overlap(instance: Instance, started_ns: int, ended_ns: int) -> int:
    end = ended_ns if instance.ended_ns is None else min(instance.ended_ns, ended_ns)
    return max(0, end - max(instance.started_ns, started_ns))
