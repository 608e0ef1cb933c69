"""Hundreds of containers come and go: what a watch keeps of them does not grow with them."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from detector.processes import ProcessTree
from ethogram.contracts.flags import Access
from tests.recordings import START_NS, WINDOW_NS, shop_recording
from tests.replay import Replay
from tests.unit.test_detector_judge import write_baselines

pytestmark = pytest.mark.unit

EACH, KEPT = 10, 30  # containers a window, and how much is kept of what has limits of its own


def lived(window: int) -> dict[str, list[dict[str, Any]]]:
    """Return what *EACH* containers do that begin and end in *window*; each is attacked."""
    at_ns = START_NS + window * WINDOW_NS
    numbers = range(100 + window * EACH, 100 + (window + 1) * EACH)
    workload = {"kind": "Pod", "namespace": "shop", "container": "app", "image": "app:1",
                "image_digest": "sha256:" + "c" * 64, "source": "cri"}  # fmt: skip
    times = {"started": at_ns, "ended": at_ns + WINDOW_NS - 1}
    key = [{"workload": one, "instance": one, "phase": "steady"} for one in numbers]
    return {
        "workloads": [workload | {"workload": one, "name": f"job-{one}"} for one in numbers],
        "instances": [
            times | {"instance": one, "workload": one, "runtime_id": f"{one:064x}"}
            for one in numbers
        ],
        "executables": [{"exe": one, "path": b"/srv/%d" % one, "nlink": 0} for one in numbers],
        "processes": [
            one | {"exe": one["workload"], "exec_id": f"p{one['workload']}", "start": at_ns,
                   "end": at_ns + 1, "session_exec_id": f"p{one['workload']}", "argv": [b"x"]}
            for one in key
        ],
        "files": [
            one | {"exe": one["workload"], "path": b"/proc/sys/kernel/core_pattern", "calls": 1,
                   "access": int(Access.WRITE), "first": at_ns, "last": at_ns}
            for one in key
        ],
        "coverage": [one | {"observed_ns": WINDOW_NS} for one in key],
    }  # fmt: skip


def test_what_is_kept_of_who_came_and_went_does_not_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.watched._ENDED", KEPT)
    monkeypatch.setattr("detector.findings._LIMIT", KEPT)
    monkeypatch.setattr("detector.incidents._MOST_OPEN", KEPT)
    monkeypatch.setattr("detector.room._KINDS", KEPT)
    monkeypatch.setattr(ProcessTree.__init__, "__defaults__", (KEPT,))
    baselines = write_baselines(shop_recording(tmp_path / "rec"), tmp_path / "baselines")
    replay = Replay(baselines)
    told, counted, allocated = 0, [], []
    for window in range(60):
        told += len(replay.rows(window, **lived(window)))
        replay.findings.clear()
        replay.incidents.clear()
        replay.changes.clear()
        if window in (30, 59):
            gc.collect()
            counted.append(len(gc.get_objects()))
            allocated.append(pa.total_allocated_bytes())
    assert told >= 60 * EACH
    assert counted[1] < counted[0] + 2 * EACH
    # A workload and an executable have their numbers for good, and a row each.
    assert allocated[1] - allocated[0] < 29 * EACH * 400
