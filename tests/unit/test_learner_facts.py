"""What a baseline says of selectors and privileges: facts, or that they are not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ethogram.contracts.baseline import Observation, dump_baseline, parse_baseline
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.recording import Recording
from ethogram.errors import RecordingError
from learner.learn import learn
from learner.summary import merge, summarize
from tests.recordings import START_NS, make_recording

pytestmark = pytest.mark.unit

WEB = {"workload": 1, "kind": "Deployment", "name": "web", "namespace": "shop", "container": "c"}
MINE = {"workload": 1, "instance": 1}
GAINED = int(ProcessFlag.PRIVILEGES_GAINED)
RAISED = MINE | {"exec_id": "sudo", "exe": 1, "flags": GAINED}


def summary_of(
    path: Path, *instances: dict[str, Any], name: str = "recording", **tables: Any
) -> pa.Table:
    manifest = {"recording_id": name} | tables.pop("manifest", {})
    rows = [
        {"instance": number, "workload": 1, "runtime_id": f"r{number}"} | instance
        for number, instance in enumerate(instances or ({},), 1)
    ]
    tables = {"workloads": [WEB], "executables": [{"exe": 1, "path": b"/usr/bin/sudo"}]} | tables
    recording = make_recording(path / name, manifest=manifest, instances=rows, **tables)
    return summarize(Recording.open(recording))


def observed(path: Path, *instances: dict[str, Any], **tables: Any) -> Observation:
    (baseline,) = learn(summary_of(path, *instances, **tables))
    assert parse_baseline(dump_baseline(baseline)) == baseline
    return baseline.observation


def test_the_subject_has_its_owners_selector(tmp_path: Path) -> None:
    selected = WEB | {"selector": {"app": "web", "a\nb": "\x1b"}}
    (baseline,) = learn(summary_of(tmp_path, workloads=[selected]))
    assert baseline.subject.selector == {"app": "web", r"a\x0ab": r"\x1b"}
    assert parse_baseline(dump_baseline(baseline)) == baseline


def test_a_later_recording_without_inventory_does_not_forget_the_selector(tmp_path: Path) -> None:
    selected = WEB | {"selector": {"app": "web"}}
    later = {"started": START_NS + 10**9}
    summaries = [
        summary_of(tmp_path, name="with", workloads=[selected]),
        summary_of(tmp_path, later, name="without"),
    ]
    (baseline,) = learn(merge(summaries))
    assert baseline.subject.selector == {"app": "web"}


def test_the_newest_selector_stands(tmp_path: Path) -> None:
    summaries = [
        summary_of(
            tmp_path,
            {"started": START_NS + number},
            name=str(number),
            workloads=[WEB | {"selector": {"v": str(number)}}],
        )
        for number in (2, 1, 3)
    ]
    (baseline,) = learn(merge(summaries))
    assert baseline.subject.selector == {"v": "3"}


def test_namespaces_that_any_instance_shared_with_the_host_are_named(tmp_path: Path) -> None:
    shared = ({"host_namespaces": ["pid", "net"]}, {"host_namespaces": ["net", "ipc"]}, {})
    assert observed(tmp_path, *shared).host_namespaces == ("ipc", "net", "pid")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((True, True), True),
        ((True, False), False),
        ((None, False), False),
        ((True, None), None),
        ((None,), None),
    ],
)
def test_no_new_privileges_is_claimed_where_every_instance_had_it(
    tmp_path: Path, values: tuple[bool | None, ...], expected: bool | None
) -> None:
    instances = [{"no_new_privs": value} for value in values]
    assert observed(tmp_path, *instances).no_new_privs is expected


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((1 << 10, 1 << 10 | 1), ("CAP_CHOWN", "CAP_NET_BIND_SERVICE")),
        ((1 << 63,), ("CAP_63",)),
        ((0,), ()),
        ((1, None), None),
    ],
)
def test_the_bounding_set_is_what_any_instance_had(
    tmp_path: Path, sets: tuple[int | None, ...], expected: tuple[str, ...] | None
) -> None:
    instances = [{"caps_bounding": bits} for bits in sets]
    assert observed(tmp_path, *instances).bounding == expected


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ({}, True),
        ({"phase": "exec"}, True),
        ({"flags": 0}, False),
        ({"phase": "runtime"}, False),
        ({"errno": 13}, False),
        ({"flags": GAINED | int(ProcessFlag.FORKED)}, False),
        ({"stdio": ["socket"] * 3, "exe": 2}, False),
    ],
)
def test_privileges_are_gained_by_an_exec_that_is_the_workloads_own(
    tmp_path: Path, process: dict[str, Any], expected: bool
) -> None:
    executables = [{"exe": 1, "path": b"/usr/bin/sudo"}, {"exe": 2, "path": b"/bin/sh"}]
    found = observed(tmp_path, processes=[RAISED | process], executables=executables)
    assert found.privileges_gained is expected


@pytest.mark.parametrize(
    ("instances", "tables", "expected"),
    [
        (({"observed": "snapshot"},), {}, None),
        (({"observed": "snapshot"},), {"processes": [RAISED]}, True),
        (({"observed": "snapshot"}, {}), {}, False),
        (({},), {"manifest": {"loader": "bcc"}}, None),
    ],
)
def test_what_nobody_saw_from_the_start_is_not_known(
    tmp_path: Path,
    instances: tuple[dict[str, Any], ...],
    tables: dict[str, Any],
    expected: bool | None,
) -> None:
    assert observed(tmp_path, *instances, **tables).privileges_gained is expected


def replaced(summary: pa.Table, dimension: str, key: dict[str, Any]) -> pa.Table:
    keys = [
        json.dumps(key).encode() if row == dimension else old
        for row, old in zip(
            summary["dimension"].to_pylist(), summary["key"].to_pylist(), strict=True
        )
    ]
    index = summary.schema.get_field_index("key")
    return summary.set_column(index, "key", pa.array(keys, pa.binary()))


def test_a_summary_of_an_earlier_version_knows_nothing_of_it(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"caps_bounding": 1, "host_namespaces": ["net"]})
    old = {"no_new_privs": True, "observed": "live", "runtime": None, "seccomp_mode": 0}
    summary = replaced(summary, "instance", old)
    (baseline,) = learn(replaced(summary, "subject", {"container_kind": "main"}))
    observation = baseline.observation
    assert (observation.bounding, observation.privileges_gained) == (None, None)
    assert (observation.host_namespaces, observation.no_new_privs) == ((), True)
    assert baseline.subject.selector == {}


@pytest.mark.parametrize(
    ("dimension", "field", "value"),
    [
        ("subject", "selector", ["app"]),
        ("subject", "selector", {"app": 7}),
        ("subject", "selector", 7),
        ("instance", "caps_bounding", "all"),
        ("instance", "host_namespaces", 7),
        ("instance", "no_new_privs", "perhaps"),
        ("instance", "privileges_gained", 1),
    ],
)
def test_facts_of_the_wrong_type_are_refused(
    tmp_path: Path, dimension: str, field: str, value: Any
) -> None:
    whole = {"observed": "live", "seccomp_mode": 0} if dimension == "instance" else {}
    summary = replaced(summary_of(tmp_path), dimension, whole | {field: value})
    with pytest.raises(RecordingError, match="malformed row"):
        learn(summary)
