"""Plays recordings and made-up rows to the detector, window by window, as the kernel side would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from detector.anomaly.layer import Anomalies
from detector.judge import CallerOf, Judge
from detector.library import Library
from detector.live import Live
from detector.states import StateChange, States
from detector.suppressions import Suppressions
from detector.tally import Tally
from detector.watched import Watched
from ethogram.contracts.finding import Finding
from ethogram.contracts.incident import Incident
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from tests.recordings import START_NS, WINDOW_NS, columns_of, make_manifest

__all__ = ["Replay"]


@dataclass
class Replay:
    """A detector by the baselines in a file or directory, and what it told."""

    baselines: Path
    findings: list[Finding] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    suppressions: Suppressions = field(default_factory=Suppressions)
    incidents: list[Incident] = field(default_factory=list)
    anomalies: Anomalies | None = None
    caller_of: CallerOf = lambda *_: None

    def __post_init__(self) -> None:
        self.watched = Watched(
            Library.load(self.baselines),
            States(),
            host_id=make_manifest().host_id,
            on_state=self.changes.append,
        )
        self.judge = Judge(
            self.watched,
            self.findings.append,
            self.tally,
            suppressions=self.suppressions,
            on_incident=self.incidents.append,
            anomalies=self.anomalies,
            caller_of=self.caller_of,
        )
        self.live = Live(make_manifest(), self.judge.judge)

    def rows(self, window: int, **tables: Iterable[Mapping[str, Any]]) -> list[Finding]:
        """Play one window of *tables*, given as rows; return what is told of it."""
        before = len(self.findings)
        for name, given in tables.items():
            rows = [{"window": window, **row} if _has_window(name) else dict(row) for row in given]
            if rows:
                self.live.append(name, columns_of(name, rows))
        began = START_NS + window * WINDOW_NS
        row = {"window": window, "start": began, "end": began + WINDOW_NS}
        self.live.append("windows", columns_of("windows", [row]))
        self.live.flush()
        return self.findings[before:]

    def recording(self, path: Path) -> list[Finding]:
        """Play the recording at *path*; return what is told of it."""
        before = len(self.findings)
        recording = Recording.open(path)
        tables = {name: recording.table(name) for name in TABLES}
        for window in tables["windows"].column("window").to_pylist():
            for name, table in tables.items():
                if _has_window(name):
                    rows = table.filter(pc.equal(table.column("window"), window))
                else:
                    rows = table if not window else table.slice(0, 0)
                if rows.num_rows:
                    self.live.append(name, {name: rows.column(name) for name in rows.column_names})
            self.live.flush()
        return self.findings[before:]


def _has_window(table: str) -> bool:
    return any(column.name == "window" for column in TABLES[table].columns)
