"""Lines of events as a table. They come from files that others may have written to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from detector.hunting.lines import lines_of, schema_of, subject, text, texts, time
from ethogram.contracts.event import EVENT_SCHEMA
from ethogram.contracts.tables import Column, Table
from ethogram.errors import RecordingError

__all__ = ["EVENTS", "event_batches"]

_BATCH_ROWS = 4096
EVENTS = Table(
    "events",
    "What `watch --events` told, one row a line; one that was sent twice has one `id`.",
    tuple(
        Column(*column)
        for column in (
            ("file", "str", "the file that has the line"),
            ("id", "str", "another for each event"),
            ("time", "ts", "when it was"),
            ("kind", "str", "process or network"),
            ("activity", "str", "exec, exec_failed, fork, exit, connect, accept, listen, dns ..."),
            ("subject", "str", "whose it is: `namespace/kind/name (container)`"),
            ("namespace", "str?", "Kubernetes namespace"),
            ("image", "str?", "image of the container"),
            ("instance_key", "str?", "name of the instance, across recordings"),
            ("container_id", "str?", "id of the container"),
            ("phase", "str?", "phase of the workload"),
            ("exec_id", "str?", "the process: row of `processes`"),
            ("pid", "u32?", "its process id on the host"),
            ("exe_path", "str?", "path of its executable"),
            ("command", "str?", "its arguments in one line"),
            ("ancestors", "list:str", "exec ids of its ancestors, the nearest first"),
            ("entry", "str?", "how its tree came in: service, exec, login, unit, command"),
            ("uid", "u32?", "user id on the host"),
            ("loginuid", "u32?", "audit login uid"),
            ("exit_code", "i32?", "exit status, where it exited"),
            ("signal", "i32?", "signal that ended it"),
            ("errno", "u16?", "why an exec failed"),
            ("asked_path", "str?", "what a failed exec asked for"),
            ("protocol", "str?", "tcp, udp, unix ..."),
            ("peer_addr", "str?", "address of the other end"),
            ("peer_port", "u16?", "its port"),
            ("local_addr", "str?", "address of this end"),
            ("local_port", "u16?", "its port"),
            ("unix_path", "str?", "name of a UNIX socket"),
            ("name", "str?", "DNS name that was asked for"),
            ("peer_subject", "str?", "the workload whose address it was"),
            ("count", "u64?", "how many connections"),
            ("tx_bytes", "u64?", "bytes sent, of connections that ended"),
            ("rx_bytes", "u64?", "bytes received, of connections that ended"),
            ("document", "str", "the whole line, JSON: `document->>'$.key'`"),
        )
    ),
)


def event_batches(paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """Yield the events in the files *paths*, in their order; other lines are passed over."""
    schema, rows = schema_of(EVENTS), []
    for path in paths:
        for number, line in lines_of(path):
            row = _row(path, number, line)
            if row is not None:
                rows.append(row)
            if len(rows) == _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows = []
    yield pa.RecordBatch.from_pylist(rows, schema)


def _row(path: Path, number: int, line: bytes) -> dict[str, Any] | None:
    try:
        whole = line.decode("utf-8")
        document = json.loads(whole)
        if not isinstance(document, dict) or document.get("schema") != EVENT_SCHEMA:
            return None
        return {"file": str(path), "document": whole.rstrip("\n"), **_columns(document)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordingError(
            f"`{path}`, line {number} is no event", hint="`ethogram watch --events` writes them"
        ) from error


def _columns(document: Mapping[str, Any]) -> dict[str, Any]:
    process, peer = document.get("process") or {}, document.get("peer") or {}
    workload = document["workload"]
    return {
        **{name: text(document[name]) for name in ("id", "kind", "activity")},
        **{name: text(document.get(name)) for name in ("instance_key", "container_id", "phase")},
        "time": time(document["time"]),
        "subject": subject(workload),
        "namespace": text(workload.get("namespace")),
        "image": text(workload.get("image")),
        "exec_id": text(process.get("exec_id")),
        "exe_path": text(process.get("exe")),
        "command": " ".join(texts(process["argv"])) if process.get("argv") else None,
        "ancestors": texts(one["exec_id"] for one in process.get("ancestry") or ()),
        "entry": text((process.get("entry") or {}).get("type")),
        **{name: process.get(name) for name in ("pid", "uid", "loginuid", "exit_code", "signal")},
        "errno": document.get("errno"),
        "asked_path": text((document.get("file") or {}).get("path")),
        "protocol": text(peer.get("protocol")),
        "peer_addr": text(peer.get("address")),
        "peer_port": peer.get("port"),
        "local_addr": text(peer.get("local_address")),
        "local_port": peer.get("local_port"),
        "unix_path": text(peer.get("unix_path")),
        "name": text((document.get("dns") or {}).get("name") or peer.get("name")),
        "peer_subject": text(peer.get("workload")),
        **{name: document.get(name) for name in ("count", "tx_bytes", "rx_bytes")},
    }
