"""Instances of workloads, the slots that the kernel keeps their counts in, and what those mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from profiler.identity.model import Identity
from profiler.targets import Verdict

__all__ = ["Instance", "Slot", "SlotTables", "slot_tables"]

_VERDICTS = {"wanted": 1, "unwanted": 0, "pending": 2}


@dataclass(slots=True)
class Instance:
    """One container, unit start or command run."""

    number: int
    cgroup_id: int
    path: str | None
    identity: Identity
    started_ns: int
    mntns: int
    mntns_inode: int  # 0 where it is not known
    netns: int
    pid: int
    is_live: bool
    main_pid: int = 0  # of the entrypoint, once it ran
    workload: int = -1
    verdict: Verdict = "pending"
    ended_ns: int | None = None
    seccomp_mode: int = 0
    no_new_privs: bool = False
    caps_bounding: int = 0
    host_bits: int = 0
    is_changed: bool = True
    kernel_keys: set[tuple[int, int]] = field(default_factory=set)
    slots: set[int] = field(default_factory=set)

    @property
    def is_container(self) -> bool:
        return self.identity.container_id is not None

    @property
    def is_open(self) -> bool:
        """More may still be learnt about who it is, or about what runs it."""
        identity = self.identity
        awaits_runtime = identity.awaits_runtime and self.verdict != "unwanted"
        return identity.state == "pending" or awaits_runtime

    @property
    def is_unnamed(self) -> bool:
        """It is left out because no source said which pod it is of."""
        return (
            self.verdict == "unwanted" and self.is_container and self.identity.state != "resolved"
        )


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot number stands for."""

    number: int
    instance: Instance
    phase: int


class SlotTables(NamedTuple):
    """What slots mean, by number: *whose* are rows of workload, instance and phase.

    *verdicts* has one more than there are, for numbers that are none.
    """

    whose: np.ndarray
    canonical: np.ndarray
    verdicts: np.ndarray


def slot_tables(slots: Mapping[int, Slot]) -> SlotTables:
    """Return what *slots* mean, by number."""
    top = max([*slots, 0]) + 1
    tables = SlotTables(
        np.zeros((3, top), np.uint32),
        np.arange(top, dtype=np.uint32),
        np.zeros(top + 1, np.uint8),
    )
    first: dict[tuple[int, int], int] = {}
    for number, slot in sorted(slots.items()):
        instance = slot.instance
        tables.whose[:, number] = instance.workload, instance.number, slot.phase
        tables.canonical[number] = first.setdefault((instance.number, slot.phase), number)
        tables.verdicts[number] = _VERDICTS[instance.verdict]
    return tables
