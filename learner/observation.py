"""How much was watched, as rows of a summary: the denominators of every count.

They are rows like any other, so that merging stays plain set union:

    subject      key `{"container_kind":..,"image":..,"image_digest":..,"selector":{..}}`
    instance     key `{"caps_bounding":..,"host_namespaces":..,"no_new_privs":..,"observed":..,
                 "privileges_gained":..,"runtime":..,"seccomp_mode":..}`, null is not known;
                 with `"finished":true` where it ran to an end that was seen, and `"runs_as":[..]`,
                 the user ids of its processes, where they are the host's and all are known;
                 `"host_paths":[..]` and `"host_ports":[..]` where its pod was in the inventory;
                 `"runtime_version":".."` where it is known
    observation  key `["windows"]`: windows of the instance, `calls` nanoseconds observed;
                 key `["phase"]`: windows in the row's phase, `calls` system calls;
                 key `["state","incomplete"]`: windows in that state
    loss         key `[kind, place]`, `calls` events lost; no workload where it is not known whose
    input        key `{"clean_end":..,"loader":..,"sha256":..,"tier":..,"window_ms":..}`, with
                 `"dropped_windows":..` where a limit on age or size deleted some, and
                 `"file_changes":true` where files tell more than opens, and `"arguments":true`
                 where arguments of calls were looked at
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import ENUMS
from learner.context import Context
from learner.counting import Counts, Numbers, counted, numbered
from learner.dimensions import canonical
from learner.rows import Row, new_row
from learner.taint import Taint

__all__ = ["observation_rows"]

_RUNTIME = ENUMS["phase"].index("runtime")
_SUBJECT = ("container_kind", "image", "image_digest")
_INSTANCE = (
    "caps_bounding", "host_namespaces", "no_new_privs", "observed", "runtime", "seccomp_mode",
)  # fmt: skip

_GIVEN = ("host_paths", "host_ports")


def observation_rows(context: Context, taint: Taint, recording: Recording) -> Iterator[Row]:
    """Yield the rows of a summary that say how much was watched in *recording*, and how well."""
    yield _input(context, recording)
    yield from _instances(context, _own_processes(context, taint))
    yield from _coverage(context)
    yield from _losses(context)


def _object(fields: Row) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode(
        "utf-8", "backslashreplace"
    )


def _input(context: Context, recording: Recording) -> Row:
    manifest = recording.manifest
    fields = {
        "clean_end": manifest.clean_end and not recording.is_truncated,
        "loader": manifest.loader,
        "sha256": recording.manifest_sha256,
        "tier": manifest.tier,
        "window_ms": manifest.window_ms,
    }
    if manifest.dropped is not None:
        fields["dropped_windows"] = manifest.dropped.windows
    if manifest.file_changes:
        fields["file_changes"] = True
    if manifest.arguments:
        fields["arguments"] = True
    return new_row(context, "input", _object(fields), windows=len(context.windows.numbers))


@dataclass(slots=True)
class _Own:
    """What the processes of each instance were, by its number.

    *gained*: in them an exec gave a process privileges that its caller lacked. *users*: the user
    ids of their processes. *unknown*: of one of their processes these are not known.
    """

    gained: set[int] = field(default_factory=set)
    users: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    unknown: set[int] = field(default_factory=set)


def _instances(context: Context, processes: _Own) -> Iterator[Row]:
    for number, instance in context.instance_rows.items():
        workload = context.workload_rows.get(instance["workload"])
        if workload is None:
            continue
        keys = {
            "instance_key": context.instance_keys[number],
            "workload_key": context.workload_keys[instance["workload"]],
            "first": _nanoseconds(instance["started"]),
            "last": _nanoseconds(instance["ended"] or instance["started"]),
        }
        subject = {name: workload[name] for name in _SUBJECT}
        subject["selector"] = dict(workload["selector"])
        own = {name: instance[name] for name in _INSTANCE}
        if instance["runtime_version"] is not None:
            own["runtime_version"] = instance["runtime_version"]
        own["privileges_gained"] = _gained(context, instance, processes)
        if (users := _users(instance, processes)) is not None:
            own["runs_as"] = users
        own |= {name: instance[name] for name in _GIVEN if instance.get(name) is not None}
        if _has_finished(context, instance, workload):
            own["finished"] = True
        yield new_row(context, "subject", _object(subject), **keys)
        yield new_row(context, "instance", _object(own), **keys)


def _own_processes(context: Context, taint: Taint) -> _Own:
    """Return what the processes were that the workloads started themselves.

    What the container runtime executed does not count, nor what an indicator condemns: a policy
    must not become wider by it.
    """
    found = _Own()
    forked, raised = int(ProcessFlag.FORKED), int(ProcessFlag.PRIVILEGES_GAINED)
    for batch in context.recording.batches("processes"):
        flags = batch.column("flags").to_numpy()
        phase = batch.column("phase").indices.to_numpy(zero_copy_only=False)
        is_own = pc.is_null(batch.column("errno")).to_numpy(zero_copy_only=False)
        is_own &= phase != _RUNTIME
        if is_own.any():
            is_own &= taint.bits("processes", batch) == 0
        is_gain = is_own & ((flags & (forked | raised)) == raised)
        found.gained.update(batch.column("instance").filter(pa.array(is_gain)).to_pylist())
        _note_users(found, batch.filter(pa.array(is_own)))
    return found


def _note_users(found: _Own, rows: pa.RecordBatch) -> None:
    # Of a process that was gone before anybody looked `uid` is 0, whatever it was.
    columns = [rows.column(name) for name in ("instance", "uid", "euid")]
    distinct = pa.table(columns, ["instance", "uid", "euid"]).group_by(["instance", "uid", "euid"])
    for row in distinct.aggregate([]).to_pylist():
        if row["euid"] is None:
            found.unknown.add(row["instance"])
        else:
            found.users[row["instance"]] |= {row["uid"], row["euid"]}


def _users(instance: Row, processes: _Own) -> list[int] | None:
    """Return the user ids in *instance*; None where they are not known, or not the host's."""
    number = instance["instance"]
    if number in processes.unknown or "user" not in (instance["host_namespaces"] or ()):
        return None
    return sorted(processes.users[number])


def _gained(context: Context, instance: Row, processes: _Own) -> bool | None:
    """Return whether privileges were gained; not known is what nobody saw from the start."""
    if instance["instance"] in processes.gained:
        return True
    saw_all = instance["observed"] == "live" and context.recording.manifest.loader == "core"
    return False if saw_all else None


def _has_finished(context: Context, instance: Row, workload: Row) -> bool:
    """Return whether *instance* was seen from its start to its end.

    The cgroup of a command outlives the recording; how it exited is in the manifest.
    """
    command = context.recording.manifest.command
    exited = workload["kind"] == "Command" and command and command.exit_status is not None
    return instance["observed"] == "live" and bool(instance["ended"] is not None or exited)


def _nanoseconds(time: Any) -> int:
    return int(pd.Timestamp(time).value)


def _coverage(context: Context) -> Iterator[Row]:
    """Yield how long each instance was watched, its windows by phase, and those with gaps."""
    rows = _Covered(context)
    if not len(rows.whose):
        return
    # Phases share a window: it was observed for as long as the longest of them was.
    each = numbered([rows.whose.of_rows, rows.window], len(rows.window))
    longest = np.zeros(len(each), np.uint64)
    np.maximum.at(longest, each.of_rows, rows.observed)
    whole_windows = rows.counted(rows.whose, np.zeros(len(rows.window), np.uint64))
    seconds = np.zeros(len(rows.whose), np.uint64)
    np.add.at(seconds, rows.whose.of_rows[each.first_rows], longest)
    first = context.windows.start_of(whole_windows.first)
    last = context.windows.end_of(whole_windows.last)
    for number, keys in enumerate(rows.keys):
        if keys is not None:
            keys |= {"first": int(first[number]), "last": int(last[number])}
            yield new_row(
                context, "observation", canonical(["windows"]), **keys,
                windows=int(whole_windows.windows[number]), calls=int(seconds[number]),
            )  # fmt: skip
    yield from rows.parts(rows.phase, "phase")
    yield from rows.parts(rows.state, "coverage_state")


class _Covered:
    """The rows of table `coverage` in columns; *whose* numbers them by workload and instance."""

    def __init__(self, context: Context) -> None:
        self._context = context
        columns = ("window", "workload", "instance", "observed_ns", "calls")
        found: dict[str, list[np.ndarray]] = {name: [] for name in (*columns, "phase", "state")}
        for batch in context.recording.batches("coverage"):
            for name in columns:
                found[name].append(pc.fill_null(batch.column(name), 0).to_numpy())
            for name in ("phase", "state"):
                found[name].append(batch.column(name).indices.to_numpy())
        whole = {name: np.concatenate(parts or [np.zeros(0, np.uint64)])
                 for name, parts in found.items()}  # fmt: skip
        self.window = whole["window"].astype(np.int64)
        self.phase, self.state = whole["phase"], whole["state"]
        self.observed, self._calls = whole["observed_ns"], whole["calls"]
        self.whose = numbered([whole["workload"], whole["instance"]], len(self.window))
        first = self.whose.first_rows
        pairs = zip(
            whole["workload"][first].tolist(), whole["instance"][first].tolist(), strict=True
        )
        self.keys = [self._keys_of(*pair) for pair in pairs]

    def _keys_of(self, workload: int, instance: int) -> Row | None:
        """Return the columns that name an instance; None of one that the recording lacks."""
        if workload not in self._context.workload_keys:
            return None
        if instance not in self._context.instance_keys:
            return None
        return {
            "workload_key": self._context.workload_keys[workload],
            "instance_key": self._context.instance_keys[instance],
        }

    def counted(self, numbers: Numbers, calls: np.ndarray) -> Counts:
        """Return the counts by number; as times, the first and the last window."""
        return counted(
            numbers.of_rows, len(numbers), window=self.window, calls=calls,
            first=self.window, last=self.window,
        )  # fmt: skip

    def parts(self, codes: np.ndarray, enum: str) -> Iterator[Row]:
        """Yield the windows of each instance by phase, or those not complete by state."""
        kinds = numbered([self.whose.of_rows, codes], len(codes))
        counts = self.counted(kinds, self._calls)
        for number, row in enumerate(kinds.first_rows.tolist()):
            keys, word = self.keys[self.whose.of_rows[row]], ENUMS[enum][codes[row]]
            windows = int(counts.windows[number])
            if keys is None or word == "complete":
                continue
            if enum == "phase":
                yield new_row(
                    self._context, "observation", canonical(["phase"]), **keys, phase=word,
                    windows=windows, calls=int(counts.calls[number]),
                )  # fmt: skip
            else:
                key = canonical(["state", word])
                yield new_row(self._context, "observation", key, **keys, windows=windows)


def _losses(context: Context) -> Iterator[Row]:
    table = context.recording.table("losses")
    if not table.num_rows:
        return
    frame = table.select(["window", "workload", "instance", "place", "count"]).to_pandas()
    frame["kind"] = table.column("kind").cast(pa.string()).to_pandas()
    frame = frame[frame["count"] > 0]
    keys = ["workload", "instance", "kind", "place"]
    for (workload, instance, kind, place), rows in frame.groupby(keys, dropna=False, sort=True):
        assert kind in ENUMS["loss"]
        windows = np.unique(rows.window.to_numpy())
        yield new_row(
            context, "loss", canonical([kind, str(place)]),
            workload_key=context.workload_keys.get(_number(workload), ""),
            instance_key=context.instance_keys.get(_number(instance), ""),
            windows=len(windows), calls=int(rows["count"].sum()),
            first=int(context.windows.start_of(windows[:1])[0]),
            last=int(context.windows.end_of(windows[-1:])[0]),
        )  # fmt: skip


def _number(value: Any) -> int:
    return -1 if pd.isna(value) else int(value)
