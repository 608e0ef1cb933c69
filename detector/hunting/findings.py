"""Lines of findings as a table. They come from files that others may have written to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from detector.hunting.lines import (
    LONGEST_LINE,
    lines_of,
    opened,
    schema_of,
    subject,
    text,
    texts,
    time,
)
from ethogram.contracts.event import EVENT_SCHEMA
from ethogram.contracts.finding import FINDING_SCHEMA
from ethogram.contracts.tables import Column, Table
from ethogram.errors import RecordingError

__all__ = ["FINDINGS", "FindingLines", "holds_findings"]

_BATCH_ROWS = 4096
_EVENT, _HEAD = EVENT_SCHEMA.encode(), 80  # table `events` has these lines

FINDINGS = Table(
    "findings",
    "What `watch` found, one row a line; a finding that recurs has a line each time it is told.",
    tuple(
        Column(*column)
        for column in (
            ("file", "str", "the file that has the line"),
            ("time", "ts", "when it was told"),
            ("fingerprint", "str", "the same for the same finding, always"),
            ("layer", "str", "deviation, anomaly or indicator"),
            ("rule", "str", "the rule"),
            ("title", "str", "what it is"),
            ("reason", "str", "why it was reported"),
            ("severity", "str", "info, low, medium, high, critical"),
            ("techniques", "list:str", "techniques of MITRE ATT&CK"),
            ("subject", "str", "whose it is: `namespace/kind/name (container)`"),
            ("namespace", "str?", "Kubernetes namespace"),
            ("instance_key", "str?", "name of the instance, across recordings"),
            ("container_id", "str?", "id of the container"),
            ("exec_id", "str?", "the process: row of `processes`"),
            ("pid", "u32?", "its process id on the host"),
            ("exe_path", "str?", "path of its executable"),
            ("command", "str?", "its arguments in one line"),
            ("ancestors", "list:str", "exec ids of its ancestors, the nearest first"),
            ("dimension", "str?", "kind of behaviour"),
            ("observed", "str?", "what was seen"),
            ("expected", "list:str", "what the baseline had instead"),
            ("p_value", "double?", "of an anomaly"),
            ("state", "str", "how well the sensor saw: ok, degraded, blind"),
            ("workload_state", "str?", "also says how far the baseline applies"),
            ("phase", "str?", "phase of the workload"),
            ("baseline", "str?", "the baseline"),
            ("first_seen", "ts", "first seen"),
            ("last_seen", "ts", "last seen"),
            ("count", "u64", "how often since `first_seen`"),
            ("incident", "str?", "shared by findings of one process tree"),
            ("entry", "str?", "how its tree came in: service, exec, login, unit, command"),
            ("uid", "u32?", "user id on the host"),
            ("loginuid", "u32?", "audit login uid"),
            ("peer_addr", "str?", "address of the other end"),
            ("peer_port", "u16?", "its port"),
            ("file_path", "str?", "path of the file"),
            ("is_last", "bool", "no later line here has this fingerprint: how it stands now"),
            ("document", "str", "the whole line, JSON: `document->>'$.key'`"),
        )
    ),
)


def holds_findings(path: Path) -> bool:
    """Say whether file *path* begins with a line of JSON that has a schema of ours, or is empty."""
    try:
        if path.suffix == ".jsonl" and path.stat().st_size == 0:
            return True
        with opened(path) as file:
            document = json.loads(file.readline(LONGEST_LINE))
    except (ValueError, OSError, EOFError):
        return False
    return isinstance(document, dict) and str(document.get("schema")).startswith("ethogram.")


@dataclass
class FindingLines:
    """The findings of *paths*, read anew for each scan; *others* counts lines that are none."""

    paths: Sequence[Path]
    others: dict[str, int] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        return schema_of(FINDINGS)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all files, in their order."""
        last = self._last()
        rows: list[dict[str, Any]] = []
        for position, row in self._rows():
            row["is_last"] = last[row["fingerprint"]] == position
            rows.append(row)
            if len(rows) == _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows, self.schema)
                rows = []
        yield pa.RecordBatch.from_pylist(rows, self.schema)

    def _last(self) -> Mapping[str, int]:
        return {row["fingerprint"]: position for position, row in self._rows()}

    def _rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        position = 0
        for path in self.paths:
            self.others[str(path)] = 0
            for number, line in lines_of(path):
                position += 1
                row = _row(path, number, line)
                if row is not None:
                    yield position, row
                elif _EVENT not in line[:_HEAD]:
                    self.others[str(path)] += 1


def _row(path: Path, number: int, line: bytes) -> dict[str, Any] | None:
    try:
        whole = line.decode("utf-8")
        document = json.loads(whole)
        if not isinstance(document, dict) or document.get("schema") != FINDING_SCHEMA:
            return None
        return {"file": str(path), "document": whole.rstrip("\n"), **_columns(document)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordingError(
            f"`{path}`, line {number} is no finding",
            hint="`ethogram watch --format jsonl` writes them",
        ) from error


def _columns(document: Mapping[str, Any]) -> dict[str, Any]:
    workload = document["workload"]
    process = document.get("process") or {}
    evidence, peer = document.get("evidence") or {}, document.get("peer") or {}
    names = ("fingerprint", "layer", "rule", "title", "reason", "severity", "state")
    maybe = ("instance_key", "container_id", "workload_state", "phase", "baseline", "incident")
    return {
        **{name: text(document[name]) for name in names},
        **{name: text(document.get(name)) for name in maybe},
        **{name: time(document[name]) for name in ("time", "first_seen", "last_seen")},
        "count": int(document["count"]),
        "techniques": texts(one["technique"] for one in document.get("attack") or ()),
        "subject": subject(workload),
        "namespace": text(workload.get("namespace")),
        "exec_id": text(process.get("exec_id")),
        "pid": process.get("pid"),
        "exe_path": text(process.get("exe")),
        "command": " ".join(texts(process["argv"])) if process.get("argv") else None,
        "ancestors": texts(one["exec_id"] for one in process.get("ancestry") or ()),
        "dimension": text(evidence.get("dimension")),
        "observed": text(evidence.get("observed")),
        "expected": texts(evidence.get("expected") or ()),
        "p_value": evidence.get("p_value"),
        "entry": text((process.get("entry") or {}).get("type")),
        "uid": process.get("uid"),
        "loginuid": process.get("loginuid"),
        "peer_addr": text(peer.get("address")),
        "peer_port": peer.get("port"),
        "file_path": text((document.get("file") or {}).get("path")),
    }
