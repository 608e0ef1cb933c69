"""From the table of arguments to what a baseline says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.call_arguments import VETTED
from ethogram.contracts.events import ARCHES, STRUCTS
from ethogram.contracts.recording import Recording
from ethogram.errors import CaptureError, RecordingError
from learner.arguments import joined
from learner.learn import LearnOptions, learn
from learner.summary import merge, summarize
from profiler.arguments import argument_columns
from profiler.loaders.base import CALLS
from tests.recordings import make_recording
from tests.unit.test_learner_quarantine import ATTACK, attacked, mine

pytestmark = pytest.mark.unit

SOCKET, IOCTL, CLONE = 41, 16, 56
LOOKED = {"arguments": True}


def given(nr: int, value: int | None, calls: int = 1, **more: Any) -> dict[str, Any]:
    names = {SOCKET: "socket", IOCTL: "ioctl", CLONE: "clone"}
    row = {"workload": 1, "instance": 1, "nr": nr, "value": value, "calls": calls}
    return row | {"index": VETTED[names[nr]].index if nr in names else 0} | more


def summary_of(path: Path, *rows: dict[str, Any], name: str = "r1", **manifest: Any) -> pa.Table:
    tables: dict[str, Any] = {
        "workloads": [{"workload": 1, "kind": "Unit", "name": "web", "container_kind": "none"}],
        "instances": [{"instance": 1, "workload": 1, "runtime_id": "a"}],
        "syscalls": [{"workload": 1, "instance": 1, "nr": 0, "calls": 1}],
        "arguments": rows,
    }
    manifest = LOOKED | {"recording_id": name} | manifest
    return summarize(Recording.open(make_recording(path / name, manifest=manifest, **tables)))


def learnt(*summaries: pa.Table, **options: Any) -> Baseline:
    (baseline,) = learn(merge(summaries), options=LearnOptions(**options))
    return baseline


def words(baseline: Baseline) -> dict[str, tuple[bool, dict[int, tuple[int, tuple[str, ...]]]]]:
    return {
        f"{call.arch} {call.name}": (
            call.others,
            {one.value: (one.calls, one.phases) for one in call.values},
        )
        for call in baseline.arguments or ()
    }


def test_values_have_their_calls_and_phases(tmp_path: Path) -> None:
    rows = [
        given(SOCKET, 1, 3, phase="runtime"),
        given(SOCKET, 1, 20, phase="steady", window=1),
        given(SOCKET, 16, 2, phase="runtime"),
        given(IOCTL, 0x5401, 7, phase="startup"),
    ]
    assert words(learnt(summary_of(tmp_path, *rows))) == {
        "x86_64 ioctl": (False, {0x5401: (7, ("startup",))}),
        "x86_64 socket": (False, {1: (23, ("runtime", "steady")), 16: (2, ("runtime",))}),
    }


def test_recordings_add_up(tmp_path: Path) -> None:
    one = summary_of(tmp_path, given(SOCKET, 1, 3), name="r1")
    other = summary_of(tmp_path, given(SOCKET, 1, 4), given(SOCKET, 2, 1), name="r2")
    found = words(learnt(one, other))
    assert found == {"x86_64 socket": (False, {1: (7, ("steady",)), 2: (1, ("steady",))})}
    assert found == words(learnt(other, one, one))


def test_without_one_recording_that_looked_nothing_is_said(tmp_path: Path) -> None:
    looked = summary_of(tmp_path, given(SOCKET, 1), name="r1")
    did_not = summary_of(tmp_path, name="r2", arguments=None)
    assert learnt(looked).arguments is not None
    assert learnt(looked, did_not).arguments is None
    assert learnt(did_not).arguments is None


def test_a_workload_without_such_calls_was_looked_at_all_the_same(tmp_path: Path) -> None:
    assert learnt(summary_of(tmp_path)).arguments == ()


def test_what_is_not_told_is_others(tmp_path: Path) -> None:
    rows = [given(IOCTL, 1), given(IOCTL, None, 9), given(SOCKET, None, 1, arch="x32")]
    assert words(learnt(summary_of(tmp_path, *rows))) == {
        "x32 socket": (True, {}),
        "x86_64 ioctl": (True, {1: (1, ("steady",))}),
    }


def test_of_very_many_values_the_most_frequent_are_told(tmp_path: Path) -> None:
    rows = [given(IOCTL, value, 1 + (value == 299)) for value in range(300)]
    others, values = words(learnt(summary_of(tmp_path, *rows)))["x86_64 ioctl"]
    assert others
    assert list(values) == [*range(255), 299]


def test_sessions_are_left_out_with_the_rest_of_theirs(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, given(SOCKET, 1), given(SOCKET, 2, phase="exec"))
    assert words(learnt(summary, include_exec=False)) == {
        "x86_64 socket": (False, {1: (1, ("steady",))})
    }


def test_what_an_indicator_condemns_is_no_value_and_nobody_knows_the_others(
    tmp_path: Path,
) -> None:
    tables = attacked() | {
        "arguments": [
            *(mine(window) | given(SOCKET, 2) for window in range(8)),
            mine(ATTACK) | given(CLONE, 0x10000000),
            *(mine(window) | given(IOCTL, 1) for window in range(8)),
            mine(ATTACK) | given(IOCTL, 5),
        ]
    }
    path = make_recording(tmp_path / "rec", manifest=LOOKED, **tables)
    (baseline,) = learn(summarize(Recording.open(path)))
    found = {call: (others, list(values)) for call, (others, values) in words(baseline).items()}
    assert found == {
        "x86_64 clone": (True, []),
        "x86_64 ioctl": (True, [1]),
        "x86_64 socket": (False, [2]),
    }


def test_no_rule_and_no_coverage_comes_of_arguments(tmp_path: Path) -> None:
    with_them = learnt(summary_of(tmp_path, given(SOCKET, 1), name="r1"))
    without = learnt(summary_of(tmp_path, name="r2"))
    assert with_them.rules == without.rules
    assert with_them.coverage == without.coverage


@pytest.mark.parametrize(
    "key", [b"[41,0]", b"[41,6,1]", b"[41,0,-1]", b"[41,0,18446744073709551616]", b"[true,0,1]",
            b"[41,0,false]", b'[41,0,"1"]', b"x"]
)  # fmt: skip
def test_a_malformed_key_is_refused(tmp_path: Path, key: bytes) -> None:
    summary = summary_of(tmp_path, given(SOCKET, 1))
    keys = [key if old.startswith(b"[41,") else old for old in summary["key"].to_pylist()]
    place = summary.schema.get_field_index("key")
    summary = summary.set_column(place, summary.schema.field(place), pa.array(keys, pa.binary()))
    with pytest.raises(RecordingError, match="malformed key"):
        learn(summary)


def test_what_either_version_was_given_stays(tmp_path: Path) -> None:
    old = learnt(summary_of(tmp_path, given(SOCKET, 1), given(CLONE, None), name="r1")).arguments
    new = learnt(summary_of(tmp_path, given(SOCKET, 1), given(SOCKET, 2), name="r2")).arguments
    both = joined(old, new)
    assert both == joined(new, old)
    assert both is not None
    assert {call.name: [one.value for one in call.values] for call in both} == {
        "clone": [], "socket": [1, 2],
    }  # fmt: skip
    assert [call.others for call in both] == [True, False]
    assert joined(None, new) is None
    assert joined(old, None) is None


def test_calls_of_other_tables_are_told_without_a_value() -> None:
    native = ARCHES.index("x86_64")
    keys = np.zeros(2, STRUCTS["argument_key"].dtype)
    keys["slot"], keys["nr"], keys["value"], keys["is_other"] = 3, IOCTL, (0x5401, 0), (0, 1)
    calls = np.zeros(4, CALLS)
    calls["slot"] = 4
    calls["arch"] = native, ARCHES.index("i386"), ARCHES.index("x32"), ARCHES.index("i386")
    calls["nr"], calls["calls"] = (IOCTL, 54, 514, 20), (23, 5, 6, 7)
    whose, columns = argument_columns(keys, np.array([7, 2], np.uint64), calls, native=native)
    assert whose["slot"].tolist() == [3, 3, 4, 4]
    assert columns["nr"].tolist() == [IOCTL, IOCTL, 54, 514]
    assert columns["index"].tolist() == [1, 1, 1, 1]
    assert columns["value"] == [0x5401, None, None, None]
    assert columns["calls"].tolist() == [7, 2, 5, 6]


def test_a_key_of_another_call_is_no_key_of_this_version() -> None:
    keys = np.zeros(1, STRUCTS["argument_key"].dtype)
    keys["nr"] = 39
    with pytest.raises(CaptureError, match="has an argument of call 39"):
        argument_columns(keys, np.ones(1, np.uint64), np.zeros(0, CALLS))
