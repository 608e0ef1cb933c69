"""What the recorder takes of memory: its process, and the kernel's for its maps.

The maps' sizes on larger machines are calculated from their definitions in the recorder's object,
by what the kernel charges for each kind of map; the calculation is compared with maps made here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agent import map_bytes, pss_bytes, recording
from benchmarks.cgroups import cgroup
from benchmarks.progress import say
from benchmarks.report import Column, Part, Table, Target, Value
from profiler.libbpf import Btf, Map, Object, library, possible_cpus
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import MAX_SLOTS, CoreLoader
from profiler.loaders.features import KernelFeatures

__all__ = ["Definition", "calculated", "measure"]

# enum bpf_map_type of <linux/bpf.h>.
_HASH, _ARRAY, _PERCPU_HASH, _PERCPU_ARRAY, _LRU, _LRU_PERCPU = 1, 2, 5, 6, 9, 10
_QUEUE, _RING = 22, 27
_PER_CPU = frozenset({_PERCPU_HASH, _PERCPU_ARRAY, _LRU_PERCPU})
_HASHES = frozenset({_HASH, _PERCPU_HASH, _LRU, _LRU_PERCPU})
_TASK_STORAGE = 29
_LOCAL_STORAGE = frozenset({19, 24, 28, _TASK_STORAGE, 32})
_NO_PREALLOC = 1  # BPF_F_NO_PREALLOC
_BUCKET, _ELEMENT, _POINTER, _PAGE = 16, 48, 8, 4096
# struct bpf_local_storage_elem before the value, and struct bpf_local_storage of the task.
_STORAGE_ELEMENT, _STORAGE_OWNER = 64, 192
_SIZE_CLASSES = (16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096)

_SLOTS = (256, 1024)  # that the maps are made with, to see what follows them
_CPUS, _WORKLOADS = (2, 16, 64, 128), (100, 1_000, 4_000)
# A workload has slots for its start, for when it is steady, and for what else happened in it.
_SLOTS_A_WORKLOAD, _THREADS_A_WORKLOAD = 3, 20
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Definition:
    """A map as the object has it, and the bytes that the kernel says it takes."""

    name: str
    kind: int
    flags: int
    key: int
    value: int
    entries: int
    charged: int = 0


def _rounded(size: int, to: int = 8) -> int:
    return -(-size // to) * to


def _allocated(size: int) -> int:
    """Return what an allocation of *size* takes of the kernel's allocator."""
    return next((room for room in _SIZE_CLASSES if size <= room), _rounded(size, _PAGE))


def calculated(of: Definition, cpus: int, entries: int | None = None) -> int:
    """Return the bytes of a map that is just made, with *entries* of room, on *cpus* processors."""
    entries = of.entries if entries is None else entries
    values = _rounded(of.value) * (cpus if of.kind in _PER_CPU else 1)
    if of.kind in _HASHES:
        buckets = _BUCKET * (1 << (entries - 1).bit_length())
        return buckets + (0 if of.flags & _NO_PREALLOC else entries * _element(of, cpus))
    if of.kind == _PERCPU_ARRAY:
        return entries * (values + _POINTER)
    if of.kind == _ARRAY:
        return entries * values
    if of.kind == _QUEUE:
        return (entries + 1) * of.value
    if of.kind == _RING:  # its pages are mapped twice, by an array of pointers
        return entries + 3 * _PAGE + 2 * (entries // _PAGE) * _POINTER
    return 0  # local storage, of which each task or socket has its own


def _element(of: Definition, cpus: int) -> int:
    values = _rounded(of.value) * (cpus if of.kind in _PER_CPU else 1)
    return _ELEMENT + _rounded(of.key) + values


def measure(directory: Path, *, recorded_s: float) -> Part:
    """Return the part; the recorder's process is looked at after *recorded_s*."""
    part = Part("memory", "What it takes of memory", "see each table")
    say("memory: maps at two numbers of slots")
    made = {slots: definitions(slots) for slots in _SLOTS}
    part.tables += [_process(directory, recorded_s, part), _compared(made), _larger(made)]
    part.tables.append(_kinds(made[_SLOTS[-1]]))
    most = MAX_SLOTS
    part.notes += [
        f"a recorder has {most:,} slots, room for {most // _SLOTS_A_WORKLOAD:,} workloads with "
        f"{_SLOTS_A_WORKLOAD} slots each; what is larger in the table needs more of them",
        f"a recorded thread takes {_thread(made[_SLOTS[0]]):,} bytes of the kernel's memory, "
        "calculated",
    ]
    return part


def definitions(slots: int) -> dict[str, Definition]:
    """Return every map of the recorder, made for *slots* and gone again; nothing is attached."""
    with Btf.of_kernel() as kernel:
        features = KernelFeatures.of(kernel)
    config = KernelConfig(
        record_by_default=False, recorder_tgid=0, max_slots=slots, features=features
    )
    loaded: Object = CoreLoader(config)._loaded([])
    try:
        return {name: _definition(each) for name, each in loaded.maps.items()}
    finally:
        loaded.close()


def _definition(of: Map) -> Definition:
    lib, handle = library(), of._handle
    info = dict(
        line.split(":", 1)
        for line in Path(f"/proc/self/fdinfo/{of.fd}").read_text().splitlines()
        if ":" in line
    )
    return Definition(
        of.name,
        int(lib.bpf_map__type(handle)),
        int(lib.bpf_map__map_flags(handle)),
        of.key_size,
        of.value_size,
        of.max_entries,
        int(info["memlock"]),
    )


# --- tables ----------------------------------------------------------------------------------


def _process(directory: Path, recorded_s: float, part: Part) -> Table:
    """Return what a recorder of everything takes here."""
    say("memory: a recorder of everything")
    with cgroup("memory"), recording(directory / "memory", ["--all"]) as agent:
        time.sleep(recorded_s)
        pss, maps = pss_bytes(agent.pid), map_bytes(agent.pid)
    part.targets.append(Target("memory of the recorder (PSS)", pss, 100 * _MIB, "bytes"))
    columns = (Column("recorder of everything that runs here"), Column("bytes", "bytes"))
    rows = (("its process (PSS)", pss), ("BPF maps, as the kernel says", maps))
    return Table(columns, rows)


def _compared(made: Mapping[int, Mapping[str, Definition]]) -> Table:
    columns = (
        Column("maps made here"),
        Column("as the kernel says", "bytes"),
        Column("calculated", "bytes"),
        Column("calculated / said", "ratio"),
    )
    rows = []
    for slots, maps in made.items():
        said = sum(each.charged for each in maps.values())
        own = sum(calculated(each, possible_cpus()) for each in maps.values())
        rows.append((f"{slots:,} slots, {possible_cpus()} processors", said, own, own / said))
    return Table(columns, tuple(rows))


def _larger(made: Mapping[int, Mapping[str, Definition]]) -> Table:
    """Return the maps' size by processors and workloads."""
    columns = (
        Column("calculated: processors"),
        Column("workloads", "count"),
        Column("threads", "count"),
        *(Column(name, "bytes") for name in ("follows slots", "threads' state", "the rest", "all")),
    )
    rows: list[tuple[Value, ...]] = []
    first, second = (made[slots] for slots in _SLOTS)
    for cpus in _CPUS:
        for workloads in _WORKLOADS:
            slots, threads = workloads * _SLOTS_A_WORKLOAD, workloads * _THREADS_A_WORKLOAD
            follows = rest = 0
            for name, least in first.items():
                a_slot = (second[name].entries - least.entries) / (_SLOTS[1] - _SLOTS[0])
                if a_slot:
                    room = round(least.entries + a_slot * (slots - _SLOTS[0]))
                    follows += calculated(least, cpus, room)
                else:
                    rest += calculated(least, cpus)
            of_threads = threads * _thread(first)
            total = follows + of_threads + rest
            rows.append((f"{cpus}", workloads, threads, follows, of_threads, rest, total))
    title = (
        f"by calculation, {_SLOTS_A_WORKLOAD} slots and {_THREADS_A_WORKLOAD} threads a workload"
    )
    return Table(columns, tuple(rows), title)


def _thread(maps: Mapping[str, Definition]) -> int:
    """Return what a recorded thread takes."""
    return _STORAGE_OWNER + sum(
        _allocated(_STORAGE_ELEMENT + _rounded(each.value))
        for each in maps.values()
        if each.kind == _TASK_STORAGE
    )


def _kinds(maps: Mapping[str, Definition]) -> Table:
    """Return what the maps that take most do so for, here."""
    columns = (
        Column(f"map, at {_SLOTS[-1]:,} slots here"),
        Column("entries", "count"),
        Column("when made", "bytes"),
        Column("when full", "bytes"),
    )
    cpus = possible_cpus()
    rows = [
        (
            each.name,
            None if each.kind == _RING else each.entries,
            each.charged,
            each.charged + _filling(each, cpus),
        )
        for each in maps.values()
        if each.kind not in _LOCAL_STORAGE
    ]
    rows.sort(key=lambda row: row[3], reverse=True)
    shown, others = rows[:10], rows[10:]
    last = (
        f"{len(others)} others",
        None,
        *(sum(row[index] for row in others) for index in (2, 3)),
    )
    return Table(columns, (*shown, last))


def _filling(of: Definition, cpus: int) -> int:
    """Return what a map takes in addition once it is full."""
    if of.kind not in _HASHES or not of.flags & _NO_PREALLOC:
        return 0
    return of.entries * _allocated(_element(of, cpus) + _POINTER)
