"""The recorder: attaches, drains by windows, writes, and ends without losing what it has."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from ethogram.contracts.events import RecordKind
from ethogram.contracts.manifest import Command, Program
from ethogram.errors import PreflightError, UsageError
from profiler import privileges
from profiler.clock import BootClock
from profiler.command import CommandRun, resolve_command
from profiler.host import HostFacts
from profiler.identity.hierarchy import Hierarchy, unified_mount
from profiler.identity.inventory import Inventory
from profiler.identity.resolver import Resolver
from profiler.identity.runtimes import version_of
from profiler.journal import Journal
from profiler.loaders import open_loader
from profiler.loaders.base import KernelConfig, Loader
from profiler.options import RecordOptions, RecordResult
from profiler.preamble import first_manifest, redactor, shown_values
from profiler.processes import ExecIds, Executables, Processes
from profiler.registry import Registry
from profiler.ring import Records
from profiler.window import WindowReport, WindowWriter

__all__ = ["RecordOptions", "RecordResult", "WindowReport", "record"]

_POLL_S = 0.05
# While a new container has no name yet: it may live, and its runtime say so, for a moment only.
_POLL_NEW_S, _NEW_NS = 0.002, 300_000_000
_GRACE_S = 15.0
_PRIORITY = -10
_SCAN_EVERY = 50  # of those polls: all state directories are read, not only the awaited one's
# After attaching: maps and rings stay readable. What remains is for reading what runtimes and
# processes say of themselves, and for ending the command of another user.
_KEPT = frozenset({"CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE", "CAP_KILL"})


def record(
    options: RecordOptions,
    *,
    on_window: Callable[[WindowReport], None] | None = None,
    stop: threading.Event,
) -> RecordResult:
    """Record until *stop* is set, the duration is over or the command ended.

    Raises `UsageError` for targets that do not exist, `PreflightError` where this host cannot,
    `CaptureError` where recording failed; whole windows are kept in every case.
    """
    if os.geteuid() != 0:
        raise PreflightError("recording needs root", hint="run it with `sudo`")
    unified_mount()
    session = _Session(options)
    grace_s = _GRACE_S / 3
    try:
        session.start()
        session.run(on_window, stop)
        return session.finish(on_window)
    except KeyboardInterrupt:
        grace_s = 0  # whoever asks twice does not want to wait
        raise
    finally:
        session.close(grace_s=grace_s)


class _Session:
    """One run of the recorder, from attaching to the compacted recording."""

    def __init__(self, options: RecordOptions) -> None:
        self._options = options
        self._facts = HostFacts.read()
        self._clock = BootClock.now()
        self._hierarchy = Hierarchy()
        targets = options.targets
        self._cgroups = targets.cgroups(self._hierarchy)
        self._argv = targets.values if targets.kind == "command" else ()
        if self._argv:
            resolve_command(self._argv)
        inventory = Inventory.load(options.inventory) if options.inventory else None
        self._inventory = inventory
        resolver = Resolver(inventory=inventory, cluster=options.cluster)
        self._resolver = resolver
        self._registry = Registry(resolver, self._clock, choose=targets.choose)
        self._ids = ExecIds(self._facts.host_id, self._facts.boot_id)
        self._executables = Executables(self._clock)
        self._processes = Processes(
            self._registry, self._executables, self._ids, self._clock,
            redact=redactor(options),
        )  # fmt: skip
        self._loader: Loader | None = None
        self._journal: Journal | None = None
        self._writer: WindowWriter | None = None
        self._command: CommandRun | None = None
        self._command_exit: int | None = None
        self._silenced: set[int] = set()
        self._windows = 0
        self._window_began = 0
        self._polls = 0
        self._is_live = False
        self._is_begun = False

    # --- start -------------------------------------------------------------------------------

    def start(self) -> None:
        """Attach, create the recording, seed what runs already, and begin."""
        options = self._options
        loader = self._loader = open_loader(
            options.loader,
            KernelConfig(
                record_by_default=options.targets.records_by_default,
                recorder_tgid=os.getpid(),
                tier=options.tier,
            ),
        )
        loader.attach(self._set_targets)
        self._journal = Journal.create(
            options.output, first_manifest(options, self._facts, self._clock), options.force
        )
        self._writer = WindowWriter(
            journal=self._journal,
            registry=self._registry,
            processes=self._processes,
            executables=self._executables,
            ids=self._ids,
            clock=self._clock,
            unknown=loader.unknown,
            is_blind=any(program.state == "refused" for program in loader.programs),
            meanwhile=self._glance,
        )
        self._journal.update(
            loader=loader.name,
            programs=tuple(
                Program(name=p.name, hook=p.hook, tier=p.tier, state=p.state, error=p.error)
                for p in loader.programs
            ),
        )
        seeds = self._take_new_names()
        self._is_live = True
        if self._argv:
            self._prepare_command()
        for runtime in ("runc", "crun"):
            version_of(runtime)  # asked for once, while it may be run
        # After the command was forked, which keeps its own. On a busy host a container may else
        # be gone before its name was asked for.
        os.setpriority(os.PRIO_PROCESS, 0, min(_PRIORITY, os.getpriority(os.PRIO_PROCESS, 0)))
        loader.arm()
        self._window_began = self._clock.boot_ns()
        if self._options.ready_file:
            _write_ready(self._options.ready_file)
        dropped = privileges.drop(_KEPT)
        self._journal.update(privileges_dropped=dropped)
        self._processes.read_snapshots(seeds.get(RecordKind.EXEC, []))
        if self._command:
            self._command.release()
        self._is_begun = True

    def _set_targets(self) -> None:
        """Tell the kernel side what to record, before what runs already is seeded."""
        assert self._loader is not None
        self._registry.host_mntns = self._loader.host_namespaces[0]
        for path, number in self._hierarchy.walk():
            self._registry.cgroup_made(number, path)
        for _, number in self._cgroups:
            self._loader.set_target(number, is_recorded=True)

    def _prepare_command(self) -> None:
        assert self._loader is not None
        run = self._command = CommandRun.prepare(self._argv, hierarchy=self._hierarchy)
        self._registry.cgroup_made(run.cgroup_id, run.cgroup_path)
        self._resolver.register_command(run.cgroup_path, self._argv, run.run_id)
        self._loader.set_target(run.cgroup_id, is_recorded=True)

    # --- run ---------------------------------------------------------------------------------

    def run(self, on_window: Callable[[WindowReport], None] | None, stop: threading.Event) -> None:
        """Drain until it is time to end."""
        began = self._clock.boot_ns()
        limit = self._options.duration_s
        assert self._loader is not None
        while not stop.is_set():
            self._pause(self._loader)
            self._take()
            now = self._clock.boot_ns()
            if now - self._window_began >= self._options.window_ms * 1_000_000:
                self._end_window(on_window)
            if limit is not None and now - began >= limit * 1e9:
                return
            if self._command and (status := self._command.poll()) is not None:
                self._command_exit = status
                return

    def _pause(self, loader: Loader) -> None:
        since = self._clock.boot_ns() - _NEW_NS
        is_urgent = self._registry.has_pending(newer_than_ns=since)
        loader.wait(_POLL_NEW_S if is_urgent else _POLL_S)

    def _take(self) -> None:
        """Empty the rings, and give names to what is new while it still lives."""
        self._take_new_names()
        if self._registry.has_pending():
            self._polls += 1
            if self._polls % _SCAN_EVERY == 1:
                self._resolver.prefetch()
            self._registry.resolve_pending()

    def _take_new_names(self) -> dict[RecordKind, list[Records]]:
        assert self._loader is not None
        taken = self._loader.poll()
        self._registry.take(taken, is_live=self._is_live)
        return taken

    def _glance(self) -> None:
        """Empty the rings while a window is written, and read what new containers' runtimes say.

        Nothing gets another verdict here: half of its rows may be written.
        """
        self._take_new_names()
        for instance in self._registry.pending():
            self._resolver.prefetch(instance.identity.container_id)

    def _end_window(
        self, on_window: Callable[[WindowReport], None] | None, *, is_last: bool = False
    ) -> None:
        assert self._loader is not None
        assert self._writer is not None
        ended = self._clock.boot_ns()  # the kernel side begins the next window first of all
        drained = self._loader.end_window()
        self._registry.take(drained.records, is_live=self._is_live)
        self._registry.resolve_pending()
        report = self._writer.write(drained, self._window_began, ended, is_last=is_last)
        self._window_began = ended
        self._windows += 1
        self._silence_unwanted()
        self._forget_ended()
        if on_window:
            on_window(report)

    def _silence_unwanted(self) -> None:
        """Spare the kernel side the work for workloads that nobody asked for."""
        assert self._loader is not None
        for instance in self._registry.unwanted():
            namespaces = {mntns for _, mntns in instance.kernel_keys}
            if instance.cgroup_id not in self._silenced and self._loader.silence(
                instance.cgroup_id, namespaces
            ):
                self._silenced.add(instance.cgroup_id)

    def _forget_ended(self) -> None:
        """Give back the slots of instances that ended at least a whole window ago."""
        assert self._loader is not None
        before = self._window_began - 2 * self._options.window_ms * 1_000_000
        for instance in list(self._registry.instances()):
            is_settled = instance.verdict != "pending"  # or its rows wait for their slots
            if is_settled and instance.ended_ns is not None and instance.ended_ns < before:
                slots = self._registry.forget(instance)
                self._silenced.discard(instance.cgroup_id)
                for cgroup_id, mntns in instance.kernel_keys:
                    is_gone = cgroup_id == instance.cgroup_id
                    self._loader.forget(cgroup_id, mntns, slots, is_gone=is_gone)
                    slots = []

    # --- end ---------------------------------------------------------------------------------

    def finish(self, on_window: Callable[[WindowReport], None] | None) -> RecordResult:
        """End the open window and the recording."""
        assert self._journal is not None
        assert self._writer is not None
        if self._command and self._command_exit is None:
            self._end_command(self._command)
        self._end_window(on_window, is_last=True)
        self._write_addresses()
        if self._argv:
            command = Command(argv=shown_values(self._options), exit_status=self._command_exit)
            self._journal.update(command=command)
        redacted = self._journal.manifest.redaction.model_copy(
            update={"redacted": self._processes.redacted}
        )
        self._journal.update(redaction=redacted)
        manifest = self._journal.close(ended=self._clock.datetime(self._clock.boot_ns()))
        return RecordResult(
            recording=self._options.output,
            windows=self._windows,
            workloads=self._registry.workload_count(),
            calls=self._writer.calls,
            lost=self._writer.lost,
            command_exit=self._command_exit,
            clean=manifest.clean_end,
        )

    def _end_command(self, command: CommandRun) -> None:
        """Ask the command to end, ever more firmly, and go on emptying the rings meanwhile."""
        deadline = self._clock.boot_ns() + int(_GRACE_S * 1e9)
        while command.wait(_POLL_S) is None and self._clock.boot_ns() < deadline:
            command.interrupt()
            self._take()
        self._command_exit = command.poll()

    def _write_addresses(self) -> None:
        if self._inventory is None:
            return
        assert self._journal is not None
        since = self._clock.utc_ns(self._window_began)
        rows = [row.row(valid_from_ns=since) for row in self._inventory.addresses()]
        if rows:
            names = list(rows[0])
            self._journal.append("addresses", {name: [row[name] for row in rows] for name in names})

    def close(self, *, grace_s: float) -> None:
        """Detach, end the command, and leave the recording readable, however it came to this.

        Of a recording that did not even begin nothing is left.
        """
        if self._loader:
            self._loader.close()
            self._loader = None
        if self._journal:
            if self._is_begun:
                self._journal.abandon()
            else:
                self._journal.discard()
            self._journal = None
        if self._command:
            self._command.end(grace_s=grace_s)
            self._command.close()
            self._command = None


def _write_ready(path: Path) -> None:
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be written: {error.strerror}",
            hint="name another place for `--ready-file`",
        ) from error
