"""What one replica alone showed: an attacker's code is held back, a leader's work is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.flags import Access
from ethogram.contracts.recording import Recording
from ethogram.contracts.syscall_names import number_of
from ethogram.contracts.wording import in_words
from exporters.protocol import Artifact
from exporters.registry import parse_options
from exporters.seccomp import exporter as seccomp
from learner.learn import learn
from learner.summary import summarize
from tests.recordings import START_NS, WINDOW_NS, make_recording

pytestmark = pytest.mark.unit

WINDOWS, REPLICAS, ATTACKED, ATTACK = 72, (1, 2, 3), 2, range(40, 42)
APP, TOOL = 1, 2
CREATED = int(Access.WRITE | Access.CREATE)
Tables = dict[str, list[dict[str, Any]]]


def mine(window: int, instance: int, phase: str = "steady") -> dict[str, Any]:
    return {"window": window, "workload": 1, "instance": instance, "phase": phase}


def call(window: int, instance: int, name: str, phase: str = "steady") -> dict[str, Any]:
    nr = number_of("x86_64", name)
    return mine(window, instance, phase) | {"nr": nr, "name": name, "calls": 3}


def file(window: int, instance: int, path: str, *, exe: int = APP, access: int = CREATED) -> Any:
    return mine(window, instance) | {
        "exe": exe, "path": path.encode(), "access": access, "calls": 1, "in_image": "no",
        "first": START_NS + window * WINDOW_NS, "last": START_NS + window * WINDOW_NS,
    }  # fmt: skip


def process(window: int, instance: int, exe: int) -> dict[str, Any]:
    start = START_NS + window * WINDOW_NS
    return mine(window, instance) | {
        "exec_id": f"{instance}-{exe}-{window}", "exe": exe, "start": start,
        "end": start + WINDOW_NS // 2, "stdio": ["null"] * 3, "tgid": 100 * instance + window,
    }  # fmt: skip


def service(replicas: tuple[int, ...] = REPLICAS, windows: int = WINDOWS) -> Tables:
    """Replicas that start, and then serve and write a temporary file now and then."""
    tables: Tables = {
        "workloads": [{"workload": 1, "kind": "Deployment", "name": "web", "image": "web:1"}],
        "instances": [{"instance": n, "workload": 1, "runtime_id": f"r{n}"} for n in replicas],
        "executables": [
            {"exe": APP, "path": b"/app/server"}, {"exe": TOOL, "path": b"/usr/bin/tool"},
        ],
        "coverage": [], "syscalls": [], "files": [], "processes": [], "network": [],
    }  # fmt: skip
    for n in replicas:
        tables["processes"].append(process(0, n, APP) | {"phase": "startup", "end": None})
        tables["coverage"].append(mine(0, n, "startup") | {"observed_ns": WINDOW_NS})
        tables["syscalls"].append(call(0, n, "listen", "startup"))
        for window in range(1, windows):
            tables["coverage"].append(mine(window, n) | {"observed_ns": WINDOW_NS})
            tables["syscalls"] += [call(window, n, name) for name in ("read", "openat")]
            if window % 9 == n:
                tables["files"].append(file(window, n, f"/var/lib/app/up{100_000 * n + window}"))
    return tables


def learnt(path: Path, tables: Tables) -> Baseline:
    path.mkdir(exist_ok=True)
    (baseline,) = learn(summarize(Recording.open(make_recording(path / "r", **tables))))
    return baseline


def values(baseline: Baseline, dimension: str) -> list[str]:
    return [in_words(rule.value) for rule in getattr(baseline.rules, dimension)]


def held(baseline: Baseline) -> dict[str, tuple[str, ...] | None]:
    return {in_words(one.value): one.reasons for one in baseline.quarantined}


def marked(baseline: Baseline) -> dict[str, tuple[str, ...]]:
    return {in_words(rule.value): rule.marked for _, rule in baseline.rules.all() if rule.marked}


def profile(baseline: Baseline) -> bytes:
    exporter = seccomp()
    made = exporter.export(baseline, parse_options(exporter, [], enforce=True))
    return next(one.content for one in made if isinstance(one, Artifact))


def rules(baseline: Baseline) -> set[tuple[str, str]]:
    return {(dimension, in_words(rule.value)) for dimension, rule in baseline.rules.all()}


JUNK = ("mbind", "keyctl", "kexec_load", "vmsplice", "quotactl")


def with_junk_calls(tables: Tables, instance: int = ATTACKED) -> Tables:
    tables["syscalls"] += [call(window, instance, name) for window in ATTACK for name in JUNK]
    tables["processes"].append(process(ATTACK[0], instance, TOOL))
    return tables


def test_junk_calls_and_programs_of_one_replica_widen_nothing(tmp_path: Path) -> None:
    attacked = learnt(tmp_path / "attacked", with_junk_calls(service()))
    clean = learnt(tmp_path / "clean", service())
    assert held(attacked) == dict.fromkeys([*JUNK, "/usr/bin/tool"], ("one-instance",))
    assert rules(attacked) == rules(clean)
    assert profile(attacked) == profile(clean)
    assert marked(attacked) == {}


def test_another_replica_is_a_second_witness(tmp_path: Path) -> None:
    tables = with_junk_calls(service())
    tables["syscalls"] += [call(50, 3, name) for name in JUNK]
    baseline = learnt(tmp_path, tables)
    assert set(JUNK) <= set(values(baseline, "syscalls"))
    assert set(held(baseline)) == {"/usr/bin/tool"}


def test_junk_calls_of_a_workload_of_one_or_two_are_marked(tmp_path: Path) -> None:
    for replicas in ((2,), (1, 2)):
        baseline = learnt(tmp_path / str(len(replicas)), with_junk_calls(service(replicas)))
        assert held(baseline) == {}
        assert marked(baseline) == dict.fromkeys([*JUNK, "/usr/bin/tool"], ("once",))


def test_what_recurs_in_one_replica_is_marked(tmp_path: Path) -> None:
    """A job that one replica runs every few minutes."""
    tables = service()
    tables["processes"] += [process(window, 1, TOOL) for window in (10, 30, 50, 70)]
    tables["syscalls"] += [call(window, 1, "fsync") for window in (10, 30, 50, 70)]
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {}
    by = ("one-instance",)
    assert marked(baseline) == {"fsync": by, "/usr/bin/tool": by}


def test_a_leader_that_was_elected_late_keeps_its_peers_and_files(tmp_path: Path) -> None:
    tables = service()
    out = {"direction": "out", "family": 2, "type": 1, "protocol": 6, "connections": 1, "exe": APP}
    for window in range(60, WINDOWS):
        tables["network"].append(
            mine(window, 3) | out | {"peer_addr": bytes([10, 0, 0, 1]), "peer_port": 443}
        )
        tables["files"].append(file(window, 3, "/var/lib/app/leader"))
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {}
    assert set(marked(baseline)) == {"tcp to 10.0.0.1:443", "/var/lib/app/leader wc"}


def test_shards_keep_their_files(tmp_path: Path) -> None:
    tables = service()
    tables["files"] += [file(w, n, f"/data/shard-{n}") for n in REPLICAS for w in (5, 6)]
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {}
    shards = {word for word in values(baseline, "files") if word.startswith("/data")}
    assert shards == {f"/data/shard-{n} wc" for n in REPLICAS}


def test_what_only_the_first_replica_does_at_its_start_is_marked(tmp_path: Path) -> None:
    tables = service()
    tables["syscalls"].append(call(0, 1, "flock", "startup"))
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {}
    assert marked(baseline) == {"flock": ("one-instance",)}


def test_replicas_of_another_image_or_that_were_hardly_watched_are_no_witnesses(
    tmp_path: Path,
) -> None:
    few = with_junk_calls(service(windows=50))
    late = with_junk_calls(service())
    for table in ("coverage", "syscalls", "files"):
        late[table] = [
            row for row in late[table] if row["instance"] == ATTACKED or row["window"] < 30
        ]
    for name, tables in (("few", few), ("late", late)):
        assert held(learnt(tmp_path / name, tables)) == {}
    other = with_junk_calls(service())
    other["workloads"].append(other["workloads"][0] | {"workload": 2, "image_digest": "sha256:b"})
    for rows in other.values():
        for row in rows:
            if row.get("instance") == ATTACKED:
                row["workload"] = 2
    assert held(learnt(tmp_path / "other", other)) == {}


def test_a_session_is_marked(tmp_path: Path) -> None:
    tables = service()
    tables["syscalls"].append(call(20, 1, "ioctl", "exec"))
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {}
    assert marked(baseline) == {"ioctl": ("session",)}


def test_a_path_that_was_cut_is_marked_and_counted(tmp_path: Path) -> None:
    tables = service()
    cut = "..." + "x" * 40 + "/leaf"
    tables["files"] += [file(7, n, cut) | {"truncated": True} for n in REPLICAS]
    baseline = learnt(tmp_path, tables)
    assert marked(baseline) == {f"{cut} wc": ("truncated",)}
    assert baseline.observation.truncated == 1
    assert baseline.observation.reasons == ("truncated",)
    assert baseline.observation.state == "complete"


# --- junk paths ----------------------------------------------------------------------------------


def with_junk_paths(tables: Tables, *, count: int = 3000) -> Tables:
    tables["files"] += [
        file(40, ATTACKED, f"/var/lib/app/{name}", exe=APP)
        for number in range(count)
        for name in (f"up{number:06x}"[:9], f"zz{number:05d}/{'abc'[number % 3]}{number}")
    ]
    return tables


@pytest.mark.parametrize("replicas", [(ATTACKED,), REPLICAS], ids=["one", "three"])
def test_thousands_of_junk_paths_widen_no_pattern(
    tmp_path: Path, replicas: tuple[int, ...]
) -> None:
    attacked = learnt(tmp_path / "attacked", with_junk_paths(service(replicas)))
    clean = learnt(tmp_path / "clean", service(replicas))
    assert rules(attacked) == rules(clean)
    assert {one.reasons for one in attacked.quarantined} == {("flood",)}
    assert len(attacked.quarantined) <= 100
    # With two that the service itself made meanwhile: its pattern allows them.
    assert sum(one.count or 0 for one in attacked.quarantined) == 6002


def test_a_few_made_up_names_of_one_replica_make_no_pattern(tmp_path: Path) -> None:
    tables = service()
    tables["files"] += [file(41, ATTACKED, f"/srv/app/st{n}{n}41") for n in range(9)]
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {"/srv/app/st* wc": ("one-instance",)}
    assert rules(baseline) == rules(learnt(tmp_path / "clean", service()))


@pytest.mark.parametrize("case", ["always", "everywhere", "startup"])
def test_what_makes_many_files_as_its_work_is_no_flood(tmp_path: Path, case: str) -> None:
    tables = service((1, 2))
    for n in (1, 2) if case == "everywhere" else (1,):
        for number in range(900):
            window = 1 + number % 70 if case == "always" else 33
            row = file(window, n, f"/cache/item-{'abcdefgh'[number % 8]}x{number}")
            tables["files"].append(row | ({"phase": "startup"} if case == "startup" else {}))
    assert held(learnt(tmp_path, tables)) == {}
