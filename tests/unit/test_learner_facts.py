"""What a baseline says of selectors and privileges: facts, or that they are not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ethogram.contracts.baseline import Observation, dump_baseline, parse_baseline
from ethogram.contracts.flags import Access, ProcessFlag
from ethogram.contracts.recording import Recording
from ethogram.errors import RecordingError
from learner.learn import LearnOptions, learn
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
    ("paths", "expected"),
    [
        (([],), ()),
        ((["/var/log"], []), ("/var/log",)),
        ((["/b"], ["/a", "/b"]), ("/a", "/b")),
        ((["/var/log"], None), None),
        ((None,), None),
    ],
)
def test_what_of_the_host_any_pod_was_given_is_known_where_it_is_of_all(
    tmp_path: Path, paths: tuple[list[str] | None, ...], expected: tuple[str, ...] | None
) -> None:
    given = [{"host_paths": each, "host_ports": each and [len(each)]} for each in paths]
    observation = observed(tmp_path, *given)
    assert observation.host_paths == expected
    ports = {len(each) for each in paths if each}
    assert observation.host_ports == (None if expected is None else tuple(sorted(ports)))


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
    ("found", "expected"),
    [
        ((("runc", "1.1.5+ds1"), ("crun", "1.8"), ("crun", "1.8")), ("crun 1.8", "runc 1.1.5+ds1")),
        ((("runc", "1.1.5"), ("runc", None)), None),
        ((("runc", "1.1.5"), (None, None)), None),
        ((("runc", "1\n2"),), ("runc 1\\x0a2",)),
    ],
)
def test_the_runtimes_are_known_where_every_instance_has_one(
    tmp_path: Path, found: tuple[tuple[str, str], ...], expected: tuple[str, ...] | None
) -> None:
    instances = [{"runtime": name, "runtime_version": version} for name, version in found]
    assert observed(tmp_path, *instances).runtimes == expected


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
    assert observation.runtimes is None
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
        ("instance", "host_paths", 7),
        ("instance", "host_paths", [7]),
        ("instance", "host_ports", ["80"]),
        ("instance", "host_ports", [True]),
        ("instance", "privileges_gained", 1),
        ("instance", "runtime", ["runc"]),
    ],
)
def test_facts_of_the_wrong_type_are_refused(
    tmp_path: Path, dimension: str, field: str, value: Any
) -> None:
    whole = {"observed": "live", "seccomp_mode": 0} if dimension == "instance" else {}
    summary = replaced(summary_of(tmp_path), dimension, whole | {field: value})
    with pytest.raises(RecordingError, match="malformed row"):
        learn(summary)


RUNS = MINE | {"exec_id": "app", "exe": 1, "uid": 101, "euid": 101}
HOST_USERS = {"host_namespaces": ["user", "time"]}


def process(number: int, **fields: Any) -> dict[str, Any]:
    return RUNS | {"exec_id": f"p{number}"} | fields


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ([process(1)], (101,)),
        ([process(1, uid=0, euid=0), process(2)], (0, 101)),
        ([process(1, uid=7, euid=101)], (7, 101)),
        ([process(1), process(2, uid=0, euid=None)], None),
        ([process(1), process(2, uid=0, euid=0, phase="runtime")], (101,)),
        ([process(1), process(2, uid=0, euid=0, phase="exec")], (0, 101)),
        ([process(1), process(2, uid=0, euid=0, errno=13)], (101,)),
        ([process(1), process(2, uid=0, euid=0, stdio=["socket"] * 3, exe=2)], (101,)),
        ([], None),
    ],
)
def test_it_runs_as_the_users_of_its_own_processes(
    tmp_path: Path, processes: list[dict[str, Any]], expected: tuple[int, ...] | None
) -> None:
    executables = [{"exe": 1, "path": b"/usr/bin/app"}, {"exe": 2, "path": b"/bin/sh"}]
    found = observed(tmp_path, HOST_USERS, processes=processes, executables=executables)
    assert found.runs_as == expected


@pytest.mark.parametrize(
    "instance",
    [{}, {"host_namespaces": ["time"]}, HOST_USERS | {"observed": "snapshot"}],
    ids=["not known", "users of its own", "no start"],
)
def test_users_that_are_not_the_hosts_or_may_not_be_the_first_are_not_known(
    tmp_path: Path, instance: dict[str, Any]
) -> None:
    assert observed(tmp_path, instance, processes=[process(1)]).runs_as is None


def test_every_instance_adds_its_users(tmp_path: Path) -> None:
    processes = [process(1), process(2, instance=2, uid=0, euid=0)]
    snapshot = HOST_USERS | {"observed": "snapshot"}
    assert observed(tmp_path, HOST_USERS, snapshot, processes=processes).runs_as == (0, 101)


def file(path: bytes, access: Access, in_image: str = "unknown", **fields: Any) -> dict[str, Any]:
    row = MINE | {"path": path, "access": int(access), "in_image": in_image, "phase": "startup"}
    return row | fields


LIBRARY = file(b"/lib/libc.so.6", Access.READ, "yes")
NEW_IN_DATA = file(b"/data/db/1.tmp", Access.WRITE | Access.CREATE)


def root_of(path: Path, *files: dict[str, Any], **tables: Any) -> bool | None:
    tables = {"manifest": {"file_changes": True}} | tables
    covered = MINE | {"phase": "startup", "observed_ns": 1}
    return observed(path, {}, files=files, coverage=[covered], **tables).writes_root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param([LIBRARY], False, id="reads"),
        pytest.param([LIBRARY, file(b"/dev/null", Access.WRITE)], False, id="another file system"),
        pytest.param([LIBRARY, file(b"/etc/a", Access.WRITE, "yes")], True, id="the image's"),
        pytest.param([LIBRARY, file(b"/tmp/a", Access.CREATE, "no")], True, id="its own"),
        pytest.param(
            [file(b"/tmp/a", Access.WRITE, "no", phase="runtime"), LIBRARY], False, id="runtime's"
        ),
        pytest.param([file(b"/tmp/a", Access.WRITE, "no", errno=13), LIBRARY], False, id="refused"),
        pytest.param([file(b"/dev/null", Access.WRITE)], None, id="no overlay"),
        pytest.param(
            [LIBRARY, NEW_IN_DATA, file(b"/data/db/1", Access.RENAME_TO)], False, id="by name"
        ),
        pytest.param(
            [LIBRARY, NEW_IN_DATA, file(b"/data/db/a/b/c", Access.MAKE)], False, id="below"
        ),
        pytest.param([LIBRARY, file(b"/lib/x/y", Access.MAKE)], True, id="below the root's"),
        pytest.param([LIBRARY, file(b"/data/db/1", Access.UNLINK)], None, id="nothing known"),
        pytest.param(
            [LIBRARY, file(b"/cfg/a", Access.READ), file(b"/cfg/b", Access.UNLINK)],
            None,
            id="a file may be mounted alone",
        ),
        pytest.param(
            [LIBRARY, file(b"/etc/hosts", Access.CREATE), file(b"/etc/b", Access.UNLINK)],
            None,
            id="the runtime's mounts",
        ),
        pytest.param(
            [LIBRARY, file(b"/data", Access.READ), file(b"/data/a", Access.ATTRIBUTES)],
            False,
            id="a directory that was opened",
        ),
        pytest.param([LIBRARY, file(b".../a", Access.UNLINK)], None, id="a path that was cut"),
    ],
)
def test_a_root_is_written_where_a_change_is_in_the_overlay(
    tmp_path: Path, files: list[dict[str, Any]], expected: bool | None
) -> None:
    assert root_of(tmp_path, *files) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [(b"/data/db/s", False), (b"/lib/s", True), (b"/run/s", None), (b"\0s", False), (b"s", None)],
)
def test_a_socket_is_bound_where_its_directory_is(
    tmp_path: Path, path: bytes, expected: bool | None
) -> None:
    bound = MINE | {"direction": "bind", "family": 1, "type": 1, "unix_path": path}
    assert root_of(tmp_path, LIBRARY, NEW_IN_DATA, network=[bound]) is expected


def test_a_root_is_not_known_to_stay_unless_all_changes_are_told_from_the_start(
    tmp_path: Path,
) -> None:
    assert root_of(tmp_path, LIBRARY, manifest={}) is None
    steady = summary_of(tmp_path, name="2", files=[LIBRARY], manifest={"file_changes": True})
    (baseline,) = learn(steady)
    assert baseline.observation.writes_root is None


def test_what_entered_from_outside_wrote_nothing_where_it_is_left_out(tmp_path: Path) -> None:
    covered = MINE | {"phase": "startup", "observed_ns": 1}
    entered = file(b"/tmp/a", Access.WRITE, "no", phase="exec")
    summary = summary_of(
        tmp_path, files=[LIBRARY, entered], coverage=[covered], manifest={"file_changes": True}
    )
    (with_it,), (without,) = (
        learn(summary, options=LearnOptions(include_exec=included)) for included in (True, False)
    )
    assert (with_it.observation.writes_root, without.observation.writes_root) == (True, False)
