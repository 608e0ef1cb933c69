"""Baselines as they are learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ethogram.contracts.baseline import (
    DIMENSIONS,
    Baseline,
    FileValue,
    baseline_filename,
    dump_baseline,
    parse_baseline,
)
from ethogram.contracts.flags import Access
from ethogram.contracts.matching import allows
from ethogram.contracts.recording import Recording
from ethogram.errors import RecordingError
from learner.generalise import widened
from learner.learn import LearnOptions, learn
from learner.summary import merge, summarize
from tests.recordings import make_recording, shop_recording

pytestmark = pytest.mark.unit

UNIT = {"workload": 1, "kind": "Unit", "name": "web.service", "container_kind": "none"}
INSTANCE = {"instance": 1, "workload": 1, "runtime_id": "run-1"}
MINE = {"workload": 1, "instance": 1}


def summary_of(path: Path, **tables: Any) -> pa.Table:
    manifest = tables.pop("manifest", {})
    tables = {"workloads": [UNIT], "instances": [INSTANCE]} | tables
    name = manifest.get("recording_id", "recording")
    return summarize(Recording.open(make_recording(path / name, manifest=manifest, **tables)))


def one(path: Path, **tables: Any) -> Baseline:
    (baseline,) = learn(summary_of(path, **tables))
    return baseline


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return summarize(Recording.open(shop_recording(tmp_path_factory.mktemp("shop") / "recording")))


@pytest.fixture(scope="module")
def checkout(shop: pa.Table) -> Baseline:
    return learn(shop)[0]


def test_each_workload_gets_a_baseline(shop: pa.Table) -> None:
    names = [baseline_filename(baseline.subject) for baseline in learn(shop)]
    assert names == [
        "shop-staging.Deployment-checkout.nginx.baseline.yaml",
        "shop-staging.Deployment-loadgen.curl.baseline.yaml",
    ]


def test_a_baseline_applies_to_any_namespace_and_digest(checkout: Baseline) -> None:
    assert checkout.match.model_dump(exclude_none=True) == {
        "kind": "Deployment",
        "name": "checkout",
        "container": "nginx",
    }
    assert checkout.subject.namespace == "shop-staging"
    assert checkout.subject.image == "docker.io/library/nginx:1.27"
    assert checkout.subject.image_digest == f"sha256:{'a' * 64}"


def test_what_was_watched_is_stated(checkout: Baseline) -> None:
    observation = checkout.observation
    assert (observation.windows, observation.instances, observation.seconds) == (16, 2, 80.0)
    assert observation.phases == {
        "runtime": 2, "startup": 2, "steady": 12, "exec": 1, "shutdown": 2,
    }  # fmt: skip
    assert list(observation.phases) == ["runtime", "startup", "steady", "exec", "shutdown"]
    assert observation.state == "complete"
    (given,) = checkout.inputs
    assert given.recording_id == "01J0000000000000000000TEST"


def test_a_rule_has_its_evidence(checkout: Baseline) -> None:
    (rule,) = [rule for rule in checkout.rules.syscalls if rule.value.name == "openat"]
    evidence = rule.evidence
    assert evidence.calls == 9 * 2 + 14 * 2 + 40 * 12 + 8
    assert evidence.windows == 2 + 2 + 12 + 1
    assert (evidence.instances, evidence.recordings) == (2, 1)
    assert evidence.phases == ("runtime", "startup", "steady", "exec")
    assert evidence.first_seen == "2026-01-05T10:00:00Z"
    (log,) = [rule for rule in checkout.rules.files if "access.log" in rule.value.path]
    assert log.evidence.executables == ("/usr/sbin/nginx",)
    assert log.value == FileValue(path="/var/log/nginx/access.log", access="wca")


def test_rules_are_sorted_and_their_ids_stable(shop: pa.Table, checkout: Baseline) -> None:
    paths = [rule.value.path for rule in checkout.rules.files]
    assert paths == sorted(paths)
    shuffled = shop.take(pa.array(range(shop.num_rows - 1, -1, -1)))
    assert [dump_baseline(each) for each in learn(shuffled)] == [
        dump_baseline(each) for each in learn(shop)
    ]
    ids = {rule.id for _, rule in checkout.rules.all()}
    curl = {rule.value: rule.id for _, rule in learn(shop)[1].rules.all()}
    shared = [rule for _, rule in checkout.rules.all() if rule.value in curl]
    assert shared
    assert all(curl[rule.value] == rule.id for rule in shared)
    assert len(ids) == len(list(checkout.rules.all()))


def test_a_baseline_survives_its_file(checkout: Baseline) -> None:
    assert parse_baseline(dump_baseline(checkout)) == checkout


def test_a_session_is_learnt_with_its_phase_or_left_out(shop: pa.Table, checkout: Baseline) -> None:
    (ls,) = [rule for rule in checkout.rules.execs if rule.value.path == "/usr/bin/ls"]
    assert ls.evidence.phases == ("exec",)
    without = learn(shop, options=LearnOptions(include_exec=False))[0]
    assert [rule.value.path for rule in without.rules.execs] == ["/usr/sbin/nginx"]
    assert all("exec" not in rule.evidence.phases for _, rule in without.rules.all())
    assert without.observation == checkout.observation


def test_clusters_digests_and_hosts_of_one_workload_make_one_baseline(tmp_path: Path) -> None:
    pod = {"workload": 1, "kind": "Deployment", "name": "web", "namespace": "a", "container": "c"}
    summaries = [
        summary_of(
            tmp_path,
            manifest={"recording_id": name, "host_id": f"host-{name}"},
            workloads=[pod | {"cluster": f"c{name}", "image_digest": digest}],
            instances=[INSTANCE | {"started": 10**18 + int(name)}],
            syscalls=[MINE | {"nr": nr, "calls": 2}],
        )
        for name, digest, nr in (("1", "sha256:old", 0), ("2", "sha256:new", 0))
    ]
    (baseline,) = learn(merge(summaries))
    assert baseline.subject.cluster is None
    assert baseline.subject.image_digest == "sha256:new"
    assert baseline.observation.image_digests == ("sha256:new", "sha256:old")
    assert baseline.observation.instances == 2
    (rule,) = baseline.rules.syscalls
    assert (rule.evidence.recordings, rule.evidence.instances, rule.evidence.calls) == (2, 2, 4)
    assert len(baseline.inputs) == 2


SEEN = MINE | {"observed_ns": 10**9}


@pytest.mark.parametrize(
    ("tables", "state"),
    [
        ({}, "complete"),
        ({"coverage": [SEEN | {"state": "incomplete"}]}, "partial"),
        ({"coverage": [SEEN | {"state": "blind"}]}, "partial"),
        ({"instances": [INSTANCE | {"observed": "snapshot"}]}, "partial"),
        ({"manifest": {"loader": "bcc"}}, "partial"),
        ({"manifest": {"tier": "light"}}, "partial"),
        ({"manifest": {"clean_end": False}}, "partial"),
        ({"losses": [MINE | {"kind": "quota", "place": "x", "count": 1}]}, "lossy"),
        ({"losses": [{"kind": "ring_full", "place": "x", "count": 1}]}, "lossy"),
        ({"losses": [MINE | {"kind": "quota", "place": "x", "count": 0}]}, "complete"),
        ({"instances": [INSTANCE | {"seccomp_mode": 2}]}, "enforced"),
    ],
)
def test_a_baseline_claims_no_more_than_was_watched(
    tmp_path: Path, tables: dict[str, Any], state: str
) -> None:
    tables = {"coverage": [SEEN]} | tables
    baseline = one(tmp_path, **tables)
    assert baseline.observation.state == state


def test_another_ones_loss_is_not_ours(tmp_path: Path) -> None:
    other = {"workload": 2, "kind": "Unit", "name": "noisy", "container_kind": "none"}
    summary = summary_of(
        tmp_path,
        workloads=[UNIT, other],
        instances=[INSTANCE, {"instance": 2, "workload": 2, "runtime_id": "run-2"}],
        coverage=[SEEN, {"workload": 2, "instance": 2, "observed_ns": 1, "state": "incomplete"}],
        losses=[{"workload": 2, "instance": 2, "kind": "quota", "place": "x", "count": 9}],
    )
    states = {each.subject.name: each.observation.state for each in learn(summary)}
    assert states == {"noisy": "lossy", "web.service": "complete"}


def read_of(path: bytes) -> dict[str, Any]:
    return MINE | {"path": path, "access": int(Access.READ), "calls": 1}


def test_numbers_of_processes_are_widened_and_it_is_said(tmp_path: Path) -> None:
    paths = (b"/proc/1/stat", b"/proc/22/stat", b"/proc/22/task/23/comm", b"/proc/self/stat")
    baseline = one(tmp_path, files=[read_of(path) for path in paths])
    rules = {rule.value.path: rule for rule in baseline.rules.files}
    assert list(rules) == ["/proc/*/stat", "/proc/*/task/*/comm", "/proc/self/stat"]
    widened = rules["/proc/*/stat"].widened_from
    assert widened is not None
    assert (widened.count, widened.examples) == (2, ("/proc/1/stat", "/proc/22/stat"))
    assert rules["/proc/*/stat"].evidence.calls == 2
    assert rules["/proc/self/stat"].widened_from is None


@pytest.mark.parametrize("path", ["/proc/12/stat", "/proc/12", "/proc/12/task/9/x", "/proc/1/task"])
def test_a_widened_path_still_allows_what_was_seen(path: str) -> None:
    (value,) = widened([("files", FileValue(path=path, access="r"))])
    assert isinstance(value, FileValue)
    assert "*" in value.path


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        (f"/run/runc/{'0a' * 32}/state.json", "/run/runc/*/state.json"),
        (f"/sys/fs/cgroup/machine.slice/libpod-{'0a' * 32}.scope/cgroup.procs",
         "/sys/fs/cgroup/machine.slice/libpod-*.scope/cgroup.procs"),
        (f"/var/lib/containers/overlay/{'0a' * 32}/{'1b' * 32}/x",
         "/var/lib/containers/overlay/*/*/x"),
        (f"/run/runc/{'0a' * 31}/state.json", None),
        (f"/run/runc/{'0a' * 33}/state.json", None),
        (f"/opt/app/{'0a' * 32}", None),
    ],
)  # fmt: skip
def test_ids_of_containers_say_nothing_about_the_next_run(path: str, pattern: str | None) -> None:
    (value,) = widened([("files", FileValue(path=path, access="r"))])
    assert value == FileValue(path=pattern or path, access="r")


@pytest.mark.parametrize(
    "path", ["/proc/12x/stat", "/var/proc/12/stat", "/proc/self", "/proc/sys/1", "/proc"]
)
def test_other_paths_are_not_widened(path: str) -> None:
    value = FileValue(path=path, access="r")
    assert widened([("files", value)]) == [value]


def test_temporary_names_become_a_pattern_that_allows_the_next(tmp_path: Path) -> None:
    names = ["1gp9i3ns", "p_7oea0w", "8b4flwbj", "ods1fb5t", "r4unhyr_"]
    created = int(Access.READ | Access.WRITE | Access.CREATE)
    files = [read_of(f"/var/lib/app/state.{name}".encode()) for name in names]
    baseline = one(tmp_path, files=[row | {"access": created} for row in files])
    (rule,) = baseline.rules.files
    assert rule.value.path == "/var/lib/app/state.*"
    assert rule.widened_from is not None
    assert rule.widened_from.count == 5
    tomorrow = FileValue(path="/var/lib/app/state.zz81kq_x", access="rwc")
    assert allows(baseline, "files", tomorrow)
    assert not allows(baseline, "files", tomorrow.model_copy(update={"access": "rx"}))


def test_a_star_in_a_name_is_no_wildcard(tmp_path: Path) -> None:
    baseline = one(tmp_path, files=[read_of(b"/tmp/a*b")])
    (rule,) = baseline.rules.files
    assert rule.value.path == r"/tmp/a\x2ab"
    assert allows(baseline, "files", FileValue(path=r"/tmp/a\x2ab", access="r"))
    assert not allows(baseline, "files", FileValue(path="/tmp/aXb", access="r"))


def test_a_wildcard_ends_at_a_slash(tmp_path: Path) -> None:
    baseline = one(tmp_path, files=[read_of(b"/proc/7/stat")])
    assert allows(baseline, "files", FileValue(path="/proc/8/stat", access="r"))
    assert not allows(baseline, "files", FileValue(path="/proc/8/9/stat", access="r"))
    assert not allows(baseline, "files", FileValue(path="/proc/8/stat", access="rw"))


def test_a_file_may_be_opened_with_all_that_was_seen_at_once(tmp_path: Path) -> None:
    written = read_of(b"/x") | {"access": int(Access.WRITE)}
    baseline = one(tmp_path, files=[read_of(b"/x"), written])
    assert allows(baseline, "files", FileValue(path="/x", access="rw"))
    assert not allows(baseline, "files", FileValue(path="/x", access="rwc"))
    assert not allows(baseline, "files", FileValue(path="/y", access=""))


def test_a_summary_with_a_malformed_key_is_refused(shop: pa.Table) -> None:
    for key in (b"nope", b'["a"]', b"\xff", b"[" * 3000):
        column = pa.array([key] * shop.num_rows, pa.binary())
        broken = shop.set_column(shop.schema.get_field_index("key"), "key", column)
        with pytest.raises(RecordingError) as caught:
            learn(broken)
        assert caught.value.hint


def test_nothing_seen_gives_no_baseline(tmp_path: Path) -> None:
    assert learn(summarize(Recording.open(make_recording(tmp_path / "r")))) == []


@pytest.mark.parametrize(
    ("inputs", "unknown"),
    [
        ([{}], None),
        ([{"tier": "calls"}], ("files", "capabilities", "operations")),
        ([{"tier": "light"}], ("syscalls", "files", "capabilities", "operations")),
        ([{"loader": "bcc"}], ("files", "dns", "capabilities", "operations")),
        ([{"tier": "light"}, {"tier": "calls"}], ("files", "capabilities", "operations")),
        ([{"tier": "light"}, {}], None),
    ],
)
def test_a_baseline_says_what_no_recording_looked_at(
    tmp_path: Path, inputs: list[dict[str, str]], unknown: tuple[str, ...] | None
) -> None:
    summaries = [
        summary_of(
            tmp_path,
            coverage=[SEEN | {"phase": "steady"}],
            manifest={"recording_id": f"recording-{number}"} | manifest,
        )
        for number, manifest in enumerate(inputs)
    ]
    (learnt,) = learn(merge(summaries))
    assert learnt.observation.not_observed == unknown
    assert set(learnt.coverage) == set(DIMENSIONS) - set(unknown or ())
    assert parse_baseline(dump_baseline(learnt)) == learnt
