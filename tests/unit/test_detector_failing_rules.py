"""An indicator that fails: it is counted and said, and everything else is judged all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pytest

import detector.indications
from detector.failing_rules import FailingRules
from detector.options import RuleTrouble, WindowStatus
from ethogram.cli.findings_screen import printer
from ethogram.cli.watch_screen import WatchScreen
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.flags import Access
from ethogram.indicators.registry import indicators
from ethogram.indicators.rule import Rule
from tests.baselines import make_baseline
from tests.recordings import shop_recording
from tests.replay import Replay

pytestmark = pytest.mark.unit

NAME = "sensitive-file-read"
SHADOW = indicators()[NAME]


def instances(rows: pa.Table) -> list[int]:
    """Return whose *rows* are; fails where some are of instance 13."""
    found: list[int] = rows.column("instance").to_pylist()
    if 13 in found:
        raise ValueError("not\x1b[2J this\nand more")
    return found


def test_a_rule_that_fails_on_one_instance_finds_what_others_did() -> None:
    failing = FailingRules()
    rows = pa.table({"instance": [7, 13, 13, 8, 7]})
    assert failing.asked(SHADOW, rows, instances) == [7, 7, 8]
    assert failing.standing() == (RuleTrouble(NAME, 1, r"ValueError: not\x1b[2J this"),)
    assert failing.unasked == {(13, "files")}
    failing.asked(SHADOW, rows, instances)
    assert [one.failures for one in failing.standing()] == [2]
    failing.begin()
    assert failing.asked(indicators()["miner"], rows.slice(0, 1), instances) == [7]
    assert [one.rule for one in failing.standing()] == [NAME]
    assert not failing.unasked


def fails(rows: pa.Table) -> pa.BooleanArray:
    raise KeyError("path")


def test_a_watch_goes_on_where_an_indicator_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict(indicators())
    metadata = replace(SHADOW.metadata, id="broken")
    known = {"broken": Rule(metadata, fails), **known}
    monkeypatch.setattr(detector.indications, "indicators", lambda: MappingProxyType(known))
    (tmp_path / "b.baseline.yaml").write_text(dump_baseline(make_baseline("read")))
    replay = Replay(tmp_path / "b.baseline.yaml")
    replay.recording(shop_recording(tmp_path / "rec"))
    row = {"workload": 1, "instance": 1, "exe": 2, "path": b"/etc/shadow", "calls": 1}
    told = replay.rows(9, files=[row | {"access": int(Access.READ)}])
    assert NAME in {one.rule for one in told}
    (before,) = replay.judge.failing()
    assert (before.rule, before.trouble) == ("broken", "KeyError: 'path'")
    # What it could not be asked about is never taken for judged: it is asked again.
    replay.rows(10, files=[row | {"access": int(Access.READ), "path": b"/usr/lib/a"}])
    replay.rows(11, files=[row | {"access": int(Access.READ), "path": b"/usr/lib/a"}])
    (after,) = replay.judge.failing()
    assert after.failures == before.failures + 2
    assert (1, "files") in replay.judge.troubled


def test_a_rule_that_fails_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    screen = WatchScreen(printer("text"), has_progress=False)
    for failures in range(1, 4):
        troubles = (RuleTrouble("one", failures, "KeyError: 'path'"),)
        screen.on_window(WindowStatus(4, 1, 0, 0, (), failing=troubles))
    assert capsys.readouterr().err == (
        "warning: the indicator `one` failed, and missed what it was asked about: "
        "KeyError: 'path'; the watch goes on\n"
    )
