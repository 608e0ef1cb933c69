"""What the detector tells of windows: nothing of what was learnt, and all that strays from it."""

from pathlib import Path
from typing import Any

import pytest

from detector.library import Library
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.finding import Finding
from ethogram.contracts.flags import Access
from ethogram.contracts.recording import Recording
from learner.learn import learn
from learner.summary import summarize
from tests.recordings import START_NS, WINDOW_NS, make_recording, shop_recording
from tests.replay import Replay
from tests.shop import SHOP_TABLES
from tests.telemetry import BASELINES

pytestmark = pytest.mark.unit

NGINX, SH = 2, 3


def write_baselines(recording: Path, directory: Path) -> Path:
    """Learn *recording* into *directory* as if it had been long enough, and return that."""
    directory.mkdir()
    for number, baseline in enumerate(learn(summarize(Recording.open(recording)))):
        seen = baseline.observation.model_copy(update={"reasons": ()})
        whole = baseline.model_copy(update={"observation": seen})
        (directory / f"{number}.baseline.yaml").write_text(dump_baseline(whole))
    return directory


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baselines learnt from the shop in staging."""
    tmp_path = tmp_path_factory.mktemp("learnt")
    return write_baselines(shop_recording(tmp_path / "rec"), tmp_path / "baselines")


@pytest.fixture
def shop(baselines: Path, tmp_path: Path) -> Replay:
    """The shop, seen once more from its start by a detector that knows it."""
    replay = Replay(baselines)
    replay.recording(shop_recording(tmp_path / "again"))
    return replay


def file_row(path: str, **columns: Any) -> dict[str, Any]:
    row = {"workload": 1, "instance": 1, "exe": NGINX, "path": path.encode(), "calls": 1}
    return row | {"access": int(Access.READ)} | columns


def tallied(replay: Replay) -> tuple[dict[tuple[str, str], int], int]:
    """Return the findings by layer and severity, and how many lines were timed."""
    reading = replay.tally.reading(BASELINES)
    return {key: one for key, one in reading.findings.items() if one}, sum(reading.latency.counts)


def test_what_was_learnt_raises_nothing(shop: Replay) -> None:
    assert shop.findings == []
    assert {change.before for change in shop.changes} == {None}


def test_a_file_that_was_never_opened_is_told_with_its_process(shop: Replay) -> None:
    (found,) = shop.rows(8, files=[file_row("/etc/hosts.deny")])
    assert (found.layer, found.rule) == ("deviation", "deviation-files")
    assert found.evidence.observed == "/etc/hosts.deny (r)"
    assert found.workload.name == "checkout"
    assert found.workload.namespace == "shop-staging"
    assert found.container_id == f"{1:064x}"
    assert found.process is not None
    assert found.process.exe.endswith("nginx")
    assert found.count == 1


def test_a_finding_has_the_container_the_file_and_as_whom_it_was_opened(shop: Replay) -> None:
    seen = {"first": START_NS + 8 * WINDOW_NS, "dev": 43, "ino": 7, "asked": b"hosts.deny"}
    row = file_row("/etc/hosts.deny", in_image="no", **seen)
    (found,) = shop.rows(8, files=[row])
    assert found.file is not None
    assert found.file.model_dump(exclude_none=True) == {
        "path": "/etc/hosts.deny", "asked": "hosts.deny", "dev": 43, "ino": 7, "access": "r",
        "in_image": False,
    }  # fmt: skip
    assert found.workload.image_digest == "sha256:" + "a" * 64
    assert found.instance is not None
    assert found.instance.pod_uid == "00000000-0000-4000-8000-000000000001"
    assert found.container_root is not None
    assert found.container_root.exec_id == "1-main"
    assert found.process is not None
    assert found.process.uid == 0


def test_a_peer_is_told_with_both_ends_and_a_name_with_its_answers(shop: Replay) -> None:
    row = peer_row(bytes([203, 0, 113, 7]), 3333) | {"name": "evil.example", "cookie": 5}
    asked = {"workload": 1, "instance": 1, "exe": NGINX, "qname": b"evil.example", "qtype": 1,
             "rcode": 0, "answers": [bytes([203, 0, 113, 7])], "resolver": bytes([10, 96, 0, 10]),
             "trusted": True}  # fmt: skip
    found = {one.evidence.dimension: one for one in shop.rows(8, network=[row], dns=[asked])}
    peer, dns = found["peers"].peer, found["dns"].dns
    assert peer is not None
    assert (peer.direction, peer.address, peer.port) == ("out", "203.0.113.7", 3333)
    assert peer.name == "evil.example"
    assert dns is not None
    assert (dns.name, dns.answers, dns.resolver) == (
        "evil.example", ("203.0.113.7",), "10.96.0.10",
    )  # fmt: skip


def test_a_repeat_is_counted_and_told_at_the_end(shop: Replay) -> None:
    first = shop.rows(8, files=[file_row("/etc/hosts.deny")])
    again = shop.rows(9, files=[file_row("/etc/hosts.deny", calls=4)])
    assert (len(first), len(again)) == (1, 0)
    shop.judge.findings.tell_again(START_NS, is_last=True)
    last = shop.findings[-1]
    assert last.fingerprint == first[0].fingerprint
    assert last.count == 5
    assert last.first_seen < last.last_seen
    shop.judge.findings.tell_again(START_NS, is_last=True)
    assert shop.findings[-1] is last


def test_the_same_in_another_replica_is_the_same_finding_told_there(shop: Replay) -> None:
    (first,) = shop.rows(8, files=[file_row("/etc/hosts.deny")])
    (there,) = shop.rows(9, files=[file_row("/etc/hosts.deny", instance=2, calls=3)])
    assert there.fingerprint == first.fingerprint
    assert there.container_id == f"{2:064x}"
    assert there.count == 4
    assert there.first_seen == first.first_seen
    assert shop.rows(10, files=[file_row("/etc/hosts.deny", instance=2)]) == []
    assert shop.judge.findings.total == 1
    assert tallied(shop) == ({("deviation", "low"): 1}, 2)


def test_another_program_that_does_it_is_another_finding(shop: Replay) -> None:
    found = shop.rows(8, files=[file_row("/etc/hosts.deny"), file_row("/etc/hosts.deny", exe=SH)])
    assert len({finding.fingerprint for finding in found}) == 2


def test_what_an_indicator_tells_is_not_told_twice(shop: Replay) -> None:
    (found,) = shop.rows(8, files=[file_row("/etc/shadow", exe=SH)])
    assert (found.layer, found.rule) == ("indicator", "sensitive-file-read")
    assert found.severity == "high"
    assert {attack.technique for attack in found.attack} >= {"T1003.008"}
    assert found.confidence == "high"
    assert {"NIST CSF", "ISO/IEC 27001"} <= {one.standard for one in found.compliance or ()}


def test_what_the_runtime_does_on_its_way_in_is_not_judged(shop: Replay) -> None:
    assert shop.rows(8, files=[file_row("/etc/hosts.deny", phase="runtime")]) == []


def test_small_change_of_one_program_is_one_finding(shop: Replay) -> None:
    (found,) = shop.rows(8, files=[file_row(f"/usr/share/x/{number:04}") for number in range(500)])
    assert found.severity == "low"
    assert found.evidence.observed.startswith("500 at once: /usr/share/x/0000 (r), /usr/share/x/0")
    assert found.evidence.observed.endswith(" and 492 more")
    assert found.count == 500


def peer_row(address: bytes, port: int) -> dict[str, Any]:
    return {
        "workload": 1, "instance": 1, "exe": NGINX, "direction": "out", "family": 2, "type": 1,
        "protocol": 6, "peer_addr": address, "peer_port": port, "connections": 1,
    }  # fmt: skip


def test_a_peer_that_was_learnt_by_what_it_is_silences_what_a_baseline_may(tmp_path: Path) -> None:
    redis, stranger = bytes([10, 0, 0, 31]), bytes([203, 0, 113, 7])
    tables = dict(SHOP_TABLES)
    tables["network"] = [*tables["network"], {"window": 3} | peer_row(redis, 3333)]
    recording = make_recording(tmp_path / "rec", **tables)
    replay = Replay(write_baselines(recording, tmp_path / "baselines"))
    assert replay.recording(recording) == []
    found = replay.rows(8, network=[peer_row(redis, 3333), peer_row(stranger, 3333)])
    assert [(one.rule, one.evidence.observed) for one in found] == [
        ("miner-port", "tcp to 203.0.113.7:3333")
    ]


def test_what_only_the_runtime_did_is_allowed_to_nobody(shop: Replay) -> None:
    row = {"workload": 1, "instance": 1, "operation": "pivot_root", "granted": True, "calls": 1}
    found = shop.rows(8, privileges=[row | {"exec_id": "nginx"}])
    assert [finding.rule for finding in found] == ["root-change"]


def test_a_flood_of_graver_ones_is_fifty_and_one_that_counts(shop: Replay) -> None:
    write = int(Access.WRITE | Access.CREATE)
    rows = [file_row(f"/usr/lib/junk{number:04}.so", access=write) for number in range(500)]
    found = shop.rows(8, files=rows)
    assert {finding.severity for finding in found} == {"high"}
    assert len(found) == 51
    assert found[-1].evidence.observed == "more of severity high than is told one by one"
    assert found[-1].count == 450
    assert shop.rows(9, files=[file_row("/usr/lib/late.so", access=write)]) == []
    assert tallied(shop) == ({("deviation", "high"): 51}, 50)
    row = file_row("/usr/lib/later.so", access=write)
    later, counted = shop.rows(500, instances=[container(1)], files=[row])
    assert counted.count == 451
    assert later.evidence.observed == "/usr/lib/later.so (wc)"


def test_a_flood_does_not_bury_what_is_graver(shop: Replay) -> None:
    write = int(Access.WRITE | Access.CREATE)
    rows = [file_row(f"/opt/junk{number:04}", access=write) for number in range(500)]
    found = shop.rows(8, files=[*rows, file_row("/usr/lib/nginx2.so", access=write)])
    graver = [one.evidence.observed for one in found if one.severity == "high"]
    assert graver == ["/usr/lib/nginx2.so (wc)"]


def test_a_flood_of_what_an_indicator_tells_is_bounded_too(shop: Replay) -> None:
    write = int(Access.WRITE | Access.CREATE)
    rows = [file_row(f"/etc/cron.d/{number:04}", access=write) for number in range(500)]
    found = shop.rows(8, files=rows)
    assert {finding.rule for finding in found} == {"cron-write"}
    assert (len(found), found[-1].count) == (51, 450)


def test_who_looks_at_the_secrets_of_all_processes_is_one_finding(shop: Replay) -> None:
    rows = [file_row(f"/proc/{pid}/environ") for pid in range(20, 30)]
    (found,) = shop.rows(8, files=rows)
    assert found.rule == "process-secrets-read"
    assert shop.rows(9, files=[file_row("/proc/77/environ")]) == []
    (maps,) = shop.rows(10, files=[file_row("/proc/77/maps")])
    assert maps.fingerprint != found.fingerprint


def test_ever_new_small_change_of_one_program_is_told_once(shop: Replay) -> None:
    for window in range(8, 31):
        rows = [file_row(f"/usr/share/x/{window}-{number}") for number in range(5)]
        shop.rows(window, instances=[container(1)], files=rows)
    shop.judge.findings.tell_again(START_NS, is_last=True)
    first, *_, last = shop.findings
    assert {one.fingerprint for one in shop.findings} == {first.fingerprint}
    assert len(shop.findings) < 23
    assert last.count == 23 * 5
    assert "/usr/share/x/30-0 (r)" in last.evidence.observed


def test_what_was_told_among_others_is_not_told_alone(shop: Replay) -> None:
    (several,) = shop.rows(8, files=[file_row(f"/usr/share/x/{number}") for number in range(5)])
    assert shop.rows(9, files=[file_row("/usr/share/x/3", calls=7)]) == []
    by_another, elsewhere = shop.rows(
        10, files=[file_row("/usr/share/x/3", exe=SH), file_row("/usr/share/x/3", instance=2)]
    )
    assert by_another.fingerprint != elsewhere.fingerprint != several.fingerprint
    more = [file_row(f"/usr/share/x/{number}") for number in range(5, 9)]
    assert shop.rows(11, files=more) == []
    shop.judge.findings.tell_again(START_NS, is_last=True)
    last = next(one for one in shop.findings[::-1] if one.fingerprint == several.fingerprint)
    assert last.count == 5 + 7 + 4
    assert len(last.evidence.values or ()) == 9


def test_ever_new_clients_are_one_finding(shop: Replay) -> None:
    client = {"workload": 1, "instance": 1, "exe": NGINX, "direction": "in", "family": 2, "type": 1}
    client |= {"protocol": 6, "local_port": 8080, "connections": 1}
    rows = [client | {"peer_addr": bytes((203, 0, 113, number))} for number in range(200)]
    (found,) = shop.rows(8, network=rows)
    assert (found.severity, found.count) == ("low", 200)


def test_reading_a_file_does_not_hide_that_it_is_written(shop: Replay) -> None:
    write = int(Access.WRITE | Access.READ)
    rows = [file_row("/root/.aws/credentials"), file_row("/root/.aws/credentials", access=write)]
    assert {one.rule for one in shop.rows(8, files=rows)} == {"credential-file-read"}
    rows = [file_row("/var/log/app.log", access=int(Access.TRUNCATE | Access.WRITE))]
    (found,) = shop.rows(9, files=rows)
    assert (found.rule, found.severity) == ("log-clearing", "medium")


def test_what_gets_graver_is_told_again_and_counts_for_the_worst(shop: Replay) -> None:
    write = int(Access.WRITE)
    (told,) = shop.rows(8, files=[file_row("/opt/x", access=write, phase="startup")])
    assert told.severity == shop.judge.findings.worst == "low"
    (graver,) = shop.rows(9, files=[file_row("/opt/x", access=write)])
    assert (graver.severity, graver.count) == ("medium", 2)
    assert graver.fingerprint == shop.findings[0].fingerprint
    found, lines = tallied(shop)
    assert (found[graver.layer, "medium"], lines) == (1, 2)
    assert shop.judge.findings.worst == "medium"


def test_who_does_again_what_was_told_is_deviating_again(shop: Replay) -> None:
    def after(window: int, *files: dict[str, Any]) -> str:
        seen = {"workload": 1, "instance": 1, "phase": "steady", "state": "complete"}
        shop.rows(window, instances=[container(1)], files=files, coverage=[seen])
        return {one.subject.name: one.state for one in shop.watched.statuses()}["checkout"]

    quiet = 8 + 11 * 60 * 10**9 // WINDOW_NS
    assert after(7) == "ok"
    after(8, file_row("/etc/shadow", exe=SH))
    assert after(9) == "deviating"
    assert after(quiet) == "ok"
    after(quiet + 1, file_row("/etc/shadow", exe=SH))
    assert after(quiet + 2) == "deviating"
    assert [one.count for one in shop.findings] == [1, 2]


def test_what_a_name_that_came_late_shows_has_the_time_of_its_window(shop: Replay) -> None:
    shop.rows(10)
    row = {"workload": 1, "instance": 1, "operation": "load_module", "granted": True, "calls": 1}
    (found,) = shop.rows(11, privileges=[row | {"window": 10, "exec_id": "nginx"}])
    assert found.rule == "kernel-module"
    assert found.first_seen == "2026-01-05T10:00:50.000000Z"


def test_what_is_grave_stands_apart_from_small_change(shop: Replay) -> None:
    small = [file_row(f"/usr/share/x/{number:04}", exe=SH) for number in range(500)]
    found = shop.rows(8, files=[*small, file_row("/etc/shadow", exe=SH)])
    assert [finding.rule for finding in found] == ["sensitive-file-read", "deviation-files"]


def test_a_path_of_the_workload_cannot_break_the_line(shop: Replay) -> None:
    (found,) = shop.rows(8, files=[file_row('/tmp/a\n{"schema": "x"}\x1b[2J')])
    assert "\n" not in found.line()
    assert "\x1b" not in found.line()
    assert found.evidence.observed.startswith('/tmp/a\\x0a{"schema"')


@pytest.mark.parametrize(
    "who",
    [
        {"namespace": "shop-staging", "kind": "Deployment", "name": "mail", "container": "smtpd"},
        {"kind": "Container", "name": "mail"},
    ],
)
def test_a_container_without_baseline_is_unknown_and_only_indicators_judge_it(
    who: dict[str, str], shop: Replay
) -> None:
    found = strange(shop, who)
    assert [finding.rule for finding in found] == ["sensitive-file-read"]
    assert found[0].container_id == "9" * 64
    assert found[0].workload_state == "unknown"
    assert found[0].baseline is None


def test_the_host_s_own_programs_are_judged_by_their_baseline_alone(shop: Replay) -> None:
    assert strange(shop, {"kind": "Unit", "name": "mail.service"}) == []


def strange(shop: Replay, who: dict[str, str]) -> list[Finding]:
    """Return what is told of a workload without a baseline that reads two files."""
    return shop.rows(
        8,
        workloads=[{"workload": 9, "labels": {}, "selector": {}} | who],
        instances=[{"instance": 9, "workload": 9, "runtime_id": "9" * 64}],
        coverage=[{"workload": 9, "instance": 9, "state": "complete"}],
        files=[
            file_row("/etc/hosts.deny", workload=9, instance=9),
            file_row("/etc/shadow", workload=9, instance=9, exe=SH),
        ],
    )


def container(number: int, **columns: Any) -> dict[str, Any]:
    return {"instance": number, "workload": 1, "runtime_id": f"{number:064x}"} | columns


def test_a_replica_whose_name_came_late_is_judged_by_the_baseline_of_its_name(
    shop: Replay,
) -> None:
    pending = {"workload": 9, "kind": "Cgroup", "name": "/x", "state": "pending"}
    unnamed = container(9, workload=9)
    shop.rows(8, workloads=[pending | {"labels": {}, "selector": {}}], instances=[unnamed])
    assert len(shop.watched.statuses()) == 3
    found = shop.rows(
        9, instances=[container(9)], files=[file_row("/etc/shadow", instance=9, exe=SH)]
    )
    assert [finding.rule for finding in found] == ["sensitive-file-read"]
    assert found[0].workload.name == "checkout"
    by_name = {one.subject.name: one.instances for one in shop.watched.statuses()}
    assert by_name == {"checkout": 3, "loadgen": 1}


def test_before_its_first_window_ends_a_workload_is_in_the_state_that_it_will_have(
    baselines: Path, tmp_path: Path
) -> None:
    replay = Replay(baselines)
    recording = Recording.open(shop_recording(tmp_path / "again"))
    for name in ("workloads", "instances", "executables"):
        rows = recording.table(name)
        replay.live.append(name, {column: rows.column(column) for column in rows.column_names})
    (found,) = replay.rows(0, files=[file_row("/etc/shadow", exe=SH)])
    assert replay.changes == []
    assert found.workload_state == replay.watched.statuses()[0].state != "unknown"


def test_who_got_a_baseline_is_unknown_no_more_before_the_next_window_ends(
    baselines: Path, tmp_path: Path
) -> None:
    replay = Replay(baselines)
    replay.watched.replace(Library(()))
    replay.recording(shop_recording(tmp_path / "again"))
    assert {one.state for one in replay.watched.statuses()} == {"unknown"}
    replay.watched.replace(Library.load(baselines))
    assert "unknown" not in {one.state for one in replay.watched.statuses()}
    (found,) = replay.rows(8, files=[file_row("/etc/shadow", exe=SH)])
    assert found.workload_state != "unknown"
    replay.watched.replace(Library(()))
    assert {one.state for one in replay.watched.statuses()} == {"unknown"}


def test_a_workload_that_comes_back_after_long_is_known_again(shop: Replay) -> None:
    shop.rows(8, instances=[container(n, ended=START_NS) for n in (1, 2)])
    shop.rows(1000)
    assert shop.rows(1001, files=[file_row("/etc/hosts.deny")]) == []
    (found,) = shop.rows(
        1002, instances=[container(7)], files=[file_row("/etc/hosts.deny", instance=7)]
    )
    assert found.workload.name == "checkout"
    assert {one.instances for one in shop.watched.statuses() if one.baseline} == {1, 3}


def test_of_very_many_strange_workloads_that_ended_the_oldest_are_forgotten(shop: Replay) -> None:
    row = {"kind": "Container", "container": "main", "labels": {}, "selector": {}}
    shop.rows(
        8,
        workloads=[row | {"workload": n, "name": f"{n}"} for n in range(10, 1300)],
        instances=[container(n, workload=n, ended=START_NS) for n in range(10, 1300)],
    )
    assert len(shop.watched.statuses()) == 2 + 1290
    shop.rows(1000)
    shop.rows(1001)
    names = {one.subject.name for one in shop.watched.statuses()}
    assert len(names) == 2 + 1000
    assert {"checkout", "loadgen", "1299"} <= names
    (found,) = shop.rows(
        1002,
        instances=[container(2000, workload=10)],
        files=[file_row("/etc/shadow", workload=10, instance=2000, exe=SH)],
    )
    assert found.workload.name == "10"


def test_lost_events_make_a_finding_say_that_the_sensor_was_degraded(shop: Replay) -> None:
    (found,) = shop.rows(
        8,
        files=[file_row("/etc/hosts.deny")],
        coverage=[{"workload": 1, "instance": 1, "state": "incomplete"}],
        losses=[{"workload": 1, "instance": 1, "kind": "ring_full", "place": "x", "count": 7}],
    )
    assert (found.state, found.workload_state) == ("degraded", "degraded")
    assert shop.changes[-1].after == "degraded"


def test_what_no_recording_looked_at_is_not_judged(tmp_path: Path) -> None:
    recording = make_recording(tmp_path / "light", **SHOP_TABLES, manifest={"tier": "calls"})
    replay = Replay(write_baselines(recording, tmp_path / "light-baselines"))
    replay.recording(shop_recording(tmp_path / "again"))
    assert replay.rows(8, files=[file_row("/opt/new.conf")]) == []
    strange = {"workload": 1, "instance": 1, "arch": "x86_64", "nr": 101, "name": "ptrace"}
    (found,) = replay.rows(9, syscalls=[strange | {"calls": 1}])
    assert found.rule == "deviation-syscalls"


def test_a_download_into_a_shell_is_told_though_each_alone_was_seen_and_let_go(
    shop: Replay,
) -> None:
    begun = {"workload": 1, "instance": 1, "phase": "steady", "parent_exec_id": "1-main"}

    def curl(name: str, window: int) -> dict[str, Any]:
        row = {"exec_id": name, "exe": 60, "argv": [b"curl"], "stdio": ["file", "pipe", "file"]}
        return begun | row | {"start": START_NS + window * WINDOW_NS}

    def shell(name: str, window: int) -> dict[str, Any]:
        row = {"exec_id": name, "exe": SH, "argv": [b"sh"], "stdio": ["pipe", "file", "file"]}
        return begun | row | {"start": START_NS + window * WINDOW_NS + 1}

    path = {"exe": 60, "path": b"/usr/bin/curl"}
    for window in (8, 9):
        told = shop.rows(window, executables=[path], processes=[curl(f"curl-{window}", window)])
        told += shop.rows(window, processes=[shell(f"sh-{window}", window)])
        assert "downloaded-script" not in {one.rule for one in told}
    both = shop.rows(10, processes=[curl("curl-10", 10), shell("sh-10", 10)])
    assert "downloaded-script" in {one.rule for one in both}
