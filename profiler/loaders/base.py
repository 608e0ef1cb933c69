"""What a loader is given, and what it hands back each window."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from ethogram.contracts.events import STRUCTS, RecordKind
from profiler.loaders.features import KernelFeatures
from profiler.ring import Records

__all__ = [
    "CALLER",
    "CALLS",
    "PROGRAM",
    "Drained",
    "KernelConfig",
    "KnownGrams",
    "Loader",
    "ProgramState",
    "Tier",
]

# `full`: every call on its entry and on its exit; `calls`: on its entry; `light`: not at all.
Tier = Literal["full", "calls", "light"]

# Native and other calls of a window, the one form that every loader's counters take.
CALLS = np.dtype(
    [("slot", "<u4"), ("window", "<u4"), ("nr", "<u4"), ("arch", "<u2"), ("calls", "<u8")]
)
PROGRAM = STRUCTS["program_key"].dtype
# Who made a call that was new to its slot.
CALLER = np.dtype([("slot", "<u4"), ("nr", "<u4"), ("arch", "<u2"), ("exec_key", "<u8")])


@dataclass(frozen=True, slots=True)
class KernelConfig:
    """What the programs are told before they load.

    *record_by_default*: cgroups that no target names are recorded. *max_slots*: instances times the
    phases that they were in at one time; None: what the loader has room for. *fast_bits*:
    logarithm of how many threads of the host have room for their fast state (1.1 KiB each); others
    cost more.
    *startup_ns*: how long a workload's startup takes at most. *features*: what the kernel is taken
    to have, for the CO-RE loader; None: what it is found to have. *map_sizes*: entries of maps, or
    bytes of rings, that are to differ from what the object says. *tells_news*: what a workload does
    for the first time is told at once, where the loader can. *knows_grams*: so are sequences of
    calls that models do not know.
    """

    record_by_default: bool
    recorder_tgid: int
    max_slots: int | None = None
    fast_bits: int = 13
    startup_ns: int = 60_000_000_000
    tier: Tier = "full"
    features: KernelFeatures | None = None
    map_sizes: Mapping[str, int] = field(default_factory=dict)
    tells_news: bool = False
    knows_grams: bool = False


@dataclass(frozen=True, slots=True)
class KnownGrams:
    """The sequences of calls that model *number* knows, two of *bits* each, as it hashes them.

    As many others as are *spared* are no news in a window.
    """

    number: int
    spared: int
    bits: bytes


@dataclass(frozen=True, slots=True)
class ProgramState:
    """One program and what became of it."""

    name: str
    hook: str
    tier: Literal["base", "optional"]
    state: Literal["attached", "refused", "absent"]
    error: str | None = None


@dataclass(slots=True)
class Drained:
    """What one window gave.

    *records* are ring records by kind. *calls* has dtype `CALLS`; the sets are (keys, values), in
    the wire structs' dtypes or plain u64 counts. Every key carries the window it belongs to: a
    drain may bring a few of the next. *losses* are (loss_key, count) since the last drain.
    """

    window: int
    records: dict[RecordKind, list[Records]]
    calls: np.ndarray
    sets: dict[str, tuple[np.ndarray, np.ndarray]]
    losses: list[tuple[int | None, int, int, int]] = field(default_factory=list)
    # `opens` and `connects` that need not be told of, by slot.
    passed: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    # Of execs that were news, in a look.
    programs: np.ndarray = field(default_factory=lambda: np.zeros(0, PROGRAM))
    # Of calls that were news, the first of each slot first.
    callers: np.ndarray = field(default_factory=lambda: np.zeros(0, CALLER))


class Loader(Protocol):
    """Puts programs into the kernel. `core` and `bcc` are the two there are."""

    name: Literal["core", "bcc"]
    programs: list[ProgramState]
    # Inodes of the host's mnt, pid, net, uts, ipc, user, cgroup, time; known once attached.
    host_namespaces: tuple[int, ...]
    host_mntns: int  # as `slot_record` has it
    # What it cannot know: tables that stay empty (`files`), columns of null (`network.cookie`).
    unknown: frozenset[str]

    # Why no news are told that were asked for.
    without_news: str | None

    def attach(self, set_targets: Callable[[], None]) -> None:
        """Load and attach; `CaptureError` or `PreflightError` where that cannot be.

        *set_targets* is called once targets can be set, before what runs already is seeded.
        """

    def arm(self) -> None:
        """Begin to record, after what ran before was seeded."""

    def tampered(self) -> Iterator[tuple[str, str]]:
        """Yield the programs that are not attached as they were, and what was done to each."""

    def is_armed(self) -> bool:
        """Say whether the kernel side still records: others may write its memory."""

    def set_target(self, cgroup_id: int, *, is_recorded: bool) -> None:
        """Record *cgroup_id* or leave it out, whatever the default is."""

    def expect(self, paths: Iterable[str]) -> frozenset[str]:
        """Record the cgroups of these paths from the moment they are made, however often that is.

        Return those that it can not: `set_target` is then for who learns of them.
        """

    def silence(self, cgroup_id: int, mount_namespaces: Iterable[int]) -> bool:
        """Stop recording a cgroup that is of no interest, and who joins its mount namespaces.

        False where the kernel side cannot remember it now: ask again.
        """

    def forget(self, cgroup_id: int, mntns: int, slots: list[int], *, is_gone: bool = True) -> None:
        """Give back what an ended instance held; its target too, where the cgroup *is_gone*."""

    def wait(self, timeout_s: float) -> None:
        """Wait until a cgroup or an instance is new, or the time is over."""

    def poll(self) -> dict[RecordKind, list[Records]]:
        """Take records out of the rings; they are also part of the next `end_window`."""

    def look(self) -> Drained:
        """Return what the open window has of news, and all records that came; it goes on.

        What is given out is no part of what `end_window` returns.
        """

    def push(
        self, slot: int, calls: bytes, *, is_muted: bool, grams: KnownGrams | None = None
    ) -> None:
        """Tell of no *calls*, a bitmap, as news of *slot*, or of nothing at all.

        Sequences that *grams* does not have get `GRAM_NEW` as their value; None: nobody's do.
        """

    def keep_grams(self, numbers: Collection[int]) -> None:
        """Keep the sequences of these models; no slot has those of others any more."""

    def pass_capabilities(self, slot: int, allowed: int) -> None:
        """Neither tell of nor count the capabilities *allowed*, bits, that *slot* is granted."""

    def renew_news(self) -> None:
        """Tell of everything as new once more."""

    def pass_keys(self, name: str, keys: np.ndarray) -> None:
        """Only count what has these keys of the set *name*, as far as there is room to know them.

        Sets are `files`, `flows` and `unix_flows`.
        """

    def tell_keys(self, name: str, slots: Collection[int]) -> None:
        """Tell of all of the set *name* in *slots* again."""

    def pass_programs(self, keys: np.ndarray) -> None:
        """Have execs with these keys, of `Drained.programs`, be no news any more."""

    def tell_programs(self, slots: Collection[int]) -> None:
        """Tell of all execs in *slots* again."""

    def end_window(self) -> Drained:
        """End the open window and return it whole."""

    def close(self) -> None:
        """Detach everything."""
