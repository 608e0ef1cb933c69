"""The rows of each table as behaviour: what to group by, and what the groups are called.

`prepare` functions work on whole batches in Arrow and NumPy; only `name` functions see single
values, and only one for each distinct behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.escape import escape
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.tables import ENUMS
from learner.context import Context
from learner.dimensions import (
    AF_INET,
    access_letters,
    address_text,
    canonical,
    made_socket,
    one_bit_a_letter,
    protocol_word,
)
from learner.judging import JUDGED

__all__ = ["BEHAVIOURS", "Behaviour", "Columns", "group_columns"]

Columns: TypeAlias = "dict[str, pa.Array | pa.ChunkedArray]"
_Named: TypeAlias = "tuple[str, bytes]"
_CAPABILITY, _LINK = (ENUMS["operation"].index(name) for name in ("capability", "link"))
_RUNTIME = ENUMS["phase"].index("runtime")
_RESOLVER = ENUMS["name_trust"].index("resolver")
_OUT, _IN = ENUMS["direction"].index("out"), ENUMS["direction"].index("in")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one table becomes rows of a summary.

    *prepare* returns the columns to group by and, where the table has them, `calls`, `first` and
    `last`; with `keep` a mask of the rows that count. *name* turns one group, as a mapping of
    these columns, into its dimension and key. What has one key should be one group: the counts of
    groups do not add up.

    Rows with the same in the columns *decided_by*, and in what *decided_also* returns, are the same
    to *prepare*, *name* and the indicators; where it is empty, each row is another. *counted_by*
    is the column that says how often, where *prepare* sees not every row.
    """

    table: str
    prepare: Callable[[Context, pa.RecordBatch], Columns]
    name: Callable[[Context, dict[str, Any]], _Named]
    decided_by: tuple[str, ...] = ()
    counted_by: str = "calls"
    decided_also: Callable[[Context, pa.Table], list[np.ndarray]] = lambda *_: []


def _codes(batch: pa.RecordBatch, column: str) -> pa.Array:
    return batch.column(column).indices


def _timed(batch: pa.RecordBatch) -> Columns:
    return {"first": batch.column("first"), "last": batch.column("last")}


def _exe(context: Context, exes: pa.Array) -> Columns:
    return {"exe_path": context.path_indices(exes)}


def _exe_of(context: Context, exec_ids: pa.Array) -> Columns:
    """Return the executables of the processes with *exec_ids*, null where none is known."""
    names, exes = context.processes
    return {"exe_path": context.path_indices(exes).take(pc.index_in(exec_ids, value_set=names))}


def _syscalls(_: Context, batch: pa.RecordBatch) -> Columns:
    columns = {"arch": _codes(batch, "arch"), "nr": batch.column("nr")}
    return columns | {"calls": batch.column("calls")}


def _errors(context: Context, batch: pa.RecordBatch) -> Columns:
    return _syscalls(context, batch) | {"errno": batch.column("errno")}


def _arguments(context: Context, batch: pa.RecordBatch) -> Columns:
    told = {name: batch.column(name) for name in ("index", "value")}
    return _syscalls(context, batch) | told


def _denied(context: Context, batch: pa.RecordBatch) -> Columns:
    exe = _exe_of(context, batch.column("exec_id"))
    return _errors(context, batch) | exe | {"action": _codes(batch, "action")}


def _ngrams(_: Context, batch: pa.RecordBatch) -> Columns:
    calls = pc.fill_null(batch.column("calls"), 0)
    return {"arch": _codes(batch, "arch"), "gram": batch.column("gram"), "calls": calls}


def _files(context: Context, batch: pa.RecordBatch) -> Columns:
    letters = pa.array(one_bit_a_letter(batch.column("access").to_numpy()))
    path = batch.column("path")
    keep = pc.and_(pc.is_null(batch.column("errno")), pc.greater(pc.binary_length(path), 0))
    columns = {"path": path, "access": letters, "calls": batch.column("calls"), "keep": keep}
    return columns | _exe(context, batch.column("exe")) | _timed(batch)


def _network(context: Context, batch: pa.RecordBatch) -> Columns:
    """Return who was talked to, at which port of theirs, or who came to which port of ours."""
    direction = _codes(batch, "direction")
    codes = direction.to_numpy()
    is_peer, is_out = pa.array((codes == _OUT) | (codes == _IN)), pa.array(codes == _OUT)
    peer = context.peers.whose(batch)
    is_moving = context.peers.are_moving(peer)
    no_address, no_name = pa.scalar(None, pa.binary()), pa.scalar(None, pa.string())
    is_named = pc.and_(is_peer, pc.equal(_codes(batch, "name_trust"), _RESOLVER))
    address = pc.if_else(is_peer, batch.column("peer_addr"), batch.column("local_addr"))
    return (
        {
            "direction": direction,
            # An identity is the same under IPv4 and IPv6.
            "family": pc.if_else(
                is_moving, pa.scalar(AF_INET, pa.uint16()), batch.column("family")
            ),
            "type": batch.column("type"),
            "protocol": batch.column("protocol"),
            "address": pc.if_else(is_moving, no_address, address),
            "port": pc.if_else(is_out, batch.column("peer_port"), batch.column("local_port")),
            "unix_path": _unix_path(batch.column("unix_path")),
            "name": pc.if_else(pc.and_not(is_named, is_moving), batch.column("name"), no_name),
            "peer": peer,
            "calls": batch.column("connections"),
        }
        | _exe(context, batch.column("exe"))
        | _timed(batch)
    )


def _unix_path(paths: pa.Array) -> pa.Array:
    """Return *paths* without the names that the kernel chose: NUL and five hexadecimal digits.

    They are other ones the next time, as ports are.
    """
    is_chosen = pc.match_substring_regex(paths, rb"^\x00[0-9a-f]{5}$")
    return pc.if_else(pc.fill_null(is_chosen, fill_value=False), pa.scalar(b"", pa.binary()), paths)


def _dns(context: Context, batch: pa.RecordBatch) -> Columns:
    once = pa.array(np.ones(batch.num_rows, np.uint64))
    return {"qname": batch.column("qname"), "calls": once} | _exe(context, batch.column("exe"))


def _execs(context: Context, batch: pa.RecordBatch) -> Columns:
    start = batch.column("start")
    is_fork = pc.bit_wise_and(
        batch.column("flags"), pa.scalar(int(ProcessFlag.FORKED), pa.uint32())
    )
    path = pa.array(context.paths, pa.binary()).take(context.path_indices(batch.column("exe")))
    executed = pc.and_(pc.is_null(batch.column("errno")), pc.equal(is_fork, 0))
    window = context.windows.at(start.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return {
        # The row was written again when the process ended: it executed when it started.
        "window": pa.array(window.astype(np.uint32)),
        "path": path,
        "upper": context.are_upper(batch.column("exe")),
        "calls": pa.array(np.ones(batch.num_rows, np.uint64)),
        "keep": pc.and_(executed, pc.is_valid(path)),
        "first": start,
        "last": start,
    } | _exe_of(context, batch.column("parent_exec_id"))


def _privileges(context: Context, batch: pa.RecordBatch) -> Columns:
    operation, no_target = _codes(batch, "operation"), pa.scalar(None, pa.binary())
    # Mail and lock files are linked under ever new names, and a runtime mounts below a directory
    # of that one container: that they do it is the behaviour.
    is_nameless = pc.or_(pc.equal(operation, _LINK), pc.equal(_codes(batch, "phase"), _RUNTIME))
    named = pc.or_(pc.not_equal(operation, _CAPABILITY), pc.is_valid(batch.column("capability")))
    return {
        "operation": operation,
        "capability": batch.column("capability"),
        "target": pc.if_else(is_nameless, no_target, batch.column("target")),
        "calls": batch.column("calls"),
        "keep": pc.and_(batch.column("granted"), named),
    } | _exe_of(context, batch.column("exec_id"))


def _name_of_network(context: Context, group: dict[str, Any]) -> _Named:
    address = address_text(group["address"], group["unix_path"])
    if group["direction"] in (_OUT, _IN):
        word = protocol_word(group["family"], group["type"], group["protocol"])
        direction = ENUMS["direction"][group["direction"]]
        name = None if group["name"] is None else escape(group["name"])
        who = None if group["peer"] is None else context.peers.identity(group["peer"])
        return "peers", canonical([direction, word, address, group["port"], name, who])
    word, kind = made_socket(group["family"], group["type"], group["protocol"])
    return "listens", canonical([word, address or kind, group["port"]])


def _name_of_exec(_: Context, group: dict[str, Any]) -> _Named:
    return "execs", _exec_key(group["path"], group["upper"])


@lru_cache(maxsize=4096)
def _exec_key(path: bytes, is_upper: bool) -> bytes:
    return canonical([escape(path), is_upper])


def _name_of_privilege(_: Context, group: dict[str, Any]) -> _Named:
    if group["operation"] == _CAPABILITY:
        return "capabilities", capability_name(group["capability"]).encode()
    target = group["target"]
    name = ENUMS["operation"][group["operation"]]
    return "operations", canonical([name, None if target is None else escape(target)])


def _name_of_denied(_: Context, group: dict[str, Any]) -> _Named:
    return "denied", canonical([group["nr"], ENUMS["action"][group["action"]], group["errno"]])


def _name_of_file(_: Context, group: dict[str, Any]) -> _Named:
    path, letters = group["path"], access_letters(group["access"])
    if _PLAIN.fullmatch(path):  # nearly every one of very many
        return "files", b'["%s","%s"]' % (path, letters.encode())
    return "files", canonical([escape(path), letters])


# What neither `escape` nor JSON writes in another way.
_PLAIN = re.compile(rb"[ !#-\[\]-~]*")
_WHOSE = ("instance", "workload", "phase")
BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "syscalls",
        _syscalls,
        lambda _, group: ("syscalls", b"%d" % group["nr"]),
        decided_by=(*_WHOSE, "arch", "nr"),
    ),
    Behaviour(
        "errors",
        _errors,
        lambda _, group: ("errors", canonical([group["nr"], group["errno"]])),
        decided_by=(*_WHOSE, "arch", "nr", "errno"),
    ),
    Behaviour(
        "arguments",
        _arguments,
        lambda _, group: (
            "arguments", canonical([group["nr"], group["index"], group["value"]])
        ),
        decided_by=(*_WHOSE, "arch", "nr", "index", "value"),
    ),
    Behaviour("denied", _denied, _name_of_denied),
    Behaviour(
        "ngrams",
        _ngrams,
        lambda _, group: ("ngrams", group["gram"]),
        decided_by=(*_WHOSE, "arch", "gram"),
    ),
    Behaviour(
        "files", _files, _name_of_file, decided_by=(*JUDGED["files"], "workload")
    ),
    Behaviour(
        "network",
        _network,
        _name_of_network,
        decided_by=(*JUDGED["network"], "workload"),
        counted_by="connections",
        decided_also=lambda context, rows: [context.peers.epochs(rows.column("last"))],
    ),
    Behaviour(
        "dns", _dns, lambda _, group: ("dns", group["qname"]),
        decided_by=(*JUDGED["dns"], "workload"),
    ),
    Behaviour("processes", _execs, _name_of_exec),
    Behaviour("privileges", _privileges, _name_of_privilege),
)  # fmt: skip


def group_columns(columns: Columns) -> Iterator[str]:
    """Yield the names in *columns* that tell behaviours apart."""
    yield from (
        name for name in columns if name not in ("window", "calls", "first", "last", "keep")
    )
