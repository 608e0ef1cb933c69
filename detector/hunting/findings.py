"""Lines of findings as a table. They come from files that others may have written to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ethogram.contracts.arrow import arrow_type
from ethogram.contracts.finding import FINDING_SCHEMA
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.tables import Column, Table
from ethogram.errors import RecordingError

__all__ = ["FINDINGS", "FindingLines", "holds_findings"]

_LONGEST_LINE = 1 << 20
_BATCH_ROWS = 4096
_GZIP = b"\x1f\x8b"

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
        with _opened(path) as file:
            document = json.loads(file.readline(_LONGEST_LINE))
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
        return pa.schema(
            [
                (one.name, pa.float64() if one.word == "double" else arrow_type(one.word))
                for one in FINDINGS.columns
            ]
        )

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
            for number, line in _lines(path):
                position += 1
                row = _row(path, number, line)
                if row is None:
                    self.others[str(path)] += 1
                else:
                    yield position, row


def _opened(path: Path) -> Any:
    file = open_plain(path)
    head = file.read(len(_GZIP))
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if head == _GZIP else file


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    raise RecordingError(f"`{path}`, line {number}: longer than 1 MiB")
                # What is being written has no line end yet.
                if line.endswith(b"\n") and line.strip():
                    yield number, line
    except (OSError, EOFError) as error:
        raise RecordingError(f"`{path}` cannot be read after line {number}: {error}") from error


def _row(path: Path, number: int, line: bytes) -> dict[str, Any] | None:
    try:
        text = line.decode("utf-8")
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("schema") != FINDING_SCHEMA:
            return None
        return {"file": str(path), "document": text.rstrip("\n"), **_columns(document)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordingError(
            f"`{path}`, line {number} is no finding",
            hint="`ethogram watch --format jsonl` writes them",
        ) from error


def _columns(document: Mapping[str, Any]) -> dict[str, Any]:
    workload = document["workload"]
    process = document.get("process") or {}
    evidence = document.get("evidence") or {}
    names = ("fingerprint", "layer", "rule", "title", "reason", "severity", "state")
    maybe = ("instance_key", "container_id", "workload_state", "phase", "baseline", "incident")
    return {
        **{name: _text(document[name]) for name in names},
        **{name: _text(document.get(name)) for name in maybe},
        **{name: _time(document[name]) for name in ("time", "first_seen", "last_seen")},
        "count": int(document["count"]),
        "techniques": _texts(one["technique"] for one in document.get("attack") or ()),
        "subject": _subject(workload),
        "namespace": _text(workload.get("namespace")),
        "exec_id": _text(process.get("exec_id")),
        "pid": process.get("pid"),
        "exe_path": _text(process.get("exe")),
        "command": " ".join(_texts(process["argv"])) if process.get("argv") else None,
        "ancestors": _texts(one["exec_id"] for one in process.get("ancestry") or ()),
        "dimension": _text(evidence.get("dimension")),
        "observed": _text(evidence.get("observed")),
        "expected": _texts(evidence.get("expected") or ()),
        "p_value": evidence.get("p_value"),
    }


def _subject(workload: Mapping[str, Any]) -> str:
    names = (workload.get(name) for name in ("cluster", "namespace", "kind", "name"))
    words = "/".join(_texts(name for name in names if name is not None))
    container = workload.get("container")
    return words if container is None else f"{words} ({_texts([container])[0]})"


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{value!r} is no text")


def _texts(values: Iterable[object]) -> list[str]:
    found = list(values)
    if all(isinstance(one, str) for one in found):
        return found  # type: ignore[return-value]
    raise TypeError(f"{found!r} are no texts")


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
