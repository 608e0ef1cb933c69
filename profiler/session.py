"""One run of the kernel side: attach, seed, drain by windows, hand the rows to a sink, end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np

from ethogram.contracts.events import RecordKind
from ethogram.contracts.manifest import Program, Stopped
from ethogram.errors import PreflightError
from profiler import privileges
from profiler.allowed_programs import AllowedPrograms
from profiler.clock import BootClock
from profiler.cluster import open_cluster
from profiler.command import CommandRun, resolve_command
from profiler.first_callers import FirstCallers
from profiler.hashes import Hashes
from profiler.host import HostFacts
from profiler.identity.hierarchy import Hierarchy, unified_mount
from profiler.identity.inventory import Inventory
from profiler.identity.resolver import Resolver
from profiler.identity.runtimes import version_of
from profiler.loaders import attach_loader
from profiler.loaders.base import KernelConfig, KnownGrams, Loader
from profiler.loaders.optional import OPTIONAL_PROGRAMS
from profiler.loading import load_rest
from profiler.looks import Looks
from profiler.memory import give_back_memory
from profiler.options import SessionOptions
from profiler.own_cgroup import PARENT
from profiler.passing import Passing
from profiler.preamble import redactor, write_ready
from profiler.processes import ExecIds, Executables, Processes
from profiler.pulse import Pulse
from profiler.pushed import Pushed, by_instance
from profiler.registry import Registry
from profiler.ring import Records
from profiler.sink import Sink
from profiler.window import WindowReport, WindowWriter
from profiler.withholding import Withholding

__all__ = ["GRACE_S", "OnWindow", "Session"]

OnWindow = Callable[[WindowReport], None]

GRACE_S = 15.0
# Rings are emptied so often, and half as often while they are empty: what is new wakes at once.
_POLL_S, _POLL_IDLE_S = 0.05, 0.1
# While a new container has no name yet: it may live, and its runtime say so, for a moment only.
_POLL_NEW_S, _NEW_NS = 0.002, 300_000_000
# Of more than a few the older ones are asked for only so often: each takes most of a millisecond.
_FEW, _OLD_EVERY_NS = 50, 250_000_000
_PRIORITY = -10
_SWITCH_S = 0.0005  # each step of the thread that reads names waits for its turn this long
_SCAN_EVERY = 50  # of those polls: all state directories are read, not only the awaited one's
# After attaching: maps and rings stay readable. What remains is for reading what runtimes and
# processes say of themselves, and for ending the command of another user.
_KEPT = frozenset({"CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE", "CAP_KILL"})


class Session:
    """Watches what *options* name. `start`, `run`, `end`, and `close` in every case.

    `PreflightError` where this host cannot, `UsageError` for targets that do not exist.
    """

    def __init__(self, options: SessionOptions) -> None:
        if os.geteuid() != 0:
            raise PreflightError("recording needs root", hint="run it with `sudo`")
        unified_mount()
        self._options = options
        self.facts = HostFacts.read()
        self.clock = BootClock.now()
        self._hierarchy = Hierarchy()
        targets = options.targets
        self._cgroups = targets.cgroups(self._hierarchy)
        self._argv = targets.values if targets.kind == "command" else ()
        if self._argv:
            resolve_command(self._argv)
        self._inventory = Inventory.load(options.inventory) if options.inventory else None
        self._cluster = open_cluster(options.kubernetes, self._utc_ns)
        self._cluster_version = 0
        known = self._cluster.store if self._cluster else self._inventory
        self._resolver = Resolver(inventory=known, cluster=options.cluster, host_name=options.node)
        self._named = targets.roots(self._cgroups)
        self._registry = Registry(
            self._resolver, self.clock, choose=targets.choose, on_made=self._take_back
        )
        self._ids = ExecIds(self.facts.host_id, self.facts.boot_id)
        self.callers = FirstCallers(self._registry.slots, self._ids)
        self._hashes = Hashes()
        self._executables = Executables(self.clock, self._hashes)
        self.allowed = AllowedPrograms(self._registry, self._executables)
        self._withholding = Withholding(options.redaction)
        self._processes = Processes(
            self._registry,
            self._executables,
            self._ids,
            self.clock,
            redact=redactor(options, is_container=self._registry.is_container),
            meanwhile=self._glance,
        )
        self.looks = Looks(self._registry.instance_of)
        self._loader: Loader | None = None
        self._writer: WindowWriter | None = None
        self._command: CommandRun | None = None
        self._silenced: set[int] = set()
        self._pushed = Pushed()
        self.passing = Passing(self._registry)
        self._window_began = 0
        self._polls = 0
        self._asked_all = 0
        self._is_live = False
        self._is_idle = False
        self.pulse = Pulse(unified_mount() / PARENT)
        self.command_exit: int | None = None
        self.windows = 0
        self.has_begun = False
        # Why `--loader auto` took another than `core`.
        self.loader_reason: str | None = None

    # --- what came of it ---------------------------------------------------------------------

    @property
    def programs(self) -> tuple[Program, ...]:
        """The kernel programs, attached or refused."""
        return tuple(
            Program(name=p.name, hook=p.hook, tier=p.tier, state=p.state, error=p.error)
            for p in self._attached.programs
        )

    @property
    def loader_name(self) -> str:
        return self._attached.name

    @property
    def calls(self) -> int:
        return self._writer.calls if self._writer else 0

    @property
    def lost(self) -> int:
        return self._writer.lost if self._writer else 0

    @property
    def losses(self) -> dict[tuple[str, str, str], int]:
        """What was lost, by kind, place and key of the workload, the most first."""
        return dict(self._writer.losses.most_common()) if self._writer else {}

    @property
    def workloads(self) -> int:
        return self._registry.workload_count()

    @property
    def redacted(self) -> int:
        """How many arguments were withheld."""
        return self._processes.redacted

    @property
    def withheld(self) -> dict[str, int] | None:
        """How many values each rule of `--redact-rules` changed; None without rules."""
        return dict(self._withholding.counts) if self._options.redaction else None

    @property
    def refused(self) -> list[str]:
        """The programs that the kernel refused, without what a tier does not count on."""
        return [
            one.name
            for one in self._attached.programs
            if one.state == "refused" and one.name not in OPTIONAL_PROGRAMS
        ]

    def digest_of(self, exe: int) -> str | None:
        """Return the SHA-256 of executable number *exe* where no row has it yet, but the next."""
        return self._hashes.peek(exe)

    def tampered(self) -> tuple[tuple[str, str], ...]:
        """Return the programs that are not attached as they were, and what was done to each."""
        return tuple(self._attached.tampered())

    def is_armed(self) -> bool:
        """Say whether the kernel side still records."""
        return self._attached.is_armed()

    @property
    def _attached(self) -> Loader:
        assert self._loader is not None, "the session was not started"
        return self._loader

    # --- start -------------------------------------------------------------------------------

    def start(self, open_sink: Callable[[], Sink]) -> tuple[str, ...]:
        """Attach, open the sink, seed what runs already, and begin; return dropped privileges."""
        options = self._options
        self.loader_reason = attach_loader(
            options.loader,
            KernelConfig(
                record_by_default=options.targets.records_by_default,
                recorder_tgid=os.getpid(),
                tier=options.tier,
                startup_ns=options.startup_ms * 1_000_000,
                tells_news=options.looks,
                knows_grams=options.knows_grams,
            ),
            self._opened,
        )
        loader = self._attached
        if options.looks and loader.without_news:
            options.tell(f"findings come when windows end, not at once: {loader.without_news}")
        sink = open_sink()
        self._writer = WindowWriter(
            sink=sink,
            registry=self._registry,
            processes=self._processes,
            executables=self._executables,
            ids=self._ids,
            clock=self.clock,
            unknown=loader.unknown,
            is_blind=bool(self.refused),
            withholding=self._withholding,
            meanwhile=self._glance,
            on_answer=self._cluster.store.resolved if self._cluster else None,
            plain=self.passing.plain,
        )
        seeds = self._take_new_names()
        self._is_live = True
        if self._argv:
            self._prepare_command()
        for runtime in ("runc", "crun"):
            version_of(runtime)  # asked for once, while it may be run
        # After the command was forked, which keeps its own. On a busy host a container may else
        # be gone before its name was asked for.
        with suppress(PermissionError):  # a pod without CAP_SYS_NICE is slower, no more
            os.setpriority(os.PRIO_PROCESS, 0, min(_PRIORITY, os.getpriority(os.PRIO_PROCESS, 0)))
        loader.arm()
        self._window_began = self.clock.boot_ns()
        self._write_addresses(sink)
        if options.ready_file:
            write_ready(options.ready_file)
        dropped = privileges.drop(_KEPT)
        self._resolver.watch()  # a thread, which has what is left
        self._hashes.start()  # as this
        if self._cluster:
            self._cluster.start()  # and more of them
        sys.setswitchinterval(_SWITCH_S)
        self._processes.read_snapshots(seeds.get(RecordKind.EXEC, []))
        if self._command:
            self._command.release()
        self.has_begun = True
        load_rest()
        give_back_memory()
        return dropped

    def _opened(self, loader: Loader) -> Callable[[], None]:
        self._loader = self.passing.loader = self.allowed.loader = loader
        return self._set_targets

    def _set_targets(self) -> None:
        """Tell the kernel side what to record, before what runs already is seeded."""
        self._registry.host_mntns = self._attached.host_mntns
        for path, number in self._hierarchy.walk():
            self._registry.cgroup_made(number, path)
        for _, number in self._cgroups:
            self._attached.set_target(number, is_recorded=True)
        self._named = self._attached.expect(self._named)

    def _take_back(self, cgroup_id: int, path: str) -> None:
        """Record a cgroup that was named and is made anew: a unit or container was restarted."""
        if path in self._named:
            self._attached.set_target(cgroup_id, is_recorded=True)

    def _prepare_command(self) -> None:
        run = self._command = CommandRun.prepare(
            self._argv,
            hierarchy=self._hierarchy,
            spares_stdout=self._options.spares_stdout,
        )
        self._registry.cgroup_made(run.cgroup_id, run.cgroup_path)
        self._resolver.register_command(run.cgroup_path, self._argv, run.run_id)
        self._attached.set_target(run.cgroup_id, is_recorded=True)

    def _write_addresses(self, sink: Sink) -> None:
        if self._inventory is None:
            return
        since = self.clock.utc_ns(self._window_began)
        rows = [row.row(valid_from_ns=since) for row in self._inventory.addresses()]
        if rows:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            sink.append("addresses", self._withholding.of("addresses", columns))

    def _ask_cluster(self) -> None:
        """Take what the cluster said since the last time: names of pods, and addresses."""
        if self._cluster is None:
            return
        for line in self._cluster.news():
            self._options.tell(line)
        if self._cluster.store.version == self._cluster_version:
            return
        self._cluster_version = self._cluster.store.version
        self._registry.resolve_again(self._cluster.store.take_namespaces())
        rows = self._cluster.store.take_addresses()
        if rows and self._writer is not None:
            self._writer.write_addresses(rows)

    def _utc_ns(self) -> int:
        return self.clock.utc_ns(self.clock.boot_ns())

    # --- run ---------------------------------------------------------------------------------

    def run(
        self,
        on_window: OnWindow | None,
        stop: threading.Event,
        *,
        is_enough: Callable[[], bool] = lambda: False,
    ) -> Stopped:
        """Drain until *stop* is set, the duration is over, the command ended, or it *is_enough*.

        The latter is asked after each window.
        """
        began = self.clock.boot_ns()
        limit = self._options.duration_s
        while not stop.is_set():
            self._pause(self._attached)
            self._take()
            now = self.clock.boot_ns()
            if now - self._window_began >= self._options.window_ms * 1_000_000:
                self._end_window(on_window)
                if is_enough():
                    return "settled"
            elif self.looks.due_ns(now) == 0:
                self._look()
            if limit is not None and now - began >= limit * 1e9:
                return "duration"
            if self._command and (status := self._command.poll()) is not None:
                self.command_exit = status
                return "command"
        return "asked"

    def _pause(self, loader: Loader) -> None:
        since = self.clock.boot_ns() - _NEW_NS
        is_urgent = self._registry.has_pending(newer_than_ns=since)
        limit_s = _POLL_IDLE_S if self._is_idle else _POLL_S
        limit_s = _POLL_NEW_S if is_urgent else limit_s
        due_ns = self.looks.due_ns(self.clock.boot_ns())
        loader.wait(limit_s if due_ns is None else min(limit_s, due_ns / 1e9))

    def _take(self) -> None:
        """Empty the rings, and give names to what is new while it still lives."""
        self._is_idle = not self._take_new_names()
        if self._registry.has_pending():
            self._polls += 1
            if self._polls % _SCAN_EVERY == 1:
                self._resolver.prefetch()
            now = self.clock.boot_ns()
            is_few = self._registry.open_count() <= _FEW
            is_turn = is_few or now - self._asked_all >= _OLD_EVERY_NS
            self._asked_all = now if is_turn else self._asked_all
            self._registry.resolve_pending(newer_than_ns=0 if is_turn else now - _NEW_NS)

    def _take_new_names(self) -> dict[RecordKind, list[Records]]:
        taken = self._attached.poll()
        self.pulse.take(taken, self.clock.boot_ns())
        self._registry.take(taken, is_live=self._is_live)
        self.looks.note(taken.get(RecordKind.NEWS, ()))
        return taken

    def _glance(self) -> None:
        """Empty the rings while a window is written, and read what new containers' runtimes say.

        Nothing gets another verdict here: half of its rows may be written.
        """
        self._take_new_names()
        for instance in self._registry.pending():
            self._resolver.prefetch(instance.identity.container_id)

    def _look(self) -> None:
        """Hand on what was done for the first time in the window that is open."""
        assert self._writer is not None
        began, askers = time.thread_time_ns(), self.looks.begin()
        drained = self._attached.look()
        self._registry.take(drained.records, is_live=self._is_live)
        self._ask_cluster()
        now = self.clock.boot_ns()
        self.allowed.news = drained.programs
        self.callers.take(drained.callers)
        self._writer.look(drained, self._window_began, now)
        self.looks.looked(askers, time.thread_time_ns() - began, now)

    def _end_window(self, on_window: OnWindow | None, *, is_last: bool = False) -> None:
        assert self._writer is not None
        if is_last:
            self._resolver.settle()
        ended = self.clock.boot_ns()  # the kernel side begins the next window first of all
        self.looks.begin()
        drained = self._attached.end_window()
        self.looks.note(drained.records.pop(RecordKind.NEWS, ()))
        self._registry.take(drained.records, is_live=self._is_live)
        self._registry.resolve_pending()
        self._ask_cluster()
        self.allowed.news = drained.programs
        self.callers.take(drained.callers)
        report = self._writer.write(drained, self._window_began, ended, is_last=is_last)
        self._window_began = ended
        self.windows += 1
        self._silence_unwanted()
        self._forget_ended()
        if on_window:
            on_window(report)
        give_back_memory()

    def push(self, calls: Mapping[int, bytes | None], grams: Mapping[int, KnownGrams]) -> None:
        """Tell the kernel side what is no news of an instance: *calls*, or None for anything.

        Sequences of calls that its *grams* do not have are told of.
        """
        self._pushed.push(self._attached, self._registry.slots.values(), calls, grams)

    def new_grams(self) -> dict[int, np.ndarray]:
        """Return by instance what its *grams* did not have, of what was handed on last."""
        assert self._writer is not None
        return by_instance(self._writer.new_grams, self._registry.slots)

    def renew_news(self) -> None:
        """Have everything told as new once more: what is allowed has changed."""
        self._attached.renew_news()
        self.passing.renew()

    def _silence_unwanted(self) -> None:
        """Spare the kernel side the work for workloads that nobody asked for."""
        for instance in self._registry.unwanted():
            namespaces = {mntns for _, mntns in instance.kernel_keys}
            if instance.cgroup_id not in self._silenced and self._attached.silence(
                instance.cgroup_id, namespaces
            ):
                self._silenced.add(instance.cgroup_id)

    def _forget_ended(self) -> None:
        """Give back the slots of instances that ended at least a whole window ago."""
        before = self._window_began - 2 * self._options.window_ms * 1_000_000
        for instance in self._registry.ended(before):
            slots = self._registry.forget(instance)
            self._silenced.discard(instance.cgroup_id)
            self._pushed.forget(slots)
            self.callers.forget(slots)
            for number in slots:
                self.passing.forget(number)
            for cgroup_id, mntns in instance.kernel_keys:
                is_gone = cgroup_id == instance.cgroup_id
                self._attached.forget(cgroup_id, mntns, slots, is_gone=is_gone)
                slots = []

    # --- end ---------------------------------------------------------------------------------

    def end(self, on_window: OnWindow | None) -> None:
        """End the command if it still runs, then the open window."""
        if self._command and self.command_exit is None:
            self._end_command(self._command)
        self._end_window(on_window, is_last=True)

    def _end_command(self, command: CommandRun) -> None:
        """Ask the command to end, ever more firmly, and go on emptying the rings meanwhile."""
        deadline = self.clock.boot_ns() + int(GRACE_S * 1e9)
        while command.wait(_POLL_S) is None and self.clock.boot_ns() < deadline:
            command.interrupt()
            self._take()
        self.command_exit = command.poll()

    def detach(self) -> None:
        """Take the programs out of the kernel; may be called again."""
        if self._loader:
            self._loader.close()
            self._loader = None

    def close(self, *, grace_s: float) -> None:
        """Detach, and end the command, however it came to this."""
        self.detach()
        self._resolver.close()
        self._hashes.close()
        if self._cluster:
            self._cluster.close()
        if self._command:
            self._command.end(grace_s=grace_s)
            self._command.close()
            self._command = None
