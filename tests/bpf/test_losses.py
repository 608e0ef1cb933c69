"""Each kind of loss, really brought about: counted exactly, for whoever it happened to."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ethogram.contracts.events import RecordKind
from profiler.identity.hierarchy import unified_mount
from profiler.loaders.base import Drained, KernelConfig
from profiler.loaders.core import CoreLoader
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen
from tests.workloads import build_known, known

pytestmark = pytest.mark.bpf

CLOSE = 3
LIFE = (RecordKind.EXEC, RecordKind.EXEC_FAILED, RecordKind.FORK, RecordKind.EXIT)


@contextmanager
def small(*, max_slots: int | None = None, **sizes: int) -> Iterator[Kernel]:
    """A recorder whose maps of these names have so many entries, or bytes where they are rings."""
    config = KernelConfig(
        record_by_default=False, recorder_tgid=os.getpid(), max_slots=max_slots, map_sizes=sizes
    )
    loader = CoreLoader(config)
    try:
        loader.attach(lambda: None)
        loader.arm()
        yield Kernel(loader, unified_mount())
    finally:
        loader.close()


def records(seen: Seen, *kinds: RecordKind) -> int:
    return sum(len(batch.heads) for kind in kinds for batch in seen.drained.records.get(kind, []))


def counted(seen: Seen, number: int = 0) -> dict[tuple[str, str], int]:
    return {(kind, place): count for kind, place, count in seen.losses_of(number)}


def test_a_full_ring_loses_what_it_had_no_room_for_and_nothing_else(tmp_path: Path) -> None:
    with small(paths=4096) as kernel:
        seen = kernel.run_each(known(["burst-open", tmp_path, 101]), known(["call", 110, 23]))
    lost = counted(seen)
    assert lost.keys() == {("ring_full", "files")}
    # Each file that is counted sent its path, or is a loss.
    kept = records(seen, RecordKind.FILE)
    assert kept > 10
    assert kept + lost["ring_full", "files"] == len(seen.drained.sets["files"][0])
    assert counted(seen, 1).keys() <= lost.keys()
    assert seen.calls()["getppid"] == 23


def test_a_full_ring_of_lives_counts_each_that_began_or_ended_unseen() -> None:
    with small(life=8192) as kernel:
        seen = kernel.run(["storm-exec", 101, build_known(), "exit"])
    lost = counted(seen)
    assert lost.keys() == {("ring_full", "processes")}
    # 101 times fork, exec, exit; and the harness's own fork, exec and exit.
    assert records(seen, *LIFE) + lost["ring_full", "processes"] == 3 * 101 + 2


def test_a_full_map_of_files_counts_each_that_it_did_not_take(tmp_path: Path) -> None:
    with small(files=16) as kernel:
        seen = kernel.run(["burst-open", tmp_path, 101])
    lost = counted(seen)
    assert lost.keys() == {("map_full", "files")}
    assert len(seen.drained.sets["files"][0]) == 16
    assert lost["map_full", "files"] >= 101 - 16


def test_a_full_map_of_sequences_counts_those_that_it_did_not_take() -> None:
    orders = itertools.islice(itertools.permutations((102, 104, 107, 108, 110, 111)), 0, 720, 71)
    calls = [["call", number, 1] for order in orders for number in order]
    with small(grams=16) as kernel:
        seen = kernel.run(*calls)
    assert counted(seen).keys() == {("map_full", "ngrams")}
    assert len(seen.drained.sets["grams"][0]) == 16


def test_instances_without_a_slot_are_counted_and_those_with_one_are_whole() -> None:
    with small(max_slots=3) as kernel:
        seen = kernel.run_each(*[known(["call", 110, 23])] * 4)
    found = {(kind, place): count for kind, place, count in seen.losses}
    assert found["slots_full", "slots"] >= 1
    # Slot 0 has what nobody could be found for.
    total = seen.drained.calls[seen.drained.calls["nr"] == 110]["calls"].sum()
    assert int(total) == 4 * 23


def test_what_the_open_window_counts_stays_until_it_is_over(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read and deleted while a program counts in it, an entry would lose what comes between."""
    loader = kernel.loader
    end_window = loader.end_window

    def read_early() -> Drained:
        assert loader._counters is not None
        loader._counters.take_set("errors", loader._window - 1)
        return end_window()

    monkeypatch.setattr(loader, "end_window", read_early)
    assert kernel.run(["call", CLOSE, 23, 999]).errors["close", errno.EBADF] == 23
