"""`ethogram forget`: nothing of the workload is left, and all of the others is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ethogram.cli.run import run
from ethogram.contracts.keys import names_workload, parse_workload_key, workload_key
from ethogram.contracts.manifest import (
    Command,
    Sent,
    TargetChoice,
    read_manifest,
    write_manifest,
)
from ethogram.contracts.recording import Recording
from ethogram.contracts.summary import read_summary, write_summary
from ethogram.contracts.tables import TABLES
from learner.summary import summarize
from profiler.lock import lock_directory
from tests.recordings import make_recording, shop_recording
from tests.shop import SHOP_TABLES

pytestmark = pytest.mark.unit

LOADGEN = "shop-staging/Deployment/loadgen"


def bytes_below(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file())


def forget(*arguments: str | Path) -> int:
    return run(["forget", *map(str, arguments)])


def rows_without(path: Path, workload: int) -> dict[str, list[dict[str, object]]]:
    recording = Recording.open(path)
    tables = {name: recording.table(name).to_pylist() for name in TABLES}
    return {
        name: [row for row in rows if row.get("workload") != workload]
        for name, rows in tables.items()
        if name not in {"executables", "addresses"}
    }


@pytest.mark.parametrize("is_closed", [True, False])
def test_every_row_of_it_goes_and_every_other_stays(tmp_path: Path, is_closed: bool) -> None:
    path = make_recording(tmp_path / "shop", is_closed=is_closed, **SHOP_TABLES)
    before = rows_without(path, 2)
    assert forget("--workload", LOADGEN, path) == 0
    recording = Recording.open(path)
    recording.verify()
    for name, rows in before.items():
        assert recording.table(name).to_pylist() == rows, name
    assert recording.table("workloads")["name"].to_pylist() == ["checkout"]


def test_nothing_on_the_disk_names_it_any_more(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "shop",
        workloads=[
            {"workload": 1, "name": "checkout", "kind": "Deployment", "namespace": "shop"},
            {"workload": 2, "name": "payments", "kind": "Deployment", "namespace": "shop"},
        ],
        instances=[
            {"instance": 1, "workload": 1, "runtime_id": "aa"},
            {"instance": 2, "workload": 2, "runtime_id": "bb-secret"},
        ],
        executables=[
            {"exe": 1, "path": b"/bin/shared"},
            {"exe": 2, "path": b"/opt/payments/serve"},
        ],
        files=[
            {"workload": 1, "instance": 1, "exe": 1, "path": b"/etc/checkout"},
            {"workload": 2, "instance": 2, "exe": 1, "path": b"/var/payments/one"},
            {"workload": 2, "instance": 2, "exe": 2, "path": b"/var/payments/two"},
        ],
        addresses=[
            {"addr": b"\n\0\0\1", "workload": 2, "name": "shop/payments-0"},
            {
                "addr": b"\n\0\0\2",
                "namespace": "shop",
                "owner_kind": "Deployment",
                "owner_name": "payments",
            },
            {"addr": b"\n\0\0\3", "name": "shop/checkout-0"},
        ],
        losses=[
            {"workload": 1, "kind": "quota", "place": "files", "count": 5},
            {"workload": 2, "kind": "quota", "place": "files", "count": 7},
        ],
        manifest={"command": Command(argv=("curl", "https://payments")), "losses": 12}
        | {"targets": TargetChoice(kind="container", values=("aa", "bb-secret"))},
    )
    left_behind = path / "files-00077.parquet"
    left_behind.write_bytes(b"payments")  # a kill between the manifest and the deletion
    assert forget("--workload", "shop/payments", path) == 0
    manifest = read_manifest(path)
    assert manifest.command is not None  # it is nobody's that was forgotten
    left = bytes_below(path).replace(b"https://payments", b"")
    assert b"payments" not in left
    assert b"bb-secret" not in left
    recording = Recording.open(path)
    assert recording.table("executables")["exe"].to_pylist() == [1]
    assert recording.table("addresses")["name"].to_pylist() == ["shop/checkout-0"]
    assert manifest.forgotten is not None
    assert (manifest.forgotten.workloads, manifest.losses) == (1, 5)


def test_the_command_of_a_recording_goes_with_its_workload(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "one",
        workloads=[{"workload": 1, "name": "curl", "kind": "Command"}],
        manifest={"command": Command(argv=("curl", "https://internal"))},
    )
    assert forget("--workload", "curl", path) == 0
    assert read_manifest(path).command is None
    assert b"curl" not in bytes_below(path)


def test_a_summary_is_that_of_the_recording_without_it(tmp_path: Path) -> None:
    path = shop_recording(tmp_path / "shop")
    summary = tmp_path / "shop.summary.parquet"
    whole = summarize(Recording.open(path))
    write_summary(whole, summary)
    assert forget("--workload", LOADGEN, summary) == 0
    mask = [not key or parse_workload_key(key).name != "loadgen"
            for key in whole["workload_key"].to_pylist()]  # fmt: skip
    assert read_summary(summary).equals(whole.filter(pa.array(mask)))


def test_a_dry_run_says_the_same_numbers_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_recording(tmp_path / "shop", is_closed=False, **SHOP_TABLES)
    before = bytes_below(path)
    assert forget("--workload", LOADGEN, path, "--dry-run", "--format", "json") == 0
    dry = json.loads(capsys.readouterr().out)
    assert bytes_below(path) == before
    assert forget("--workload", LOADGEN, path, "--format", "json") == 0
    wet = json.loads(capsys.readouterr().out)
    assert (dry.pop("dry_run"), wet.pop("dry_run")) == (True, False)
    assert dry == wet
    assert wet["sources"][0]["rows"]["workloads"] == 1


def test_a_recording_that_is_written_is_refused_and_untouched(tmp_path: Path) -> None:
    path = shop_recording(tmp_path / "shop")
    before = bytes_below(path)
    lock = lock_directory(path)
    try:
        assert forget("--workload", LOADGEN, path) == 4
    finally:
        os.close(lock)
    assert bytes_below(path) == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path / "replaced", "holds another recording"),
        (lambda _: "s3://bucket/shop", "is a URL"),
        (lambda path: path, "is at `s3://bucket/shop` already"),
    ],
    ids=["replaced", "url", "spool"],
)
def test_what_is_not_all_there_is_is_refused_and_untouched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, words: str
) -> None:
    path = shop_recording(tmp_path / "shop")
    place = make(path)
    if place == path:
        manifest = read_manifest(path)
        sent = Sent(url="s3://bucket/shop", files=manifest.files[:1])
        write_manifest(path, manifest.model_copy(update={"sent": sent}))
    elif isinstance(place, Path):
        place.mkdir()
    before = bytes_below(path)
    assert forget("--workload", LOADGEN, place if isinstance(place, str) else path) == 2
    assert words in capsys.readouterr().err
    assert bytes_below(path) == before


def test_a_name_that_nothing_has_is_refused_before_anything_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shop_recording(tmp_path / "shop")
    before = bytes_below(path)
    assert forget("--workload", LOADGEN, "--workload", "loadgenn", path) == 2
    assert "no workload is called `loadgenn`" in capsys.readouterr().err
    assert bytes_below(path) == before


def test_what_a_later_version_added_is_not_rewritten_without_it(tmp_path: Path) -> None:
    path = shop_recording(tmp_path / "shop")
    manifest = path / "manifest.json"
    document = json.loads(manifest.read_text())
    stranger = dict(document["files"][0], table="thoughts", path="thoughts-00000.parquet")
    (path / stranger["path"]).write_bytes((path / document["files"][0]["path"]).read_bytes())
    document["files"].append(stranger)
    manifest.write_text(json.dumps(document))
    before = bytes_below(path)
    assert forget("--workload", LOADGEN, path) == 1
    assert bytes_below(path) == before


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("web", True),
        ("shop/web", True),
        ("shop/Deployment/web", True),
        ("shop/Deployment/web/nginx", True),
        ("shop/Deployment/web/sidecar", False),
        ("_/web", False),
        ("other/web", False),
        ("_/shop/Deployment/web/nginx/main@sha256:ab", True),
        ("_/shop/Deployment/web/nginx/main", False),
        ("we", False),
    ],
)
def test_a_workload_is_called_as_people_call_it(name: str, is_it: bool) -> None:
    key = parse_workload_key(workload_key(None, "shop", "Deployment", "web", "nginx", "sha256:ab"))
    assert names_workload(name, key) is is_it
