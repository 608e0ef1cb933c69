"""The CO-RE loader: the objects that ship with the package, through the system's libbpf."""

from __future__ import annotations

import mmap
import os
import platform
import select
import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from ctypes import c_char
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np

from ethogram.contracts.events import RecordKind
from ethogram.errors import CaptureError, PreflightError
from profiler.grace import wait_for_programs
from profiler.identity.hierarchy import unified_mount
from profiler.libbpf import Btf, Link, Object, Program
from profiler.loaders.attached import Attached
from profiler.loaders.base import Drained, KernelConfig, KnownGrams, ProgramState, Tier
from profiler.loaders.counters import SETS, Counters
from profiler.loaders.features import KernelFeatures
from profiler.loaders.news import NewsReader, callers_in
from profiler.loaders.optional import (
    FILE_OPENED,
    NOT_TAKEN,
    OPTIONAL_PROGRAMS,
    attach_file_opened,
    is_taken,
)
from profiler.loaders.passed import PassedSets
from profiler.loaders.passed_programs import PassedPrograms, programs_in
from profiler.loaders.programs import BASE_PROGRAMS, not_missed, without_hook
from profiler.loaders.scopes import Scopes
from profiler.ring import Records, Ring

__all__ = ["CoreLoader", "object_path"]

# Instances times the phases that they were in; each takes 512 bytes a CPU, and 824.
MAX_SLOTS = 8192
_RINGS = frozenset({"ring_submitted", "ring_submitted_by_sqe"})
# What a capability was asked for is told by the call under way, and what a ring did by its results.
_RESULTS = _RINGS | {
    "syscall_exit", "capability_checked", "capability_returned", "ring_completed", FILE_OPENED,
}  # fmt: skip
# By tier: the programs that it leaves out, and what then cannot be counted.
_LEFT_OUT: dict[Tier, frozenset[str]] = {
    "full": frozenset(),
    "calls": _RESULTS,
    "light": _RESULTS | {"syscall_enter"},
}
_UNKNOWN: dict[Tier, frozenset[str]] = {
    "full": frozenset(),
    "calls": frozenset({"coverage.opens"}),
    "light": frozenset({"arguments", "coverage.calls", "coverage.opens"}),
}
# Bytes of a path in the map of cgroups that are expected, with the zero that ends it.
_NAMED_SIZE = 256
_HOST, _SEEDS = "host_seed", ("tasks_seed", "sockets_seed")


def object_path(machine: str | None = None, *, is_plain: bool = False) -> Path:
    """Return the recorder's object for *machine*; `PreflightError` where none was built.

    *is_plain*: the one for kernels without `bpf_rdonly_cast`.
    """
    machine = machine or platform.machine()
    name = "recorder_plain.bpf.o" if is_plain else "recorder.bpf.o"
    path = Path(str(files("profiler"))) / "_objects" / machine / name
    if not path.exists():
        raise PreflightError(
            f"no BPF object for `{machine}` is installed",
            hint="build them with `make objects`, or install the wheel for this version",
        )
    return path


class CoreLoader:
    """Loads `recorder.bpf.o`, attaches what the kernel takes, and drains its maps and rings."""

    name: Literal["core", "bcc"] = "core"

    def __init__(self, config: KernelConfig) -> None:
        self._config = config
        self.programs: list[ProgramState] = []
        self.unknown = _UNKNOWN[config.tier]
        self.host_namespaces: tuple[int, ...] = ()
        self.host_mntns = 0
        self.without_news: str | None = None
        self._sections: dict[str, str] = {}
        self._links: list[Link] = []
        self._attached_as = Attached(())
        self._object: Object | None = None
        self._rings: list[Ring] = []
        self._pending: dict[RecordKind, list[Records]] = defaultdict(list)
        self._counters: Counters | None = None
        self._live: dict[str, Program] = {}
        self._window = 0
        self._generation = 0
        self._retiring: list[int] = []  # slots of whom was forgotten in this window
        self._retired: list[int] = []  # and in the one before
        self._features = config.features

    # --- loading ---------------------------------------------------------------------------

    def attach(self, set_targets: Callable[[], None]) -> None:
        """Load and attach every program that the kernel takes, then seed what already runs."""
        with Btf.of_kernel() as kernel:
            if self._features is None:
                self._features = KernelFeatures.of(kernel)
            wanted = self._wanted(self._opened(), kernel)
        self._object, wanted = self._loaded_whole(wanted)
        self._live = {name: self._object.programs[name] for name in wanted}
        self._open_maps()
        self._live[_HOST].run_iterator()
        self.host_namespaces = struct.unpack("<8I", self._switch_bytes("host_namespaces"))
        (self.host_mntns,) = struct.unpack("<I", self._switch_bytes("host_mntns"))
        self._attach_all()
        self._tell_of_rings()
        set_targets()
        for name in _SEEDS:
            if name in self._live:
                self._live[name].run_iterator()

    def _wanted(self, probe: Object, kernel: Btf) -> list[str]:
        """Return the programs whose hook this kernel has, and note those without."""
        self._sections = {name: program.section for name, program in probe.programs.items()}
        probe.close()
        absent = without_hook(self._sections, kernel)
        wanted = []
        for name in self._sections:
            if name in _LEFT_OUT[self._config.tier]:
                continue
            if name in absent:
                if name not in not_missed(absent):
                    self._note(name, "absent", "the kernel has no such hook")
            elif name == FILE_OPENED and not is_taken():
                self._note(name, "refused", NOT_TAKEN)
            else:
                wanted.append(name)
        return wanted

    def _opened(self) -> Object:
        assert self._features is not None
        return Object(object_path(is_plain=not self._features.has_rdonly_cast))

    def _loaded(self, names: list[str]) -> Object:
        opened = self._opened()
        config = self._config
        opened.configure(
            {
                "recorder_tgid": struct.pack("<I", config.recorder_tgid),
                "record_by_default": struct.pack("<I", config.record_by_default),
                "max_slots": struct.pack("<I", (config.max_slots or MAX_SLOTS)),
                "fast_bits": struct.pack("<I", config.fast_bits),
                "startup_max_ns": struct.pack("<Q", config.startup_ns),
                "tells_news": struct.pack("<I", config.tells_news),
                "knows_grams": struct.pack("<I", config.knows_grams),
                "has_exits": struct.pack("<I", "syscall_exit" in names),
            }
        )
        assert self._features is not None
        self._features.configure(opened)
        for name in ("places", "counts", "usage", "scopes"):
            opened.maps[name].resize(config.max_slots or MAX_SLOTS)
        opened.maps["fast_states"].resize(1 << config.fast_bits)
        for name, size in config.map_sizes.items():
            opened.maps[name].resize(size)
        if not config.tells_news:
            for name in ("told", "passed_programs", *PassedSets.MAPS):
                opened.maps[name].resize(1)
        if not config.knows_grams:
            opened.maps["known_grams"].resize(1)
        for name, program in opened.programs.items():
            program.set_autoload(name in names)
        try:
            opened.load()
        except (CaptureError, PreflightError):
            opened.close()
            raise
        return opened

    def _loaded_whole(self, wanted: list[str]) -> tuple[Object, list[str]]:
        """Load what the kernel takes; without news where it takes programs only so."""
        noted = list(self.programs)
        try:
            return self._loaded_taken(wanted)
        except CaptureError as error:
            if not self._config.tells_news:
                raise
            self.without_news = error.message
            self._config = replace(self._config, tells_news=False, knows_grams=False)
            self.programs = noted
            return self._loaded_taken(wanted)

    def _loaded_taken(self, wanted: list[str]) -> tuple[Object, list[str]]:
        try:
            return self._loaded(wanted), wanted
        except CaptureError as whole:
            taken = self._taken(wanted, whole)
            return self._loaded(taken), taken

    def _taken(self, names: list[str], whole: CaptureError) -> list[str]:
        """Return the programs that load: those that kernels may refuse are the first suspects."""
        needed = [name for name in names if name not in OPTIONAL_PROGRAMS]
        try:
            self._loaded(needed).close()
        except CaptureError:
            return self._tried_one_by_one(names, whole)
        suspects = [name for name in names if name in OPTIONAL_PROGRAMS]
        taken = {*needed, *self._tried_one_by_one(suspects, whole)}
        return [name for name in names if name in taken]

    def _tried_one_by_one(self, names: list[str], whole: CaptureError) -> list[str]:
        """Return the programs that load alone; raise where one that is needed does not."""
        taken = []
        for name in names:
            try:
                self._loaded([name]).close()
                taken.append(name)
            except CaptureError as error:
                if name in BASE_PROGRAMS:
                    raise CaptureError(
                        f"the program `{name}` did not load",
                        hint="run `ethogram doctor`, or try `--loader bcc`",
                        log=error.log,
                    ) from whole
                self._note(name, "refused", error.message)
        return taken

    def _note(
        self,
        name: str,
        state: Literal["attached", "refused", "absent"],
        error: str | None = None,
    ) -> None:
        tier: Literal["base", "optional"] = "base" if name in BASE_PROGRAMS else "optional"
        self.programs.append(ProgramState(name, self._sections[name], tier, state, error))

    def _open_maps(self) -> None:
        assert self._object is not None
        maps = self._object.maps
        self._life_fd = maps["life"].fd
        self._rings = [Ring(maps[name]) for name in ("life", "paths", "packets")]
        bss = next(m for name, m in maps.items() if name.endswith(".bss"))
        self._switches = mmap.mmap(bss.fd, mmap.PAGESIZE)
        self._switch_at = self._object.btf.variables(".bss")
        self._counters = Counters(maps, self._live)
        self._news = NewsReader(maps)
        self._scopes = Scopes(maps)
        self._passed = PassedSets(maps, self._set_switch)
        self._passed_programs = PassedPrograms(
            maps["passed_programs"], lambda has_any: self._set_switch("passes_programs", has_any)
        )

    def _attach_all(self) -> None:
        """Attach in the order of the object: entry before exit, so that no exit lacks its entry."""
        mount = unified_mount()
        cgroup_fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
        named: list[tuple[str, Link]] = []
        try:
            for name, program in self._live.items():
                if name == _HOST or name in _SEEDS:
                    continue
                try:
                    link = self._attached(program, cgroup_fd)
                except CaptureError as error:
                    if name in BASE_PROGRAMS:
                        raise
                    self._note(name, "refused", error.message)
                    continue
                self._links.append(link)
                named.append((name, link))
                self._note(name, "attached")
        finally:
            os.close(cgroup_fd)
        self._attached_as = Attached(named)

    def _attached(self, program: Program, cgroup_fd: int) -> Link:
        assert self._object is not None
        if program.name == FILE_OPENED:
            return attach_file_opened(self._object)
        if program.section.startswith("cgroup"):
            return program.attach_cgroup(cgroup_fd)
        return program.attach()

    def _tell_of_rings(self) -> None:
        """Say whether what goes through rings is seen: from its beginning to its end."""
        attached = {one.name for one in self.programs if one.state == "attached"}
        self._set_switch("rings_told", "ring_completed" in attached and bool(_RINGS & attached))

    def _set_switch(self, name: str, value: int) -> None:
        offset, size = self._switch_at[name]
        self._switches[offset : offset + size] = value.to_bytes(size, "little")

    def _switch_bytes(self, name: str) -> bytes:
        offset, size = self._switch_at[name]
        return bytes(self._switches[offset : offset + size])

    # --- while it runs ---------------------------------------------------------------------

    def arm(self) -> None:
        """Begin to record."""
        self._set_switch("armed", 1)

    def tampered(self) -> Iterator[tuple[str, str]]:
        """Yield the programs that are not attached as they were, and what was done to each."""
        yield from self._attached_as.changed()

    def is_armed(self) -> bool:
        """Say whether the kernel side still records: others may write its memory."""
        return self._switch_bytes("armed")[0] == 1

    def set_target(self, cgroup_id: int, *, is_recorded: bool) -> None:
        """Record *cgroup_id* or leave it out."""
        assert self._object is not None
        value = struct.pack("<QII", cgroup_id, is_recorded, 0)
        self._object.maps["targets"].update(struct.pack("<Q", cgroup_id), value)

    def expect(self, paths: Iterable[str]) -> frozenset[str]:
        """Record cgroups of these paths from the moment they are made; return those it cannot."""
        assert self._object is not None
        named, left = self._object.maps["named_cgroups"], set()
        for path in sorted(paths):
            key = os.fsencode(path)
            try:
                if len(key) >= _NAMED_SIZE - 1:
                    left.add(path)
                else:
                    named.update(key.ljust(_NAMED_SIZE, b"\0"), struct.pack("<I", 1))
            except CaptureError:  # the map is full
                left.add(path)
        return frozenset(left)

    def silence(self, cgroup_id: int, mount_namespaces: Iterable[int]) -> bool:
        """Stop recording a cgroup, and whoever joins its mount namespaces; False if it cannot."""
        assert self._object is not None
        try:
            self.set_target(cgroup_id, is_recorded=False)
        except CaptureError:
            return False  # the map is full: it costs time, and its rows are left out
        for mntns in mount_namespaces:
            self._object.maps["target_mntns"].delete(struct.pack("<I", mntns))
        return True

    def _release_mntns(self, cgroup_id: int, mntns: int) -> None:
        """Forget who joins a mount namespace, unless it is another's by now."""
        assert self._object is not None
        claims, key = self._object.maps["target_mntns"], struct.pack("<I", mntns)
        claim = (c_char * claims.value_size)()
        if claims.lookup_into(key, claim) and bytes(claim) == struct.pack("<Q", cgroup_id):
            claims.delete(key)

    def _give_back(self, slots: Iterable[int]) -> None:
        """Let others have slots that no task had in the window that ended: all looked again."""
        assert self._object is not None
        assert self._counters is not None
        for slot in slots:
            self._counters.clear(slot)
            self._object.maps["free_slots"].update(None, struct.pack("<I", slot))

    def forget(self, cgroup_id: int, mntns: int, slots: list[int], *, is_gone: bool = True) -> None:
        """Delete what an ended instance has in maps, and give its slots back.

        A task that lives on, as one that joined a container's mount namespace does, keeps its slot
        until it looks again: at its first call in the next window. Others get it after that one.
        """
        assert self._object is not None
        maps = self._object.maps
        key = struct.pack("<QII", cgroup_id, mntns, 0)
        for phase in range(6):
            maps["slots"].delete(struct.pack("<QII", cgroup_id, mntns, phase))
        maps["instances"].delete(key)
        if is_gone:
            maps["targets"].delete(struct.pack("<Q", cgroup_id))
        self._release_mntns(cgroup_id, mntns)
        self._retiring += slots

    def wait(self, timeout_s: float) -> None:
        """Wait until a cgroup or an instance is new, or the time is over."""
        poller = select.poll()
        poller.register(self._life_fd, select.POLLIN)
        poller.poll(timeout_s * 1000)

    def poll(self) -> dict[RecordKind, list[Records]]:
        """Take what the rings hold; it is also part of the next `end_window`."""
        taken: dict[RecordKind, list[Records]] = defaultdict(list)
        self._set_switch("is_woken", 0)
        for ring in self._rings:
            for kind, records in ring.take():
                taken[kind].append(records)
                self._pending[kind].append(records)
        return taken

    def look(self) -> Drained:
        """Look up what news name in the open window, and hand out what the rings had."""
        self.poll()
        records, self._pending = self._pending, defaultdict(list)
        news = records.pop(RecordKind.NEWS, [])
        calls, sets = self._news.take(news, self._window)
        drained = Drained(window=self._window, records=dict(records), calls=calls, sets=sets)
        drained.programs, drained.callers = programs_in(news), callers_in(news)
        return drained

    def push(
        self, slot: int, calls: bytes, *, is_muted: bool, grams: KnownGrams | None = None
    ) -> None:
        """Write what is no news of a slot."""
        self._scopes.push(slot, calls, is_muted=is_muted, grams=grams)

    def pass_capabilities(self, slot: int, allowed: int) -> None:
        """Write which capabilities are neither told of nor counted in a slot."""
        self._scopes.describe(slot, capabilities=allowed)

    def keep_grams(self, numbers: Collection[int]) -> None:
        """Let others have the places of models that are not asked any more."""
        self._scopes.keep_grams(numbers)

    def renew_news(self) -> None:
        """Let what was told count as new."""
        self._generation += 1
        self._set_switch("news_generation", self._generation)
        self._passed.clear()
        self._passed_programs.clear()

    def pass_keys(self, name: str, keys: np.ndarray) -> None:
        """Tell no more of what has these keys of the set *name*."""
        if self._config.tells_news:
            self._passed.add(name, keys)

    def tell_keys(self, name: str, slots: Collection[int]) -> None:
        """Tell of all of the set *name* in *slots* once more."""
        self._passed.remove(slots, name)

    def pass_programs(self, keys: np.ndarray) -> None:
        """Have execs with these keys wake nobody."""
        if self._config.tells_news:
            self._passed_programs.add(keys)

    def tell_programs(self, slots: Collection[int]) -> None:
        """Tell of every exec in *slots* once more."""
        self._passed_programs.remove(slots)

    def end_window(self) -> Drained:
        """Begin the next window, then read everything of the last."""
        ended = self._window
        self._window += 1
        self._set_switch("window", self._window)
        wait_for_programs()
        self.poll()
        assert self._counters is not None
        sets = {
            name: self._news.rest_of(name, *self._counters.take_set(name, ended)) for name in SETS
        }
        calls = self._counters.take_calls(ended, sets.pop("odd_calls"), self._retiring)
        calls = self._news.rest_of_calls(calls)
        passed = self._passed.take()
        self._passed.remove(self._retiring)
        self._passed_programs.remove(self._retiring)
        self._give_back(self._retired)
        self._retired, self._retiring = self._retiring, []
        self.poll()  # paths and slots of what was just read are there by now
        drained = Drained(
            window=ended,
            records=dict(self._pending),
            calls=calls,
            sets=sets,
            passed=passed,
            callers=callers_in(self._pending[RecordKind.NEWS]),
            losses=self._counters.take_losses(
                int.from_bytes(self._switch_bytes("losses_unplaced"), "little")
            ),
        )
        self._pending = defaultdict(list)
        # News of the window that is open by now are still to be looked up.
        self._pending[RecordKind.NEWS] = [
            batch
            for batch in drained.records.get(RecordKind.NEWS, [])
            if (batch.heads["window"] == self._window).any()
        ]
        drained.records[RecordKind.NEWS] = list(self._pending[RecordKind.NEWS])
        return drained

    def close(self) -> None:
        """Detach every program and free the maps."""
        while self._links:
            self._links.pop().close()
        while self._rings:
            self._rings.pop().close()
        if self._object is not None:
            self._object.close()
            self._object = None
