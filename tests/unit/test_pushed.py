"""Each slot is told once what is no news there, and what a model knows where the model is of it."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from ethogram.contracts.events import STRUCTS
from ethogram.contracts.tables import ENUMS
from profiler.identity.model import Identity
from profiler.instances import Instance, Slot
from profiler.loaders.base import KnownGrams, Loader
from profiler.pushed import Pushed, by_instance
from profiler.targets import Verdict

pytestmark = pytest.mark.unit

IDENTITY = Identity(kind="Command", name="job", runtime_id="1", source="command", state="resolved")
STEADY, EXEC = ENUMS["phase"].index("steady"), ENUMS["phase"].index("exec")
CALLS = bytes(63) + b"\1"
ONE, TWO = KnownGrams(1, 0, bytes(8)), KnownGrams(2, 3, bytes(8))


class _Kernel:
    """Keeps what it is told, in turn."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def push(self, slot: int, calls: bytes, *, is_muted: bool, grams: KnownGrams | None) -> None:
        self.told.append((slot, calls, is_muted, grams))

    def keep_grams(self, numbers: set[int]) -> None:
        self.told.append(numbers)


class _Host:
    """Slots, and what came of pushing to them."""

    def __init__(self, *slots: Slot) -> None:
        self._slots, self.pushed = slots, Pushed()

    def push(self, calls: dict[int, bytes | None], grams: dict[int, KnownGrams]) -> list[object]:
        kernel = _Kernel()
        self.pushed.push(cast("Loader", kernel), self._slots, calls, grams)
        return kernel.told


def slot(number: int, instance: int, phase: int = STEADY, verdict: Verdict = "wanted") -> Slot:
    whose = Instance(
        number=instance, cgroup_id=instance, path=None, identity=IDENTITY, started_ns=0,
        mntns=0, mntns_inode=0, netns=0, pid=0, is_live=True, verdict=verdict,
    )  # fmt: skip
    return Slot(number, whose, phase)


def test_sequences_are_known_of_the_steady_phase_alone() -> None:
    host = _Host(slot(7, 1), slot(8, 1, EXEC))
    told = host.push({1: CALLS}, {1: ONE})
    assert told == [(8, CALLS, False, None), {1}, (7, CALLS, False, ONE)]


def test_nobody_is_told_the_same_twice_until_the_slot_is_another_s() -> None:
    host = _Host(slot(7, 1))
    assert len(host.push({1: CALLS}, {1: ONE})) == 2
    assert host.push({1: CALLS}, {1: ONE}) == [{1}]
    host.pushed.forget([7])
    assert host.push({1: CALLS}, {1: ONE}) == [{1}, (7, CALLS, False, ONE)]


def test_a_model_is_forgotten_after_its_last_slot_and_before_another_has_its_place() -> None:
    host = _Host(slot(7, 1), slot(8, 2))
    host.push({1: CALLS, 2: CALLS}, {1: ONE})
    told = host.push({1: CALLS, 2: CALLS}, {2: TWO})
    assert told == [(7, CALLS, False, None), {2}, (8, CALLS, False, TWO)]


def test_of_whom_nobody_judges_nothing_is_told_and_of_others_nothing_is_said() -> None:
    host = _Host(slot(7, 1), slot(8, 2), slot(9, 3, verdict="pending"))
    assert host.push({1: None, 3: CALLS}, {}) == [(7, bytes(64), True, None), set()]


def test_sequences_of_all_slots_of_an_instance_are_one_set() -> None:
    keys = np.zeros(4, STRUCTS["gram_key"].dtype)
    keys["slot"], keys["gram"] = [7, 8, 9, 8], [5, 5, 6, 4]
    slots = {7: slot(7, 1), 8: slot(8, 1), 9: slot(9, 2)}
    found = {number: grams.tolist() for number, grams in by_instance(keys, slots).items()}
    assert found == {1: [4, 5], 2: [6]}
