"""The BCC loader: for kernels without BTF, compiled on the node from stable ABI alone.

It fills the wire structs of the CO-RE loader with what stable ABI shows; what it cannot know is
zero there, and `unknown` names the columns that this makes.
"""

from __future__ import annotations

import atexit
import ctypes as c
import platform
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib.resources import files
from typing import Any, Literal, NamedTuple

import numpy as np

from ethogram.contracts.events import STRUCTS, RecordKind
from ethogram.errors import CaptureError, PreflightError
from profiler.grace import wait_for_programs
from profiler.libbpf import Map, Program
from profiler.loaders.base import Drained, KernelConfig, KnownGrams, ProgramState
from profiler.loaders.bcc_host import (
    bcc_module,
    headers_named,
    host_namespaces,
    kept_output,
    kernel_source,
    require_tracefs,
)
from profiler.loaders.bcc_source import definitions, wire_text
from profiler.loaders.counters import SETS, Counters
from profiler.ring import Records, Ring

__all__ = ["UNKNOWN", "BccLoader"]


class _Hook(NamedTuple):
    program: str
    hook: str
    tier: Literal["base", "optional"]


_HOOKS = (
    _Hook("cgroup_made", "tp/cgroup/cgroup_mkdir", "base"),
    _Hook("cgroup_removed", "tp/cgroup/cgroup_rmdir", "base"),
    _Hook("exit_done", "tp/sched/sched_process_exit", "base"),
    _Hook("syscall_exit", "raw_tp/sys_exit", "base"),
    _Hook("exec_done", "tp/sched/sched_process_exec", "base"),
    _Hook("fork_done", "tp/task/task_newtask", "base"),
    _Hook("socket_state_set", "tp/sock/inet_sock_set_state", "optional"),
    _Hook("syscall_enter", "raw_tp/sys_enter", "base"),
)
_PER_CALL = frozenset({"syscall_enter", "syscall_exit"})
# Map -> struct or type of its keys, of its values. Those of a window's sets are in `SETS` too.
_MAPS = {
    "switches": ("u32", "u64"),
    "unplaced": ("u32", "u64"),
    "targets": ("u64", "target"),
    "slots": ("u64", "u32"),
    "free_slots": (None, "u32"),
    "counts": ("u32", "native_counts"),
    "odd_calls": ("call_key", "u64"),
    "flows": ("flow_key", "flow_use"),
    "losses": ("loss_key", "u64"),
    "life": (None, None),
}
_SIZES = {None: 0, "u32": 4, "u64": 8, "native_counts": 4096}
_MAX_SLOTS = 1024  # of 4 KiB a CPU

# Tables that stay empty, and columns that hold nothing: "table" and "table.column".
UNKNOWN = frozenset(
    {
        "arguments", "denied", "dns", "errors", "files", "ngrams", "privileges",
        *(f"instances.{name}" for name in (
            "mntns", "netns", "seccomp_mode", "no_new_privs", "caps_bounding", "host_namespaces",
        )),
        *(f"executables.{name}" for name in ("dev", "ino", "ctime", "nlink", "upper", "memfd")),
        *(f"processes.{name}" for name in (
            "session_exec_id", "ns_tgid", "interpreter", "script", "cwd", "euid", "egid",
            "loginuid", "sessionid", "caps_effective", "caps_permitted", "caps_inheritable",
            "caps_ambient", "caps_bounding", "euid_before", "egid_before",
            "caps_effective_before", "caps_permitted_before", "seccomp_mode", "seccomp_filters",
            "pgid", "sid", "ns_pgid", "ns_sid", "stdio", "stdio_peers", "namespaces",
            "host_namespace_bits", "exit_code", "signal",
        )),
        *(f"network.{name}" for name in ("cookie", "peer_cookie", "tx_bytes", "rx_bytes")),
        "coverage.opens",
    }
)  # fmt: skip


class _FdMap(Map):
    """A map that BCC made, for the reading that the other loader's maps have."""

    def __init__(self, bpf: Any, name: str) -> None:
        key, value = _MAPS[name]
        self.name = name
        self.key_size, self.value_size = _size(key), _size(value)
        self._fd = int(_library().bpf_table_fd(bpf.module, name.encode()))
        self._max_entries = int(
            _library().bpf_table_max_entries_id(
                bpf.module, _library().bpf_table_id(bpf.module, name.encode())
            )
        )

    @property
    def fd(self) -> int:
        return self._fd

    @property
    def max_entries(self) -> int:
        return self._max_entries


class _FdProgram(Program):
    """A program that BCC loaded."""

    def __init__(self, name: str, section: str, fd: int) -> None:
        self.name, self.section, self._fd = name, section, fd

    @property
    def fd(self) -> int:
        return self._fd


def _library() -> Any:
    return bcc_module().lib


def _size(word: str | None) -> int:
    return _SIZES[word] if word in _SIZES else STRUCTS[str(word)].dtype.itemsize


class BccLoader:
    """Compiles `bcc_program.c`, attaches it to tracepoints, and drains its maps and its ring."""

    name: Literal["core", "bcc"] = "bcc"

    def __init__(self, config: KernelConfig) -> None:
        self._config = config
        self.programs: list[ProgramState] = []
        self.host_namespaces: tuple[int, ...] = ()
        self.host_mntns = 0
        self.without_news = "the loader `bcc` tells no news" if config.tells_news else None
        self.unknown = UNKNOWN
        if config.tier == "light":
            self.unknown |= {"syscalls", "processes.argv", "coverage.calls"}
        self._bpf: Any = None
        self._maps: dict[str, Map] = {}
        self._ring: Ring | None = None
        self._pending: dict[RecordKind, list[Records]] = defaultdict(list)
        self._counters: Counters | None = None
        self._window = 0

    # --- loading ---------------------------------------------------------------------------

    def attach(self, set_targets: Callable[[], None]) -> None:
        """Compile, load and attach. What runs already is seen from its next call on."""
        if platform.machine() != "x86_64":
            raise PreflightError(
                f"the BCC loader does not know the registers of `{platform.machine()}`"
            )
        self.host_namespaces = host_namespaces()
        self.host_mntns = self.host_namespaces[0]
        require_tracefs()
        self._bpf = self._compiled()
        self._maps = {name: _FdMap(self._bpf, name) for name in _MAPS}
        self._ring = Ring(self._maps["life"])
        for slot in range(1, self._config.max_slots or _MAX_SLOTS):
            self._maps["free_slots"].update(None, struct.pack("<I", slot))
        set_targets()
        live: dict[str, Program] = {}
        for hook in _HOOKS:
            if self._config.tier == "light" and hook.program in _PER_CALL:
                continue
            if (fd := self._attached(hook)) is not None:
                live[hook.program] = _FdProgram(hook.program, hook.hook, fd)
        self._counters = Counters(self._maps, live)

    def _compiled(self) -> Any:
        config = self._config
        module = bcc_module()
        text = wire_text() + (files("profiler.loaders") / "bcc_program.c").read_text("utf-8")
        flags = definitions(
            RECORD_BY_DEFAULT=config.record_by_default,
            RECORDER_TGID=config.recorder_tgid,
            HOST_MNTNS=self.host_namespaces[0],
            MAX_SLOTS=config.max_slots or _MAX_SLOTS,
            IS_LIGHT=config.tier == "light",
        )
        with kernel_source() as tree, headers_named(tree), kept_output() as output:
            try:
                return module.BPF(text=text.encode(), cflags=flags)
            except Exception as error:  # BCC raises nothing more precise
                raise CaptureError(
                    "the BCC program did not compile",
                    hint="name fitting kernel headers with `BCC_KERNEL_SOURCE`",
                    log=output(),
                ) from error

    def _attached(self, hook: _Hook) -> int | None:
        """Attach one program and return its descriptor; None where the kernel has no such hook."""
        kind, _, where = hook.hook.encode().partition(b"/")
        function = hook.program.encode()
        with kept_output() as output:
            try:
                if kind == b"raw_tp":
                    self._bpf.attach_raw_tracepoint(tp=where, fn_name=function)
                else:
                    self._bpf.attach_tracepoint(tp=where.replace(b"/", b":"), fn_name=function)
            except Exception as error:  # as above
                if hook.tier == "base":
                    raise CaptureError(
                        f"the program `{hook.program}` did not attach to `{hook.hook}`: {error}",
                        log=output(),
                    ) from error
                self.programs.append(ProgramState(*hook, "refused", str(error)))
                return None
        self.programs.append(ProgramState(*hook, "attached"))
        return int(self._bpf.funcs[function].fd)

    # --- while it runs ---------------------------------------------------------------------

    def _switch(self, *, armed: bool) -> None:
        value = struct.pack("<II", armed, self._window)
        self._maps["switches"].update(bytes(4), value)

    def arm(self) -> None:
        """Begin to record."""
        self._switch(armed=True)

    def tampered(self) -> Iterator[tuple[str, str]]:
        """Yield nothing: the links are bcc's."""
        yield from ()

    def is_armed(self) -> bool:
        """Say that it records: its memory is bcc's."""
        return True

    def set_target(self, cgroup_id: int, *, is_recorded: bool) -> None:
        """Record *cgroup_id* or leave it out."""
        key = struct.pack("<Q", cgroup_id)
        self._maps["targets"].update(key, struct.pack("<QII", cgroup_id, is_recorded, 0))
        if not is_recorded:
            self._maps["slots"].delete(key)

    def expect(self, paths: Iterable[str]) -> frozenset[str]:
        """Return *paths*: a cgroup is looked at when something in it makes a call."""
        return frozenset(paths)

    def silence(self, cgroup_id: int, mount_namespaces: Iterable[int]) -> bool:
        """Stop recording a cgroup; who only joins its namespaces was never seen."""
        del mount_namespaces
        self.set_target(cgroup_id, is_recorded=False)
        return True

    def forget(self, cgroup_id: int, mntns: int, slots: list[int], *, is_gone: bool = True) -> None:
        """Delete what an ended instance has in maps, and give its slots back."""
        del mntns  # one slot a cgroup
        key = struct.pack("<Q", cgroup_id)
        self._maps["slots"].delete(key)
        if is_gone:
            self._maps["targets"].delete(key)
        for slot in slots:
            self._maps["free_slots"].update(None, struct.pack("<I", slot))

    def wait(self, timeout_s: float) -> None:
        """Wait until the time is over: nothing wakes this loader."""
        time.sleep(timeout_s)

    def poll(self) -> dict[RecordKind, list[Records]]:
        """Take what the ring holds; it is also part of the next `end_window`."""
        assert self._ring is not None
        taken: dict[RecordKind, list[Records]] = defaultdict(list)
        for kind, records in self._ring.take():
            taken[kind].append(records)
            self._pending[kind].append(records)
        return taken

    def look(self) -> Drained:
        """Refuse: this loader has no news, and nobody asks it."""
        raise NotImplementedError

    def push(
        self, slot: int, calls: bytes, *, is_muted: bool, grams: KnownGrams | None = None
    ) -> None:
        """Do nothing: this loader has no news."""

    def keep_grams(self, numbers: Collection[int]) -> None:
        """Do nothing: this loader sees no sequences."""

    def pass_capabilities(self, slot: int, allowed: int) -> None:
        """Do nothing: this loader tells of all."""

    def renew_news(self) -> None:
        """Do nothing: this loader has no news."""

    def pass_programs(self, keys: np.ndarray) -> None:
        """Do nothing: no exec wakes anybody."""

    def tell_programs(self, slots: Collection[int]) -> None:
        """Do nothing: no exec wakes anybody."""

    def pass_keys(self, name: str, keys: np.ndarray) -> None:
        """Do nothing: this loader tells of all."""

    def tell_keys(self, name: str, slots: Collection[int]) -> None:
        """Do nothing: this loader tells of all."""

    def end_window(self) -> Drained:
        """Begin the next window, then read everything of the last."""
        assert self._counters is not None
        ended = self._window
        self._window += 1
        self._switch(armed=True)
        wait_for_programs()
        sets = {name: self._taken_set(name, ended) for name in SETS}
        calls = self._counters.take_calls(ended, sets.pop("odd_calls"))
        self.poll()  # a slot that was counted for has said whose it is by now
        unplaced = c.create_string_buffer(8)
        self._maps["unplaced"].lookup_into(bytes(4), unplaced)
        drained = Drained(
            window=ended,
            records=dict(self._pending),
            calls=calls,
            sets=sets,
            losses=self._counters.take_losses(int.from_bytes(unplaced.raw, "little")),
        )
        self._pending = defaultdict(list)
        return drained

    def _taken_set(self, name: str, ended: int) -> tuple[np.ndarray, np.ndarray]:
        if name in self._maps:
            assert self._counters is not None
            return self._counters.take_set(name, ended)
        key, value = SETS[name]
        value_type = STRUCTS[value].dtype if value else np.dtype("<u8")
        return np.zeros(0, STRUCTS[key].dtype), np.zeros(0, value_type)

    def close(self) -> None:
        """Detach every program and free the maps."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        if self._bpf is not None:
            self._bpf.cleanup()
            atexit.unregister(self._bpf.cleanup)
            self._bpf = None
