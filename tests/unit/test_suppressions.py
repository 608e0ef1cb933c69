"""Suppressions: with an owner, a reason and a last day, and never of what watches the watch."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from detector.suppressions import Suppressions
from ethogram.cli.run import run
from ethogram.contracts.suppression_file import (
    Suppression,
    fits,
    load_suppressions,
    parse_suppressions,
)
from ethogram.errors import UsageError
from tests.recordings import START_NS, shop_recording
from tests.replay import Replay
from tests.sinks import make_finding
from tests.telemetry import BASELINES
from tests.unit.test_detector_judge import file_row, write_baselines

pytestmark = pytest.mark.unit

SAID = {"owner": "alice", "reason": "SHOP-12", "expires": date(2026, 11, 30)}
TODAY = date(2026, 11, 23)


def suppressing(*fields: dict[str, Any], today: date = TODAY) -> Suppressions:
    made = Suppressions(Path("s.yaml"), [Suppression.model_validate(SAID | one) for one in fields])
    made.take_day(today)
    return made


def is_hidden(fields: dict[str, Any], **of_finding: Any) -> bool:
    return suppressing(fields).about(make_finding(**of_finding)) is not None


# --- what they match ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"rule": "deviation-execs"},
        {"rule": "deviation-*"},
        {"match": {"kind": "Deployment", "name": "check*", "namespace": "shop"}},
        {"match": {"name": "checkout"}, "exe": "/usr/bin/*", "value": "/usr/bin/dash"},
        {"rule": "deviation-execs", "state": "ok", "dimension": "execs"},
    ],
)
def test_every_field_that_is_there_matches(fields: dict[str, Any]) -> None:
    assert is_hidden(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"rule": "deviation-files"},
        {"match": {"name": "check"}},
        {"match": {"name": "checkout", "kind": "Job"}},
        {"match": {"name": "checkout", "namespace": "mail*"}},
        {"match": {"name": "checkout"}, "exe": "/usr/bin/nginx"},
        {"match": {"name": "checkout"}, "value": "/usr/bin/d"},
        {"rule": "deviation-execs", "state": "rollout"},
        {"rule": "deviation-execs", "phase": "exec"},
        {"rule": "deviation-execs", "dimension": "files"},
    ],
)
def test_one_field_that_does_not_match_is_enough(fields: dict[str, Any]) -> None:
    assert not is_hidden(fields)


def test_all_that_a_finding_stands_for_has_to_match() -> None:
    evidence = {"dimension": "execs", "observed": "2 at once: ..."}
    both = {"values": ({"path": "/opt/a"}, {"path": "/opt/b"})}
    fields = {"rule": "deviation-execs", "value": "/opt/*"}
    assert is_hidden(fields, evidence=evidence | both)
    assert not is_hidden(fields | {"value": "/opt/a"}, evidence=evidence | both)
    assert not is_hidden(fields, evidence=evidence | both | {"more": 1})


@pytest.mark.parametrize(
    ("pattern", "text", "is_so"),
    [
        ("a*", "a", True), ("a*a", "a", False), ("a*a", "aa", True), ("*", "", True),
        ("*b*", "abc", True), ("a*b*c", "abbc", True), ("a*bc*c", "abc", False),
        ("a*b*b", "ab", False), ("**b", "ab", True), ("a.c", "abc", False), ("a*", "b\na", False),
        ("a*c", "a\nc", True),
    ],
)  # fmt: skip
def test_a_star_is_any_characters(pattern: str, text: str, is_so: bool) -> None:
    assert fits(pattern, text) is is_so


def test_what_is_told_of_a_long_path_takes_no_time() -> None:
    # An engine that tries every place for every star takes longer than the universe has.
    assert not fits("/*" * 24 + ".so", "/" * 4096)


def test_tampering_with_the_sensor_is_told_in_any_case() -> None:
    assert not is_hidden({"match": {"name": "checkout"}}, rule="sensor-killed")
    assert not is_hidden({"rule": "*ensor-killed"}, rule="sensor-killed")


def test_it_holds_through_its_last_day_and_is_said_once_to_be_over() -> None:
    known = suppressing({"rule": "deviation-execs"}, today=date(2026, 11, 30))
    assert known.about(make_finding()) is not None
    assert known.newly_over() == ()
    known.take_day(date(2026, 12, 1))
    assert known.about(make_finding()) is None
    assert [one.owner for one in known.newly_over()] == ["alice"]
    assert known.newly_over() == ()
    status = known.status()
    assert status is not None
    assert [one.is_over for one in status.suppressions] == [True]


# --- the file -------------------------------------------------------------------------------------


def written(text: str) -> tuple[Suppression, ...]:
    return parse_suppressions(f"schema: ethogram.suppressions/1\n{text}", source="s.yaml")


def entry(**fields: str) -> str:
    rows = {"owner": "alice", "reason": "why", "expires": '"2027-01-31"'} | fields
    return "suppressions:\n  - " + "\n    ".join(f"{name}: {one}" for name, one in rows.items())


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (entry(), "it names neither a rule nor a workload"),
        (entry(rule='"*"'), "it names neither a rule nor a workload"),
        (entry(rule='"*-*"'), "it names neither a rule nor a workload"),
        (entry(match='{kind: Pod, name: "**"}'), "it names neither a rule nor a workload"),
        (entry(match="{namespace: shop}"), "it names neither a rule nor a workload"),
        (entry(match="{}"), "it says no workload"),
        (entry(rule="sensor-killed"), "tampering with the sensor is never suppressed"),
        (entry(rule="x", expires="soon"), "a day is written like"),
        (entry(rule="x", phase="steadily"), "suppressions.0.phase"),
        (entry(rulle="x", rule="y"), "suppressions.0.rulle`: there is no such field"),
        ("suppressions:\n  - {rule: x, reason: y, expires: 2027-01-01}", "suppressions.0.owner"),
    ],
)
def test_what_is_too_wide_or_malformed_is_refused(text: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        written(text)


def test_a_file_of_another_kind_is_called_by_its_name() -> None:
    with pytest.raises(UsageError, match="is an overlay, not a file of suppressions"):
        parse_suppressions("schema: ethogram.overlay/1\n", source="s.yaml")


# --- in a watch -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shop")
    return write_baselines(shop_recording(place / "rec"), place / "baselines")


@pytest.fixture
def shop(baselines: Path, tmp_path: Path) -> Replay:
    fields = {"rule": "deviation-files", "match": {"name": "checkout"}, "value": "/etc/hosts.*"}
    replay = Replay(baselines, suppressions=suppressing(fields | {"expires": date(2026, 1, 5)}))
    replay.recording(shop_recording(tmp_path / "again"))
    return replay


def test_what_is_suppressed_is_counted_and_not_told(shop: Replay) -> None:
    assert shop.rows(8, files=[file_row("/etc/hosts.deny")]) == []
    assert shop.rows(9, files=[file_row("/etc/hosts.deny", calls=4)]) == []
    assert (shop.judge.findings.total, shop.judge.findings.worst) == (0, None)
    shop.judge.findings.tell_again(START_NS, is_last=True)
    assert shop.findings == []
    status = shop.suppressions.status()
    assert status is not None
    assert (status.suppressed, status.suppressions[0].findings) == (1, 1)
    counted = shop.tally.reading(BASELINES).suppressed
    assert {key: count for key, count in counted.items() if count} == {("deviation", "low"): 1}


def test_what_is_not_suppressed_is_told_beside_it(shop: Replay) -> None:
    (found,) = shop.rows(8, files=[file_row("/etc/hosts.deny"), file_row("/etc/hostname2")])
    assert found.evidence.observed == "/etc/hostname2 (r)"


def test_it_is_told_from_the_day_on_that_the_suppression_is_over(shop: Replay) -> None:
    assert shop.rows(8, files=[file_row("/etc/hosts.deny")]) == []
    shop.suppressions.take_day(date(2026, 1, 6))
    day = 24 * 3600 // 5
    again = {"instance": 1, "workload": 1, "runtime_id": f"{1:064x}"}
    (found,) = shop.rows(day, instances=[again], files=[file_row("/etc/hosts.deny")])
    assert found.rule == "deviation-files"


def test_what_is_told_together_is_looked_at_each_time(baselines: Path, tmp_path: Path) -> None:
    fields = {"rule": "deviation-files", "match": {"name": "checkout"}, "value": "/etc/hosts.*"}
    replay = Replay(baselines, suppressions=suppressing(fields | {"expires": date(2026, 1, 5)}))
    replay.recording(shop_recording(tmp_path / "again"))
    expected = [file_row(f"/etc/hosts.{number}") for number in range(5)]
    assert replay.rows(8, files=expected) == []
    (found,) = replay.rows(9, files=[*expected[1:], file_row("/etc/group2")])
    assert "/etc/group2" in found.evidence.observed


def test_new_suppressions_count_for_what_was_told_before(shop: Replay) -> None:
    (told,) = shop.rows(8, files=[file_row("/etc/group2")])
    shop.suppressions.replace(
        [Suppression.model_validate(SAID | {"rule": told.rule, "value": told.evidence.observed})]
    )
    shop.rows(9, files=[file_row("/etc/group2")])
    shop.judge.findings.tell_again(START_NS, is_last=True)
    assert [one.count for one in shop.findings] == [1]


# --- the command ----------------------------------------------------------------------------------

WHO = ("--owner", "alice", "--reason", "SHOP-12: backup", "--expires", "2999-12-31")


def test_a_finding_becomes_a_suppression_that_hides_it_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one = make_finding(evidence={"dimension": "execs", "observed": "/opt/backup",
                                 "values": ({"path": "/opt/backup"},)})  # fmt: skip
    (tmp_path / "findings.jsonl").write_text(f"{one.line()}\n")
    words = ("suppress", one.fingerprint[:8], "--findings", "findings.jsonl", *WHO)
    assert run([*words]) == 0
    assert "suppress until 2999-12-31: rule `deviation-execs`" in capsys.readouterr().out
    assert run([*words]) == 0
    assert "nothing to add" in capsys.readouterr().err
    known = Suppressions(Path("s"), load_suppressions(tmp_path / "suppressions.yaml"))
    assert known.about(one) is not None
    assert known.about(one.model_copy(update={"rule": "recon-tool"})) is None
    other = one.evidence.model_copy(update={"observed": "/opt/x", "values": None})
    assert known.about(one.model_copy(update={"evidence": other})) is None


def test_what_people_wrote_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    before = f"# ours\nschema: ethogram.suppressions/1\n{entry(rule='recon-tool')}  # nmap\n"
    path.write_text(before)
    assert run(["suppress", make_finding().line(), "--suppressions", str(path), *WHO]) == 0
    assert path.read_text().startswith(before)
    assert [one.rule for one in load_suppressions(path)] == ["recon-tool", "deviation-execs"]


def test_what_is_another_each_time_is_no_part_of_a_suppression(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    one, again = (
        make_finding(evidence={"dimension": "execs", "observed": f"/bin/sh, input from port {port}",
                               "values": ({"path": "/bin/sh"},)})
        for port in (40001, 40002)
    )  # fmt: skip
    assert run(["suppress", one.line(), "--suppressions", str(path), *WHO]) == 0
    assert Suppressions(Path("s"), load_suppressions(path)).about(again) is not None


SEVERAL = {"dimension": "execs", "observed": "5 at once: /bin/a, /bin/b and 3 more", "more": 3,
           "values": ({"path": "/bin/a"}, {"path": "/bin/b"})}  # fmt: skip


def test_of_a_finding_of_several_values_any_is_suppressed_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.yaml"
    words = ("--suppressions", str(path), *WHO, "--any-value")
    assert run(["suppress", make_finding(evidence=SEVERAL).line(), *words]) == 0
    assert [one.value for one in load_suppressions(path)] == [None]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rule": "sensor-killed"}, "tampering with the sensor is never suppressed"),
        ({"workload": {"kind": "Unit", "name": "a*"}}, "no suppression can be for this alone"),
        ({"evidence": SEVERAL}, "the finding stands for 5 values"),
    ],
)
def test_some_findings_get_no_suppression(
    fields: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.yaml"
    line = make_finding(**fields).line()
    assert run(["suppress", line, "--suppressions", str(path), *WHO]) == 2
    assert said in capsys.readouterr().err
    assert not path.exists()
