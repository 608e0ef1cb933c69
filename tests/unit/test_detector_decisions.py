"""What the detector says of what people decided, and of overlays that end."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.flags import Access
from ethogram.contracts.overlay_file import parse_overlay
from ethogram.contracts.recording import Recording
from learner.learn import learn
from learner.review import Review, reviewed
from learner.summary import summarize
from tests.recordings import shop_recording
from tests.replay import Replay

pytestmark = pytest.mark.unit

# The shop begins at ten o'clock of 2026-01-05; windows are 5 s long.
MIDNIGHT = 14 * 3600 // 5
MOTD = {"dimension": "files", "value": {"path": "/etc/*motd", "access": "r"}}


def replay(tmp_path: Path, *entries: dict[str, Any], **choices: Any) -> Replay:
    """Return a detector that saw the shop once, by baselines that *entries* decided about."""
    who = {"match": {"name": "checkout"}, "author": "alice", "reason": "SEC-12"}
    given = [who | {"expires": "2026-01-05"} | entry for entry in entries]
    document = json.dumps({"schema": "ethogram.overlay/1", "entries": given})
    overlays = (parse_overlay(document),) if entries else ()
    recording = shop_recording(tmp_path / "recording")
    learnt = learn(summarize(Recording.open(recording)))[:1]
    review = Review(overlays=overlays, **choices)
    (baseline,), _ = reviewed(learnt, review, today=date(2026, 1, 5))
    file = tmp_path / "b.baseline.yaml"
    file.write_text(dump_baseline(baseline))
    found = Replay(file)
    found.recording(recording)
    return found


def opened(path: str) -> dict[str, Any]:
    row = {"workload": 1, "instance": 1, "exe": 2, "path": path.encode(), "calls": 1}
    return row | {"access": int(Access.READ)}


def test_an_overlay_allows_to_the_end_of_its_day_and_its_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "once").mkdir()
    # A window counts to the day on which it ends.
    once = replay(tmp_path / "once", {"allow": MOTD})
    assert once.rows(MIDNIGHT - 2, files=[opened("/etc/motd")]) == []
    shop = replay(tmp_path, {"allow": MOTD})
    assert shop.rows(8, files=[opened("/etc/motd")]) == []
    assert shop.findings == []
    (found,) = shop.rows(MIDNIGHT, files=[opened("/etc/motd")])
    assert found.rule == "deviation-files"
    assert found.reason.endswith("; the overlay of alice that allowed it expired on 2026-01-05")


def test_what_an_overlay_denies_is_told_with_its_reason(tmp_path: Path) -> None:
    shop = replay(tmp_path, {"deny": "files:/etc/nginx/mime.types"})
    assert {found.rule for found in shop.findings} == {"deviation-files"}
    assert all(found.reason.endswith("; an overlay of alice denies it: SEC-12")
               for found in shop.findings)  # fmt: skip
    assert shop.findings


def test_what_was_left_out_is_told_as_seen_before(tmp_path: Path) -> None:
    shop = replay(tmp_path, without=("files:/etc/nginx/mime.types",))
    assert shop.findings
    assert all(
        found.reason.endswith("; it was seen when the baseline was learnt, and `--without` left it"
                              " out")
        for found in shop.findings
    )  # fmt: skip


def test_many_that_expired_are_each_told(tmp_path: Path) -> None:
    shop = replay(tmp_path, {"allow": MOTD})
    found = shop.rows(MIDNIGHT, files=[opened(f"/etc/{name}.motd") for name in "abcde"])
    assert len(found) == 5


def test_nobody_decided_about_what_was_never_seen(tmp_path: Path) -> None:
    shop = replay(tmp_path, {"allow": MOTD})
    (found,) = shop.rows(MIDNIGHT, files=[opened("/etc/hosts.deny")])
    assert "overlay" not in found.reason
