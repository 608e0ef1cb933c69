"""What a recording's summary holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from ethogram.contracts import parquet_rows
from ethogram.contracts.escape import escape
from ethogram.contracts.flags import Access, ProcessFlag
from ethogram.contracts.keys import instance_key, workload_key
from ethogram.contracts.recording import Recording
from ethogram.contracts.summary import read_summary, write_summary
from ethogram.contracts.tables import SUMMARY
from learner import extract
from learner.dimensions import canonical
from learner.summary import merge, summarize
from tests.recordings import START_NS, WINDOW_NS, make_manifest, make_recording, shop_recording

pytestmark = pytest.mark.unit

CHECKOUT = workload_key(
    "staging", "shop-staging", "Deployment", "checkout", "nginx", f"sha256:{'a' * 64}"
)
UNIT = {"workload": 1, "kind": "Unit", "name": "web.service", "container_kind": "none"}
INSTANCE = {"instance": 1, "workload": 1, "runtime_id": "run-1"}
MINE = {"workload": 1, "instance": 1}


def summary_of(path: Path, **tables: Any) -> pd.DataFrame:
    tables = {"workloads": [UNIT], "instances": [INSTANCE]} | tables
    return frame_of(summarize(Recording.open(make_recording(path / "recording", **tables))))


def frame_of(summary: pa.Table) -> pd.DataFrame:
    return summary.to_pandas()


def keys(frame: pd.DataFrame, dimension: str) -> list[bytes]:
    return sorted(set(frame[frame.dimension == dimension].key))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return summarize(Recording.open(shop_recording(tmp_path_factory.mktemp("shop") / "recording")))


def test_a_summary_has_the_schema_of_summaries(shop: pa.Table) -> None:
    assert shop.schema.equals(SUMMARY.arrow_schema(), check_metadata=True)
    rows = shop.select(list(SUMMARY.key)).to_pandas()
    assert not rows.duplicated().any()


def test_a_summary_is_the_same_every_time(tmp_path: Path, shop: pa.Table) -> None:
    again = summarize(Recording.open(shop_recording(tmp_path / "recording")))
    assert again.filter(pa.compute.not_equal(again["dimension"].cast("string"), "input")).equals(
        shop.filter(pa.compute.not_equal(shop["dimension"].cast("string"), "input"))
    )


def test_a_summary_survives_its_file(tmp_path: Path, shop: pa.Table) -> None:
    write_summary(shop, tmp_path / "x.summary.parquet")
    assert read_summary(tmp_path / "x.summary.parquet").equals(shop)


def test_workloads_and_instances_have_stable_names(shop: pa.Table) -> None:
    frame = frame_of(shop)
    assert CHECKOUT in set(frame.workload_key)
    host = make_manifest().host_id
    assert instance_key(host, f"{1:064x}") in set(frame.instance_key)


def test_windows_and_calls_are_counted_by_instance_and_phase(shop: pa.Table) -> None:
    frame = frame_of(shop)
    accept = frame[
        (frame.dimension == "syscalls") & (frame.key == b"288") & (frame.workload_key == CHECKOUT)
    ]
    assert list(accept.windows) == [6, 6]
    assert list(accept.calls) == [240, 240]
    assert set(accept.phase) == {"steady"}
    assert set(accept.arch) == {"x86_64"}
    first, last = accept["first"].iloc[0].value, accept["last"].iloc[0].value
    assert (first, last) == (START_NS + WINDOW_NS, START_NS + 7 * WINDOW_NS)


def test_a_file_is_named_by_path_and_access(shop: pa.Table) -> None:
    found = keys(frame_of(shop), "files")
    assert b'["/var/log/nginx/access.log","wca"]' in found
    assert b'["/var/cache/nginx/caf\\\\xe9.tmp","rwc"]' in found
    assert not any(b"missing.conf" in key for key in found)


@pytest.mark.parametrize(
    "odd", [b"", b'"', b"\\", b"\x7f", b"\x1f", b"\xff", b" ~!#[]", "\u202eé".encode()]
)
def test_every_path_has_the_key_that_its_json_is(tmp_path: Path, odd: bytes) -> None:
    path = b"/x" + odd
    frame = summary_of(tmp_path, files=[MINE | {"path": path, "access": 3, "calls": 1}])
    assert keys(frame, "files") == [canonical([escape(path), "rw"])]


def test_peers_and_listeners_are_told_apart(shop: pa.Table) -> None:
    frame = frame_of(shop)
    assert keys(frame, "peers") == [
        b'["in","tcp","",80,null,{"kind":"pod","name":"loadgen","namespace":"shop-staging",'
        b'"owner":"Deployment","selector":{"app":"loadgen"}}]',
        b'["out","tcp","",6379,null,{"kind":"pod","name":"redis","namespace":"shop-staging",'
        b'"owner":"StatefulSet","selector":{"app":"redis"}}]',
        b'["out","tcp","",80,null,{"kind":"service","name":"checkout","namespace":"shop-staging",'
        b'"selector":{"app":"checkout"},"targets":["80"]}]',
        b'["out","udp","",53,null,{"kind":"dns","name":"kube-dns","namespace":"kube-system",'
        b'"selector":{"k8s-app":"kube-dns"},"targets":["53"]}]',
    ]
    assert keys(frame, "listens") == [b'["tcp","0.0.0.0",80]']


def test_execs_are_those_that_succeeded(tmp_path: Path) -> None:
    frame = summary_of(
        tmp_path,
        executables=[{"exe": 1, "path": b"/bin/a"}, {"exe": 2, "path": b"/bin/b\xff"}],
        processes=[
            MINE | {"exec_id": "a", "exe": 1},
            MINE | {"exec_id": "b", "exe": 2, "parent_exec_id": "a"},
            MINE | {"exec_id": "c", "exe": 2, "errno": 2},
            MINE | {"exec_id": "d", "exe": 1, "flags": int(ProcessFlag.FORKED)},
            MINE | {"exec_id": "e", "exe": 9},
        ],
    )
    execs = frame[frame.dimension == "execs"].sort_values("key")
    assert list(execs.key) == [b'["/bin/a",false]', b'["/bin/b\\\\xff",false]']
    assert list(execs.exe_path) == [None, b"/bin/a"]
    assert list(execs.calls) == [1, 1]


def test_what_the_container_wrote_is_another_executable_than_the_images(tmp_path: Path) -> None:
    same = {"path": b"/bin/a"}
    frame = summary_of(
        tmp_path,
        executables=[
            same | {"exe": 1, "upper": False},
            same | {"exe": 2, "upper": True},
            same | {"exe": 3, "upper": None},
        ],
        processes=[MINE | {"exec_id": str(exe), "exe": exe} for exe in (1, 2, 3)],
    )
    execs = frame[frame.dimension == "execs"].sort_values("key")
    assert list(execs.key) == [b'["/bin/a",false]', b'["/bin/a",true]']
    assert list(execs.calls) == [2, 1]


def test_what_was_not_granted_is_no_behaviour(tmp_path: Path) -> None:
    use = MINE | {"exec_id": "a", "operation": "capability", "calls": 3}
    frame = summary_of(
        tmp_path,
        privileges=[
            use | {"capability": 21, "granted": True},
            use | {"capability": 63, "granted": True},
            use | {"capability": 10, "granted": False, "errno": 1},
            use | {"granted": True},
            MINE | {"exec_id": "a", "operation": "mount", "target": b"/x\n", "granted": True},
            MINE | {"exec_id": "a", "operation": "setns", "granted": True},
        ],
    )
    assert keys(frame, "capabilities") == [b"CAP_63", b"CAP_SYS_ADMIN"]
    assert keys(frame, "operations") == [b'["mount","/x\\\\x0a"]', b'["setns",null]']


def test_links_under_ever_new_names_are_one_behaviour_and_add_up(tmp_path: Path) -> None:
    link = MINE | {"exec_id": "a", "operation": "link", "granted": True, "calls": 1}
    frame = summary_of(
        tmp_path,
        privileges=[
            link | {"target": b"/spool/%d" % number, "window": number // 2} for number in range(6)
        ],
    )
    (row,) = frame[frame.dimension == "operations"].itertuples()
    assert (row.key, row.calls, row.windows) == (b'["link",null]', 6, 3)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"family": 10, "type": 1, "peer_addr": bytes(15) + b"\1", "peer_port": 443},
         b'["out","tcp","::1",443,null,null]'),
        ({"family": 1, "type": 1, "unix_path": b"\0abstract"},
         b'["out","unix","\\\\x00abstract",null,null,null]'),
        ({"family": 16, "type": 3, "protocol": 0}, b'["out","netlink","",null,null,null]'),
        ({"family": 2, "type": 3, "protocol": 89, "peer_addr": b"\1\2\3\4"},
         b'["out","protocol-89","1.2.3.4",null,null,null]'),
        ({"family": 2, "type": 2, "protocol": 0, "peer_addr": b"\1\2\3\4", "peer_port": 53},
         b'["out","udp","1.2.3.4",53,null,null]'),
    ],
)  # fmt: skip
def test_sockets_of_each_family_have_a_key(tmp_path: Path, row: dict[str, Any], key: bytes) -> None:
    frame = summary_of(tmp_path, network=[MINE | {"direction": "out", "connections": 1} | row])
    assert keys(frame, "peers") == [key]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"family": 16, "type": 3, "protocol": 0}, b'["netlink","route",null]'),
        ({"family": 16, "type": 2, "protocol": 31}, b'["netlink","protocol-31",null]'),
        ({"family": 17, "type": 3, "protocol": 3}, b'["packet","",null]'),
        ({"family": 38, "type": 5, "protocol": 0}, b'["family-38","",null]'),
        ({"family": 2, "type": 3, "protocol": 1, "local_addr": bytes(4)},
         b'["raw-icmp","0.0.0.0",null]'),
        ({"family": 1, "type": 1, "unix_path": b"/run/x.sock"}, b'["unix","/run/x.sock",null]'),
        ({"family": 1, "type": 2, "unix_path": b"\x00001af"}, b'["unix","",null]'),
        ({"family": 1, "type": 2, "unix_path": b"\x00001ag"}, b'["unix","\\\\x00001ag",null]'),
    ],
)  # fmt: skip
def test_sockets_of_their_own_have_a_key(tmp_path: Path, row: dict[str, Any], key: bytes) -> None:
    frame = summary_of(tmp_path, network=[MINE | {"direction": "bind", "connections": 1} | row])
    assert keys(frame, "listens") == [key]


def test_an_executable_that_was_replaced_keeps_its_name(tmp_path: Path) -> None:
    read = MINE | {"path": b"/x", "access": int(Access.READ), "calls": 2}
    frame = summary_of(
        tmp_path,
        executables=[{"exe": 1, "path": b"/bin/a"}, {"exe": 2, "path": b"/bin/a"}],
        files=[read | {"exe": 1}, read | {"exe": 2, "ino": 7}, read | {"exe": 1, "window": 1}],
    )
    (row,) = frame[frame.dimension == "files"].itertuples()
    assert (row.exe_path, row.windows, row.calls) == (b"/bin/a", 2, 6)


def test_a_loss_keeps_its_workload_or_says_that_nobody_knows_whose(tmp_path: Path) -> None:
    frame = summary_of(
        tmp_path,
        losses=[
            MINE | {"kind": "quota", "place": "files", "count": 3},
            MINE | {"kind": "quota", "place": "files", "count": 4, "window": 1},
            {"kind": "ring_full", "place": "events", "count": 5},
        ],
    )
    losses = frame[frame.dimension == "loss"].sort_values("calls")
    assert list(losses.key) == [b'["ring_full","events"]', b'["quota","files"]']
    assert list(losses.calls) == [5, 7]
    assert list(losses.windows) == [1, 2]
    assert list(losses.workload_key == "") == [True, False]


def test_rows_of_nobody_are_counted_as_lost(tmp_path: Path) -> None:
    frame = summary_of(
        tmp_path,
        syscalls=[MINE | {"nr": 0, "calls": 1}, {"workload": 9, "instance": 9, "nr": 1}],
    )
    assert keys(frame, "syscalls") == [b"0"]
    assert keys(frame, "loss") == [b'["malformed","summarize syscalls"]']


def test_what_was_watched_is_counted(shop: pa.Table) -> None:
    frame = frame_of(shop)
    watched = frame[(frame.dimension == "observation") & (frame.workload_key == CHECKOUT)]
    whole = watched[watched.key == b'["windows"]']
    assert list(whole.windows) == [8, 8]
    assert list(whole.calls) == [8 * WINDOW_NS] * 2
    (given,) = frame[frame.dimension == "input"].key
    assert json.loads(given)["window_ms"] == 5000


def test_a_recording_that_ended_in_a_crash_can_be_summarized(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "r",
        is_closed=False,
        workloads=[UNIT],
        instances=[INSTANCE],
        syscalls=[MINE | {"nr": 1, "calls": 2}],
    )
    frame = frame_of(summarize(Recording.open(path)))
    assert keys(frame, "syscalls") == [b"1"]
    assert not json.loads(keys(frame, "input")[0])["clean_end"]


def test_an_empty_recording_has_just_its_input(tmp_path: Path) -> None:
    frame = frame_of(summarize(Recording.open(make_recording(tmp_path / "r"))))
    assert list(frame.dimension) == ["input"]


def test_counting_in_chunks_gives_what_counting_at_once_gives(
    tmp_path: Path, shop: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "_CHUNK_ROWS", 7)
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 3)
    assert summarize(Recording.open(shop_recording(tmp_path / "recording"))).equals(shop)


def test_two_acts_with_one_key_in_one_window_count_it_once(tmp_path: Path) -> None:
    read = MINE | {"path": b"/x", "access": int(Access.READ), "calls": 1}
    frame = summary_of(
        tmp_path,
        files=[read, read | {"dev": 7}, read | {"window": 1}, read | {"window": 2, "asked": b"x"}],
    )
    (row,) = frame[frame.dimension == "files"].itertuples()
    assert (row.windows, row.calls) == (3, 4)


def test_merging_adds_what_another_recording_saw(tmp_path: Path, shop: pa.Table) -> None:
    other = summarize(
        Recording.open(
            make_recording(
                tmp_path / "other",
                manifest={"recording_id": "OTHER"},
                workloads=[UNIT],
                instances=[INSTANCE],
                syscalls=[MINE | {"nr": 1, "calls": 1}],
            )
        )
    )
    both = merge([shop, other])
    assert both.num_rows == shop.num_rows + other.num_rows
    assert both.equals(merge([other, shop]))
    assert merge([]).num_rows == 0
