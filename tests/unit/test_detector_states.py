"""States: what each one needs, which one goes first, and when a loss is over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from detector.library import Known, subject_of
from detector.states import DEVIATING_S, HEALED_AFTER, StateChange, States, judge
from detector.thinness import EVERYTHING, thinness
from detector.visibility import Visibility, loss_words, visibilities
from ethogram.contracts.baseline import Baseline, Coverage
from ethogram.contracts.columns import batch_of
from ethogram.contracts.keys import workload_key_of
from ethogram.contracts.tables import TABLES
from tests.baselines import make_baseline

START_NS = 1_795_413_600 * 10**9  # 2026-11-23 06:00 UTC

pytestmark = pytest.mark.unit

DIGEST, NEW_DIGEST = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
WHY = "files: more than its share"
SETTLED = Coverage(f1=0, f2=0, windows=50, unseen=0, low=0, high=0.1)
RESTLESS = Coverage(f1=9, f2=2, windows=50, unseen=0.18, low=0.08, high=0.34)
WORKLOAD: dict[str, Any] = {
    "workload": 0, "cluster": None, "namespace": "shop", "kind": "Deployment", "name": "checkout",
    "container": "nginx", "container_kind": "main", "image": "nginx:1.27", "image_digest": DIGEST,
    "labels": [], "selector": [("app", "checkout")], "source": "cri", "state": "resolved",
}  # fmt: skip
CLEAR = Visibility(has_filter=True)
LOSSY = Visibility(lost=3)


def baseline(*, state: str = "complete", **coverage: Coverage) -> Baseline:
    one = make_baseline("read", state=state, coverage=coverage or {"syscalls": SETTLED})
    seen = one.observation.model_copy(update={"image_digests": (DIGEST,)})
    return one.model_copy(update={"observation": seen})


def without_a_look_at(*dimensions: str) -> Baseline:
    one = baseline(state="partial")
    seen = one.observation.model_copy(update={"not_observed": dimensions})
    return one.model_copy(update={"observation": seen})


def known(one: Baseline | None = None) -> Known:
    one = one or baseline()
    return Known.of(Path("b.baseline.yaml"), one)


def table(name: str, *rows: dict[str, Any]) -> pa.Table:
    columns = {key: [row[key] for row in rows] for key in (rows[0] if rows else {})}
    schema = TABLES[name].arrow_schema()
    return pa.Table.from_batches([batch_of(TABLES[name], columns)] if rows else [], schema)


# --- what each state needs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "options", "state", "reason"),
    [
        (CLEAR, {}, "ok", "everything was seen"),
        (LOSSY, {}, "degraded", "3 events of it lost in a window"),
        (Visibility(unowned=1), {}, "degraded", "1 event lost in a window, nobody knows whose"),
        (Visibility(is_blind=True), {}, "blind", "the kernel refused a program"),
        (CLEAR, {"refused": ["cap_used"]}, "blind", "refused the program `cap_used`, so"),
        (CLEAR, {"refused": ["a", "b", "c"]}, "blind", "the program `a` and 2 more, so"),
        (CLEAR, {"sees_denied": False}, "blind", "does not see which"),
        (Visibility(), {"sees_denied": False}, "ok", "everything was seen"),
        (CLEAR, {"unseen": ("syscalls", "files")}, "degraded", "at: system calls and files"),
        (Visibility(is_blind=True), {"unseen": ("files",)}, "blind", "the kernel refused"),
    ],
)
def test_a_state_and_its_reason(
    seen: Visibility, options: dict[str, Any], state: str, reason: str
) -> None:
    judged = judge(WORKLOAD, known(), seen, **options)
    assert judged.state == state
    assert reason in judged.reason


def test_without_a_baseline_the_state_is_unknown() -> None:
    assert judge(WORKLOAD, None, LOSSY).state == "unknown"
    assert judge(WORKLOAD, None, CLEAR).reason == "no baseline is for it"
    assert "still to come" in judge(WORKLOAD | {"state": "pending"}, None, CLEAR).reason


def test_baselines_that_apply_equally_are_named() -> None:
    judged = judge(WORKLOAD, None, CLEAR, rivals=(known(), known()))
    assert judged.state == "unknown"
    assert "`b.baseline.yaml` and `b.baseline.yaml` apply equally" in judged.reason


@pytest.mark.parametrize(
    ("digest", "state"), [(DIGEST, "ok"), (NEW_DIGEST, "rollout"), (None, "ok")]
)
def test_a_digest_that_was_not_learnt_is_a_rollout(digest: str | None, state: str) -> None:
    assert judge(WORKLOAD | {"image_digest": digest}, known(), CLEAR).state == state


def test_a_baseline_that_saw_no_digest_knows_no_rollout() -> None:
    one = make_baseline("read", coverage={"syscalls": SETTLED})
    assert judge(WORKLOAD | {"image_digest": NEW_DIGEST}, known(one), CLEAR).state == "ok"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (baseline(state="partial"), "from part of its life"),
        (baseline(state="lossy"), "lost events"),
        (without_a_look_at("syscalls", "files"), "without a look at system calls and files"),
        (baseline(syscalls=RESTLESS), "new system calls are expected"),
        (baseline(execs=RESTLESS, syscalls=SETTLED), "new executables are expected"),
        (baseline(syscalls=SETTLED.model_copy(update={"windows": 1})), "too few windows"),
        (make_baseline("read"), "too few windows"),
    ],
)
def test_a_thin_baseline_is_still_learning(one: Baseline, reason: str) -> None:
    judged = judge(WORKLOAD, known(one), CLEAR)
    assert judged.state == "learning"
    assert reason in judged.reason
    assert judged.unsettled == EVERYTHING


def test_a_filter_does_not_hide_that_events_were_lost() -> None:
    one = baseline(state="enforced")
    lossy = one.observation.model_copy(update={"losses": {"quota": 3}})
    assert thinness(one) is None
    assert "lost events" in str(thinness(one.model_copy(update={"observation": lossy})))


def test_one_value_seen_once_leaves_a_baseline_settled() -> None:
    once = Coverage(f1=1, f2=0, windows=50, unseen=0.02, low=0, high=0.1)
    assert thinness(baseline(execs=once, syscalls=once, files=once)) is None


def test_new_code_leaves_nothing_settled_and_new_files_nothing_else() -> None:
    files = thinness(baseline(execs=SETTLED, files=RESTLESS, dns=RESTLESS))
    assert files is not None
    assert files.dimensions == {"files", "dns"}
    assert "new files and names asked for by DNS are expected" in files.reason
    code = thinness(baseline(execs=RESTLESS, files=SETTLED))
    assert code is not None
    assert code.dimensions == EVERYTHING


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"reasons": ("short",), "steady_seconds": 75.0}, "steady for 75 s of at least 300 s"),
        ({"reasons": ("no-steady",)}, "never steady"),
        ({"reasons": None, "allowed": ("thin",)}, "was told to allow it"),
    ],
)
def test_what_learn_was_told_to_allow_as_thin_is_thin_in_everything(
    update: dict[str, Any], words: str
) -> None:
    one = baseline()
    seen = one.observation.model_copy(update=update)
    thin = thinness(one.model_copy(update={"observation": seen}))
    assert thin is not None
    assert words in thin.reason
    assert thin.dimensions == EVERYTHING


def test_learnt_under_a_filter_it_may_do_more_without_one() -> None:
    enforced = known(baseline(state="enforced"))
    assert judge(WORKLOAD, enforced, Visibility(has_filter=True)).state == "ok"
    assert judge(WORKLOAD, enforced, Visibility()).state == "ok"
    without = judge(WORKLOAD, enforced, Visibility(has_none=True))
    assert (without.state, without.reason) == (
        "learning",
        "it was learnt under a seccomp filter and now runs without one",
    )


def test_the_gravest_state_goes_first() -> None:
    worst: dict[str, Any] = {
        "workload": WORKLOAD | {"image_digest": NEW_DIGEST},
        "known": known(baseline(state="partial")),
        "seen": Visibility(lost=1, is_blind=True),
    }
    relieved = [
        {"known": None},
        {},
        {"seen": LOSSY},
        {"seen": CLEAR},
        {"seen": CLEAR, "workload": WORKLOAD},
        {"seen": CLEAR, "workload": WORKLOAD, "known": known()},
    ]
    found = [judge(**(worst | change)).state for change in relieved]
    assert found == ["unknown", "blind", "degraded", "rollout", "learning", "ok"]


# --- over time ------------------------------------------------------------------------------------


def update(states: States, seen: Visibility, number: int = 0, **row: Any) -> StateChange | None:
    return states.update(WORKLOAD | row, known(), seen, now_ns=START_NS + number * 10**9)


def test_a_change_is_told_once_with_what_it_was_before() -> None:
    states = States()
    first = update(states, CLEAR, 1)
    assert first == StateChange(
        workload_key=workload_key_of(WORKLOAD),
        subject=subject_of(WORKLOAD),
        before=None,
        after="ok",
        reason="everything was seen",
        baseline=Path("b.baseline.yaml"),
        time="2026-11-23T06:00:01.000000Z",
    )
    assert update(states, CLEAR, 2) is None
    worse = update(states, LOSSY, 3)
    assert worse is not None
    assert (worse.before, worse.after) == ("ok", "degraded")
    assert worse.time == "2026-11-23T06:00:03.000000Z"
    assert update(states, LOSSY, 4) is None


def test_a_loss_is_over_after_some_windows_without_one() -> None:
    states = States()
    update(states, LOSSY)
    for number in range(1, HEALED_AFTER):
        assert update(states, CLEAR, number) is None
    before = states.of(workload_key_of(WORKLOAD))
    assert before is not None
    assert (before.state, before.reason) == ("degraded", "events were lost 4 windows ago")
    healed = update(states, CLEAR, 9)
    assert healed is not None
    assert (healed.before, healed.after) == ("degraded", "ok")


def test_another_loss_begins_the_waiting_anew() -> None:
    states = States()
    for _ in range(3):
        update(states, LOSSY)
        for _ in range(HEALED_AFTER - 1):
            assert update(states, CLEAR) is None


def test_a_new_image_is_a_workload_of_its_own() -> None:
    states = States()
    update(states, CLEAR)
    change = update(states, CLEAR, image_digest=NEW_DIGEST)
    assert change is not None
    assert (change.before, change.after) == (None, "rollout")


def test_what_is_gone_begins_anew() -> None:
    states = States()
    update(states, LOSSY)
    states.forget(workload_key_of(WORKLOAD))
    assert states.of(workload_key_of(WORKLOAD)) is None
    change = update(states, CLEAR)
    assert change is not None
    assert (change.before, change.after) == (None, "ok")


def test_the_programs_that_the_kernel_refused_hold_for_every_window() -> None:
    change = update(States(refused=["cap_used"]), CLEAR)
    assert change is not None
    assert change.after == "blind"


def test_ten_minutes_without_a_finding_are_over_by_the_clock_alone() -> None:
    states, key = States(), workload_key_of(WORKLOAD)
    update(states, CLEAR)
    states.deviated(key, START_NS)
    update(states, CLEAR, 1)

    def pass_time(number: int) -> StateChange | None:
        return states.pass_time(WORKLOAD, known(), key=key, now_ns=START_NS + number * 10**9)

    assert pass_time(DEVIATING_S - 1) is None
    change = pass_time(DEVIATING_S)
    assert change is not None
    assert (change.before, change.after) == ("deviating", "ok")
    assert pass_time(DEVIATING_S + 1) is None


# --- from the tables ------------------------------------------------------------------------------


def covered(workload: int, *, phase: str = "steady", state: str = "complete") -> dict[str, Any]:
    return {
        "window": 7, "workload": workload, "instance": workload + 10, "phase": phase,
        "observed_ns": 1, "execs": 0, "connects": 0, "state": state,
    }  # fmt: skip


def lost(workload: int | None, count: int) -> dict[str, Any]:
    return {"window": 7, "workload": workload, "kind": "quota", "place": "files", "count": count}


def instance(workload: int, mode: int | None) -> dict[str, Any]:
    return {
        "instance": workload + 10, "workload": workload, "runtime_id": "r", "cgroup_id": 1,
        "started": 0, "observed": "live", "seccomp_mode": mode,
    }  # fmt: skip


def test_losses_belong_to_whose_they_are_or_to_everybody() -> None:
    seen = visibilities(
        table("coverage", covered(0), covered(1, state="incomplete"), covered(2, state="blind")),
        table("losses", lost(1, 2), lost(1, 3), lost(None, 4), lost(9, 9)),
        table("instances", instance(0, None), instance(1, None), instance(2, None)),
    )
    assert seen == {
        0: Visibility(unowned=4, why=WHY),
        1: Visibility(lost=5, unowned=4, why=WHY),
        2: Visibility(unowned=4, why=WHY, is_blind=True),
    }


def test_containers_that_nobody_knows_by_name_degrade_nobody_who_has_one() -> None:
    nameless = lost(None, 9) | {"kind": "unresolved", "place": "workloads"}
    seen = visibilities(
        table("coverage", covered(0, state="incomplete")),
        table("losses", nameless),
        table("instances", instance(0, None)),
    )
    assert seen == {0: Visibility()}


def test_what_was_lost_is_said_with_why_and_stays_said_until_it_is_healed() -> None:
    states = States()
    change = update(states, Visibility(lost=3, why=WHY))
    assert change is not None
    assert change.reason == f"3 events of it lost in a window ({WHY})"
    update(states, CLEAR, 1)
    now = states.of(workload_key_of(WORKLOAD))
    assert now is not None
    assert now.reason == f"events were lost 1 window ago ({WHY})"


def test_the_places_that_lost_most_are_named_first() -> None:
    lost_of = Counter({(kind, "files"): 9 - n for n, kind in enumerate(["quota", "a", "b", "c"])})
    assert loss_words(lost_of) == "files: more than its share; files: a; files: b and 1 more"


def test_filters_are_judged_once_the_workload_itself_runs() -> None:
    seen = visibilities(
        table("coverage", covered(0, phase="runtime"), covered(1), covered(2), covered(3)),
        table("losses"),
        table("instances", instance(0, 0), instance(1, 0), instance(2, 2), instance(3, None)),
    )
    assert seen == {
        0: Visibility(),
        1: Visibility(has_none=True),
        2: Visibility(has_filter=True),
        3: Visibility(),
    }


def test_who_strayed_is_deviating_for_ten_minutes() -> None:
    states = States()
    update(states, CLEAR)
    states.deviated(workload_key_of(WORKLOAD), START_NS)
    found = update(states, CLEAR, 5)
    assert found is not None
    assert (found.before, found.after) == ("ok", "deviating")
    assert found.time == "2026-11-23T06:00:05.000000Z"
    assert update(states, CLEAR, DEVIATING_S - 1) is None
    states.deviated(workload_key_of(WORKLOAD), START_NS + 60 * 10**9)
    assert update(states, CLEAR, DEVIATING_S + 59) is None
    found = update(states, CLEAR, DEVIATING_S + 60)
    assert found is not None
    assert (found.before, found.after) == ("deviating", "ok")


def test_who_strayed_before_the_first_window_ended_is_deviating_from_its_end_on() -> None:
    states = States()
    states.deviated(workload_key_of(WORKLOAD), START_NS)
    found = update(states, CLEAR, 1)
    assert found is not None
    assert (found.before, found.after) == (None, "deviating")


def test_what_is_not_seen_goes_before_what_strayed() -> None:
    states = States()
    update(states, CLEAR)
    states.deviated(workload_key_of(WORKLOAD), START_NS)
    found = update(states, Visibility(lost=1), 1)
    assert found is not None
    assert found.after == "degraded"


def test_a_subject_is_written_as_baselines_write_it() -> None:
    subject = subject_of(WORKLOAD | {"name": "a\\x1bb", "cluster": None})
    assert subject.name == r"a\x5cx1bb"
    assert (subject.cluster, subject.namespace) == (None, "shop")
    assert subject.selector == {"app": "checkout"}
