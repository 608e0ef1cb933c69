"""Whether a recording has settled, told window by window, from rows as the recorder hands them."""

from __future__ import annotations

import numpy as np
import pytest

from ethogram.contracts.tables import ENUMS
from learner import settling
from learner.settling import Settling, windows_for
from tests.recordings import START_NS

pytestmark = pytest.mark.unit

STEADY = ENUMS["phase"].index("steady")
STARTUP = ENUMS["phase"].index("startup")
SECOND = 10**9


class Recorder:
    """Hands windows of one second to a sink."""

    def __init__(self, target: float = 0.9) -> None:
        self.sink = Settling(target)
        self.window = 0
        self.sink.append("workloads", {
            "workload": [1, 2], "namespace": ["shop", None], "kind": ["Deployment", "Unit"],
            "name": ["cart", "cron"], "container": ["app", None],
        })  # fmt: skip

    def watch(
        self, *paths: bytes, workload: int = 1, phase: int = STEADY, state: str = "complete",
        access: int = 1,
    ) -> None:  # fmt: skip
        rows = len(paths)
        self.sink.append("files", {
            "workload": np.full(rows, workload), "phase": np.full(rows, phase, np.uint8),
            "path": list(paths), "access": np.full(rows, access, np.uint16),
            "errno": [None] * rows,
        })  # fmt: skip
        self.sink.append(
            "coverage", {"workload": [workload], "phase": np.array([phase]), "state": [state]}
        )

    def end(self) -> bool:
        start = START_NS + self.window * SECOND
        columns = {"window": [self.window], "start": [start], "end": [start + SECOND]}
        self.sink.append("windows", columns)
        self.sink.flush()
        self.window += 1
        return self.sink.is_settled


def test_what_repeats_itself_settles_as_soon_as_there_is_time_enough() -> None:
    recorder = Recorder()
    recorder.watch(b"/etc/conf", b"/usr/lib/a.so", phase=STARTUP)
    assert not recorder.end()
    needed = windows_for(0.9)
    assert needed == 60
    for number in range(needed):
        recorder.watch(b"/etc/conf", b"/data")
        assert recorder.end() == (number == needed - 1)
    assert recorder.sink.progress().startswith(
        "settled: of the windows of shop/Deployment/cart/app to come, at least 93."
    )


def test_something_new_in_every_window_does_not() -> None:
    recorder = Recorder()
    for number in range(150):
        recorder.watch(b"/data", b"/srv/%d/%d" % (number, number * 7))
        assert not recorder.end()
    assert "at least 0.00% show nothing new" in recorder.sink.progress()


def test_numbered_files_of_its_own_are_one_pattern_as_learn_makes_it() -> None:
    recorder = Recorder()
    created = 1 | 8 | 2
    done = [(recorder.watch(b"/data/part-%05d" % n, access=created), recorder.end())[1]
            for n in range(120)]  # fmt: skip
    assert done[-1]


def test_one_incomplete_window_is_enough_never_to_settle() -> None:
    recorder = Recorder()
    for number in range(120):
        recorder.watch(b"/data", state="incomplete" if number == 3 else "complete")
        assert not recorder.end()
    assert recorder.sink.progress() == (
        "not settled, and will not be: events of shop/Deployment/cart/app were lost"
    )


def test_every_workload_that_runs_has_to_settle() -> None:
    recorder = Recorder()
    for _ in range(90):
        recorder.watch(b"/data")
        recorder.end()
    recorder.watch(b"/data")
    recorder.watch(b"/etc/crontab", workload=2)
    assert not recorder.end()
    assert recorder.sink.progress() == (
        "not settled: Unit/cron was steady in 1 of the 60 windows that it takes at least"
    )
    recorder.watch(b"/data")  # the job is over
    assert recorder.end()


def test_more_values_than_are_kept_are_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MOST_VALUES", 5)
    recorder = Recorder()
    for _ in range(90):
        recorder.watch(*(b"/%d" % number for number in range(6)))
        assert not recorder.end()
    assert "cart/app showed more than 5 values" in recorder.sink.progress()


def test_where_nothing_runs_nothing_is_settled() -> None:
    recorder = Recorder()
    assert not recorder.end()
    assert recorder.sink.progress() == "not settled: nothing runs"


def test_each_table_has_its_values() -> None:
    recorder = Recorder()
    one = {"workload": [1], "phase": [STEADY]}
    rows = {
        "syscalls": {"arch": ["x86_64"], "nr": [1], "calls": [3]},
        "processes": {"exe": [4], "flags": [0], "errno": [None], "start": [START_NS]},
        "network": {
            "direction": ["out"], "family": [2], "type": [1], "protocol": [6],
            "peer_addr": [b"\x0a\0\0\2"], "peer_port": [6379], "local_addr": [None],
            "local_port": [None],
        },
        "dns": {"qname": [b"redis.shop"]},
        "privileges": {
            "operation": ["mount"], "capability": [None], "target": [b"/x"], "granted": [True],
        },
    }  # fmt: skip
    for number in range(90):
        recorder.watch(b"/data")
        for table, columns in rows.items() if number == 70 else ():
            recorder.sink.append(table, one | {
                name: [START_NS + 70 * SECOND] if name == "start" else values
                for name, values in columns.items()
            })  # fmt: skip
        recorder.end()
    (workload,) = (recorder.sink._of(1),)
    assert {sight[0] for sight in workload.seen} == {
        "files", "syscalls", "execs", "peers", "dns", "operations",
    }  # fmt: skip
    assert workload.windows == 90
