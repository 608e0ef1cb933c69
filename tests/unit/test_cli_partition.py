"""`ethogram partition`: each namespace gets what is its own, and nothing of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.manifest import read_manifest
from ethogram.contracts.recording import Recording
from profiler.lock import lock_directory
from tests.recordings import make_recording

pytestmark = pytest.mark.unit


def partition(*arguments: str | Path) -> int:
    return run(["partition", *map(str, arguments)])


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    def pod(number: int, namespace: str, name: str) -> dict[str, object]:
        return {"addr": b"\n\0\0" + bytes([number]), "namespace": namespace, "name": name}

    return make_recording(
        tmp_path / "monday",
        workloads=[
            {"workload": 1, "name": "checkout", "kind": "Deployment", "namespace": "shop"},
            {"workload": 2, "name": "ledger", "kind": "Deployment", "namespace": "bank"},
            {"workload": 3, "name": "node-1", "kind": "Host", "namespace": None},
        ],
        instances=[{"instance": n, "workload": n, "runtime_id": f"id-{n}"} for n in (1, 2, 3)],
        # Of the last no row is left that says whose it was.
        executables=[
            {"exe": 1, "path": b"/bin/sh"},
            {"exe": 2, "path": b"/opt/ledger"},
            {"exe": 3, "path": b"/opt/ledger-migrate"},
        ],
        files=[
            {"workload": 1, "instance": 1, "exe": 1, "path": b"/etc/checkout"},
            {"workload": 2, "instance": 2, "exe": 1, "path": b"/etc/ledger"},
            {"workload": 2, "instance": 2, "exe": 2, "path": b"/var/ledger"},
            {"workload": 3, "instance": 3, "exe": 1, "path": b"/etc/host"},
        ],
        addresses=[
            pod(1, "shop", "shop/checkout-0"),
            pod(2, "bank", "bank/ledger-0"),
            # Who is not recorded, yet known to the cluster:
            pod(3, "bank", "bank/vault-ledger"),
        ],
    )


def test_a_part_has_its_own_rows_and_no_name_of_the_others(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in recording.iterdir()}
    place = tmp_path / "by"
    assert partition(recording, "-o", place) == 0
    assert "bank: 1 workload in" in capsys.readouterr().out
    assert {path.name for path in place.iterdir()} == {"shop", "bank", "_"}
    for namespace, files, executables, names in (
        ("shop", [b"/etc/checkout"], [1], ["shop/checkout-0"]),
        ("bank", [b"/etc/ledger", b"/var/ledger"], [1, 2], ["bank/ledger-0", "bank/vault-ledger"]),
        ("_", [b"/etc/host"], [1], []),
    ):
        part = Recording.open(place / namespace / "monday")
        part.verify()
        assert part.table("files")["path"].to_pylist() == files
        assert part.table("executables")["exe"].to_pylist() == executables
        assert part.table("addresses")["name"].to_pylist() == names
    left = b"".join(path.read_bytes() for path in (place / "shop/monday").iterdir())
    assert b"ledger" not in left
    targets = read_manifest(place / "shop/monday").targets
    assert (targets.kind, targets.values) == ("namespace", ("shop",))
    assert {path: path.read_bytes() for path in recording.iterdir()} == before


@pytest.mark.parametrize(
    ("kind", "values", "shop", "nobody"),
    [
        ("namespace", ("bank", "shop"), ("namespace", ("shop",)), ("namespace", ())),
        ("pod", ("bank/ledger-0",), ("pod", ()), ("pod", ())),
    ],
)
def test_what_was_asked_for_names_no_others(
    kind: str, values: tuple[str, ...], shop: object, nobody: object, tmp_path: Path
) -> None:
    made = make_recording(
        tmp_path / "monday",
        manifest={"targets": {"kind": kind, "values": values}},
        workloads=[
            {"workload": 1, "name": "checkout", "kind": "Pod", "namespace": "shop"},
            {"workload": 2, "name": "ledger", "kind": "Pod", "namespace": "bank"},
            {"workload": 3, "name": "x", "kind": "Container", "namespace": None},
        ],
    )
    assert partition(made, "-o", tmp_path / "by") == 0
    for namespace, asked in (("shop", shop), ("_", nobody)):
        found = read_manifest(tmp_path / "by" / namespace / "monday").targets
        assert (found.kind, found.values) == asked


def test_parts_are_not_put_into_what_they_are_of(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(recording.iterdir())
    for place in recording, recording / "by":
        assert partition(recording, "-o", place) == 2
        assert "is to stay as it is" in capsys.readouterr().err
    assert sorted(recording.iterdir()) == before


def test_what_is_wrong_is_said_of_the_recording_itself(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = next(recording.glob("files-*"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert partition(recording, "-o", tmp_path / "by") == 1
    said = capsys.readouterr().err
    assert str(recording) in said
    assert "unfinished" not in said
    assert not list((tmp_path / "by").glob("*/*"))


def test_a_recording_of_nobody_makes_no_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert partition(make_recording(tmp_path / "empty"), "-o", tmp_path / "by") == 0
    assert "no part was made" in capsys.readouterr().err


def test_what_is_there_is_not_written_over(recording: Path, tmp_path: Path) -> None:
    place = tmp_path / "by"
    (place / "shop/monday").mkdir(parents=True)
    assert partition(recording, "-o", place) == 2
    assert [path.name for path in place.iterdir()] == ["shop"]


def test_a_recording_that_is_written_is_refused(recording: Path, tmp_path: Path) -> None:
    lock = lock_directory(recording)
    assert partition(recording, "-o", tmp_path / "by") == 4
    os.close(lock)
    assert not (tmp_path / "by").exists()


def test_a_namespace_leads_nowhere_else(tmp_path: Path) -> None:
    evil = make_recording(
        tmp_path / "evil",
        workloads=[{"workload": 1, "name": "x", "kind": "Pod", "namespace": "../../etc"}],
    )
    assert partition(evil, "-o", tmp_path / "by") == 2
    assert not (tmp_path / "by").exists()
