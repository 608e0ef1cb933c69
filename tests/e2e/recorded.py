"""A recording of containers, by the names of its rows."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from demo.oci import Pod, Spec, bind
from ethogram.contracts.recording import Recording
from tests.e2e.command_line import running
from tests.workloads import known

__all__ = ["GETPGRP", "GETPPID", "KNOWN", "POD", "Record", "known_spec", "known_words", "recorded"]

KNOWN = "/known"
GETPPID, GETPGRP = 110, 111
POD = Pod(
    namespace="shop", name="cart-0", uid="11111111-1111-4111-8111-111111111111", container="cart",
    image="cart:1",
)  # fmt: skip


class Record:
    """One recording, by the names of its rows."""

    def __init__(self, path: Path) -> None:
        self.recording = Recording.open(path)
        self.workloads = {row["workload"]: row for row in self.rows("workloads")}
        self.instances = {row["instance"]: row for row in self.rows("instances")}
        self.paths = {row["exe"]: row["path"].decode() for row in self.rows("executables")}

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.recording.table(table).to_pylist()
        return rows

    def calls(self, name: str) -> dict[str, int]:
        """Return phase -> how often call *name* was made in it."""
        counted: dict[str, int] = defaultdict(int)
        for row in self.rows("syscalls"):
            if row["name"] == name:
                counted[row["phase"]] += row["calls"]
        return dict(counted)

    def executed(self) -> list[tuple[str, str]]:
        """Return (phase, path) of every exec, in the order of time."""
        rows = [row for row in self.rows("processes") if not row["flags"] & 1]
        return [
            (row["phase"], self.paths[row["exe"]])
            for row in sorted(rows, key=lambda row: row["start"])
        ]


def known_words(*actions: list[object]) -> list[str]:
    """Return the command of *actions* as it is inside, for a session."""
    return [KNOWN, *known(*actions)[1:]]


def known_spec(*actions: list[object], **options: Any) -> Spec:
    program, *words = known(*actions)
    return Spec([KNOWN, *words], mounts=[bind(Path(program), KNOWN)], pod=POD, **options)


def recorded(tmp_path: Path, live: Any, *choice: str, may_lose: bool = False) -> Record:
    """Record all pods of namespace `shop`, or what *choice* says, while *live* runs."""
    target = tmp_path / "recording"
    choice = choice or ("--namespace", "shop")
    words = ("record", "-o", target, *choice, "--window", "500ms")
    with running(*words, ready=tmp_path / "ready") as process:
        live()
        process.terminate()
        _, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    assert may_lose or "nothing lost" in messages, messages
    return Record(target)
