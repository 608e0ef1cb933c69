"""What keeps a watch quiet: rollouts, starts, sessions and what goes on are told together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector.deviations import Deviation
from detector.sightings import graded
from ethogram.cli.run import run
from ethogram.contracts.baseline import ExecValue
from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.finding import Finding
from ethogram.contracts.flags import Access, ProcessFlag
from ethogram.contracts.overlay_file import load_overlay
from tests.recordings import START_NS, WINDOW_NS, columns_of, make_recording, shop_recording
from tests.replay import Replay
from tests.shop import SHOP_TABLES
from tests.unit.test_detector_judge import container, file_row, peer_row, write_baselines

pytestmark = pytest.mark.unit

WRITE = int(Access.WRITE | Access.CREATE)
NEW = "sha256:" + "e" * 64
NEWER = "sha256:" + "f" * 64


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shop")
    return write_baselines(shop_recording(place / "rec"), place / "baselines")


@pytest.fixture
def shop(baselines: Path, tmp_path: Path) -> Replay:
    replay = Replay(baselines)
    replay.recording(shop_recording(tmp_path / "again"))
    return replay


def rolled_out(number: int, digest: str, **coverage: Any) -> dict[str, Any]:
    """Return the rows of a new version of the shop's server."""
    checkout = SHOP_TABLES["workloads"][0]
    return {
        "workloads": [checkout | {"workload": number, "image_digest": digest}],
        "instances": [container(number, workload=number)],
        "coverage": [{"workload": number, "instance": number, "state": "complete"} | coverage],
    }


def of_instance(number: int, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"workload": number, "instance": number}


# --- rollouts -------------------------------------------------------------------------------------


def small(number: int, *, window: int = 0) -> dict[str, Any]:
    """Return what a new version does beyond its baseline that is not grave."""
    files = [file_row(f"/srv/{window}/{one}", access=WRITE) for one in range(40)]
    peer = peer_row(bytes([203, 0, 113, 7]), 443)
    return {
        "files": [of_instance(number, row) for row in files],
        "network": [of_instance(number, peer)],
    }


def test_a_new_image_is_one_finding_with_all_that_it_brings(shop: Replay) -> None:
    (found,) = shop.rows(8, **rolled_out(5, NEW), **small(5))
    assert (found.rule, found.severity, found.workload_state) == ("rollout", "low", "rollout")
    assert found.evidence.observed == "image eeeeeeeeeeee, new: 40 of files, 1 of peers"
    by_dimension = {one.dimension: one for one in found.evidence.groups or ()}
    assert len(by_dimension["files"].values) == 32
    assert by_dimension["files"].more == 8
    assert len(by_dimension["peers"].values) == 1
    assert {one.technique for one in found.attack}
    assert Finding.model_validate_json(found.line()) == found


def test_what_it_shows_later_joins_it_and_another_image_is_another(shop: Replay) -> None:
    (first,) = shop.rows(8, **rolled_out(5, NEW), **small(5))
    assert shop.rows(9, **small(5, window=9)) == []
    shop.judge.findings.tell_again(START_NS, is_last=True)
    last = shop.findings[-1]
    assert last.fingerprint == first.fingerprint
    assert last.evidence.observed == "image eeeeeeeeeeee, new: 80 of files, 1 of peers"
    (other,) = shop.rows(10, **rolled_out(6, NEWER), **small(6))
    assert other.fingerprint != first.fingerprint


def test_what_is_grave_is_told_apart_and_stays_grave(shop: Replay) -> None:
    rows = small(5)
    rows["files"].append(of_instance(5, file_row("/usr/bin/x", access=WRITE)))
    found = shop.rows(8, **rolled_out(5, NEW), **rows)
    assert sorted((one.severity, one.evidence.dimension) for one in found) == [
        ("high", "files"), ("low", "rollout"),
    ]  # fmt: skip


def test_a_loss_of_events_does_not_make_a_rollout_loud(shop: Replay) -> None:
    shop.rows(8, **rolled_out(5, NEW))
    losses = [{"workload": 5, "instance": 5, "kind": "ring_full", "place": "files", "count": 3}]
    coverage = [{"workload": 5, "instance": 5, "state": "incomplete"}]
    (found,) = shop.rows(9, losses=losses, coverage=coverage, **small(5))
    assert (found.workload_state, found.rule, found.severity) == ("degraded", "rollout", "low")


def test_what_is_looked_at_before_the_first_window_of_a_new_image_ended_is_its_rollout(
    shop: Replay,
) -> None:
    rows = rolled_out(5, NEW)
    del rows["coverage"]  # written with the window, at its end
    (found,) = shop.rows(8, **rows, **small(5))
    assert (found.workload_state, found.rule, found.severity) == ("rollout", "rollout", "low")


def test_what_is_looked_at_before_the_first_window_ended_is_of_who_has_a_baseline(
    shop: Replay,
) -> None:
    checkout = SHOP_TABLES["workloads"][0]
    rows = {"workloads": [checkout | {"workload": 5, "namespace": "elsewhere"}],
            "instances": [container(5, workload=5)]}  # fmt: skip
    found = shop.rows(8, **rows, **small(5))
    assert {one.workload_state for one in found} == {"ok"}


def test_a_reviewed_rollout_becomes_entries_of_all_its_dimensions(
    shop: Replay, tmp_path: Path
) -> None:
    (found,) = shop.rows(8, **rolled_out(5, NEW), **small(5))
    words = ("--reason", "2.0", "--expires", "2999-12-31", "--author", "alice")
    overlay = tmp_path / "overlay.yaml"
    assert run(["accept", found.line(), "--overlay", str(overlay), *words]) == 0
    dimensions = [one.target.dimension for one in load_overlay(overlay).entries]
    assert sorted(set(dimensions)) == ["files", "peers"]
    assert len(dimensions) == 33


# --- starts and sessions --------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["startup", "exec"])
def test_what_many_programs_do_in_a_start_or_a_session_is_one_finding(
    shop: Replay, phase: str
) -> None:
    rows = [file_row(f"/srv/{one}", access=WRITE, phase=phase, exe=2 + one % 3) for one in range(9)]
    grave = file_row("/usr/bin/x", access=WRITE, phase=phase)
    found = shop.rows(8, files=[*rows, grave])
    assert sorted((one.severity, one.count) for one in found) == [("high", 1), ("low", 9)]
    (together,) = [one for one in found if one.severity == "low"]
    assert together.phase == phase
    assert together.process is not None
    assert len(together.evidence.values or ()) == 9


def test_the_same_at_work_is_told_one_by_one(shop: Replay) -> None:
    rows = [file_row(f"/srv/{one}", access=WRITE) for one in range(9)]
    assert {one.severity for one in shop.rows(8, files=rows)} == {"medium"}
    assert len(shop.findings) == 9


# --- what goes on and on --------------------------------------------------------------------------


def test_of_what_one_program_does_again_and_again_the_rest_is_told_together(shop: Replay) -> None:
    rows = [file_row(f"/srv/{one}", access=WRITE) for one in range(25)]
    found = shop.rows(8, files=rows)
    assert len(found) == 11
    assert found[-1].evidence.observed == "more of the kind, the last: /srv/10 (wc)"
    assert shop.rows(9, files=[file_row("/srv/later", access=WRITE)]) == []
    shop.judge.findings.tell_again(START_NS, is_last=True)
    last = shop.findings[-1]
    assert (last.fingerprint, last.count) == (found[-1].fingerprint, 16)
    assert len(last.evidence.values or ()) == 16
    another = file_row("/srv/other", access=WRITE, exe=3)
    (told,) = shop.rows(10, files=[another])
    assert told.evidence.observed == "/srv/other (wc)"


def test_after_a_while_it_is_told_by_its_own_name_again(shop: Replay) -> None:
    shop.rows(8, files=[file_row(f"/srv/{one}", access=WRITE) for one in range(25)])
    later = 8 + 300 // 5 + 1
    found = shop.rows(later, instances=[container(1)], files=[file_row("/srv/x", access=WRITE)])
    assert "/srv/x (wc)" in [one.evidence.observed for one in found]


def test_a_person_at_a_terminal_is_told_once_however_many_shells_there_are(shop: Replay) -> None:
    shell = {"workload": 1, "instance": 1, "phase": "exec", "exe": 3, "argv": [b"sh"]}
    shell |= {"stdio": ["tty"] * 3, "flags": int(ProcessFlag.ENTERED), "session_exec_id": "s0"}
    rows = [shell | {"exec_id": f"s{number}", "tgid": 900 + number} for number in (1, 2, 3)]
    (found,) = shop.rows(8, processes=rows)
    assert (found.rule, found.severity, found.count) == ("entered-session", "medium", 1)
    shop.judge.findings.tell_again(START_NS, is_last=True)
    assert shop.findings[-1].count == 3


ALL_CAPABILITIES = (1 << len(CAPABILITIES)) - 1


def first_process() -> dict[str, Any]:
    row = {"workload": 1, "instance": 1, "exec_id": "first", "session_exec_id": "first", "exe": 2}
    return row | {"caps_bounding": ALL_CAPABILITIES, "seccomp_mode": 0, "phase": "startup"}


def test_a_privileged_container_is_told_where_the_baseline_knows_of_none(shop: Replay) -> None:
    rows = [first_process() | {"tgid": 77, "argv": [b"nginx"]}]
    (found,) = shop.rows(8, processes=rows)
    assert (found.rule, found.severity) == ("privileged-container", "medium")


def test_one_that_was_privileged_when_it_was_learnt_is_not(tmp_path: Path) -> None:
    instances = [one | {"caps_bounding": ALL_CAPABILITIES} for one in SHOP_TABLES["instances"]]
    recording = make_recording(tmp_path / "rec", **SHOP_TABLES | {"instances": instances})
    replay = Replay(write_baselines(recording, tmp_path / "baselines"))
    replay.recording(recording)
    assert replay.rows(8, processes=[first_process() | {"tgid": 77, "argv": [b"nginx"]}]) == []


@pytest.mark.parametrize(("grouped", "severity"), [({"startup"}, "low"), (set(), "medium")])
def test_what_has_no_grace_is_as_grave_in_its_start(grouped: set[str], severity: str) -> None:
    value = ExecValue(path="/bin/sh")
    one = Deviation("i", "startup", "execs", value, None, START_NS, START_NS, 1)
    ((_, grading),) = graded([one], "ok", frozenset(grouped))
    assert grading.severity == severity


# --- what every container has -----------------------------------------------------------------


def test_devices_that_every_runtime_provides_are_nobodys_business(shop: Replay) -> None:
    used = [file_row(f"/dev/{name}", access=WRITE) for name in ("null", "tty", "zero", "full")]
    used += [file_row(f"/dev/{name}") for name in ("random", "urandom")]
    assert shop.rows(8, files=used) == []
    (found,) = shop.rows(9, files=[file_row("/dev/nullify")])
    assert found.evidence.observed == "/dev/nullify (r)"


def test_what_is_told_together_has_a_title_of_its_own(shop: Replay) -> None:
    (found,) = shop.rows(8, files=[file_row(f"/srv/{number}") for number in range(9)])
    assert found.title == "Several files outside the baseline"
    assert found.reason == "the baseline never reads it"


# --- within a second ------------------------------------------------------------------------------


def look(shop: Replay, at_ms: int, *paths: str, phase: str = "exec") -> list[Finding]:
    """Return what is told when the open window is looked at so long after it began."""
    began, before = START_NS + 8 * WINDOW_NS, len(shop.findings)
    rows = [{"window": 8, **file_row(path, phase=phase)} for path in paths]
    if rows:
        shop.live.append("files", columns_of("files", rows))
    shop.live.look({"window": [8], "start": [began], "end": [began + at_ms * 1_000_000]})
    return shop.findings[before:]


def test_what_a_session_does_within_a_second_is_told_together(shop: Replay) -> None:
    assert len(look(shop, 10, "/srv/first")) == 1
    for number in range(5):
        assert look(shop, 20 + number, f"/srv/{number}") == []
    assert shop.judge.waits_ns == 986_000_000
    (found,) = look(shop, 1010)
    assert found.evidence.observed.startswith("5 at once: /srv/0 (r), /srv/1 (r)")
    assert found.title == "Several files outside the baseline, in a session that entered"
    assert found.file is not None
    assert found.file.path == "/srv/0"
    assert shop.judge.waits_ns is None


def test_a_service_at_work_waits_for_nothing(shop: Replay) -> None:
    for number in range(5):
        assert len(look(shop, 10 + number, f"/srv/{number}", phase="steady")) == 1


def test_what_still_waits_is_told_at_the_end(shop: Replay) -> None:
    look(shop, 10, "/srv/first")
    assert look(shop, 20, "/srv/last") == []
    shop.judge.settle(START_NS + 9 * WINDOW_NS)
    assert shop.findings[-1].evidence.observed == "/srv/last (r)"
