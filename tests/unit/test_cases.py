"""The harness of the cases: how findings are scored, and that what it keeps fits together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ethogram.contracts.baseline import Subject
from ethogram.contracts.finding import Attack, Finding, FindingEvidence, Severity, fingerprint_of
from tests.cases.catalogue import Case, Expectation, Kind, all_cases, learnt_cases
from tests.cases.report import MARKER, Noise, kept_of, load_kept, markdown, noise_of
from tests.cases.scoring import Outcome, Result, Told, Whereabouts, percentile, score, totals
from tests.cases.waiting import Mark

pytestmark = pytest.mark.unit

DOCUMENT = Path(__file__).parents[2] / "docs" / "cases.md"
HERE = Whereabouts("Deployment", "cases-c", "cases-x", "app", "c" * 64)
START = 1_000_000_000
NOW = "2026-01-01T00:00:00Z"


def case(expect: Expectation = "finding", techniques: tuple[str, ...] = ("T1003.008",),
         kind: Kind = "c") -> Case:  # fmt: skip
    return Case("X", "a case", techniques, kind, "true", expect)


def told(
    *techniques: str, after_ms: float = 500, severity: Severity = "high", rule: str = "rule",
    container: str | None = "c" * 64, instance: str = "host/" + "c" * 64,
    subject: Subject | None = None,
) -> Told:  # fmt: skip
    finding = Finding(
        schema="ethogram.finding/1", time=NOW, fingerprint=fingerprint_of([rule]),
        layer="indicator", rule=rule, title="title", reason="reason", severity=severity,
        attack=tuple(Attack(technique=name, version="19") for name in techniques),
        workload=subject
        or Subject(namespace="cases-x", kind="Deployment", name="cases-c", container="app"),
        instance_key=instance, container_id=container,
        evidence=FindingEvidence(dimension="files", observed="/etc/|shadow"), state="ok",
        workload_state="ok", phase="steady", first_seen=NOW, last_seen=NOW, count=1,
    )  # fmt: skip
    return Told(START + int(after_ms * 1e6), finding)


def scored(case: Case, *lines: Told, problem: str | None = None) -> Result:
    outcome = Outcome(case, HERE, Mark(START, START + 10, 0), problem)
    (result,) = score([outcome], lines)
    return result


def test_the_right_technique_on_the_right_workload_is_found() -> None:
    result = scored(case(), told("T1059"), told("T1003.008", after_ms=700, rule="sensitive"))
    assert (result.verdict, result.technique, result.is_right_workload) == ("found", "right", True)
    assert result.latency_ms == 700
    assert result.rules == ("rule", "sensitive")


@pytest.mark.parametrize(
    ("wanted", "said", "technique", "verdict"),
    [
        ("T1003.008", "T1003", "parent", "partial"),
        ("T1003.008", "T1003.007", "wrong", "partial"),
        ("T1003", "T1003.008", "right", "found"),
        ("T1070.002", "T1685.006", "right", "found"),
    ],
)
def test_a_technique_is_as_near_as_its_number_says(
    wanted: str, said: str, technique: str, verdict: str
) -> None:
    result = scored(case(techniques=(wanted,)), told(said))
    assert (result.technique, result.verdict) == (technique, verdict)


def test_where_no_technique_is_expected_any_will_do() -> None:
    assert scored(case(techniques=()), told()).verdict == "found"


def test_what_is_told_of_another_workload_is_half_found() -> None:
    other = Subject(namespace="cases-y", kind="Deployment", name="cases-c", container="app")
    result = scored(case(), told("T1003.008", subject=other))
    assert (result.verdict, result.is_right_workload) == ("partial", False)


def test_a_case_without_an_alert_is_missed_or_silent() -> None:
    info = told("T1003.008", severity="info")
    assert scored(case(), info).verdict == "missed"
    assert scored(case("silent"), info).verdict == "silent"
    assert scored(case("info"), info).verdict == "silent"


@pytest.mark.parametrize("expect", ["silent", "info"])
def test_an_alert_on_a_benign_case_is_false(expect: Expectation) -> None:
    assert scored(case(expect), told(severity="low")).verdict == "false"


def test_an_alert_from_before_the_script_is_not_the_cases() -> None:
    assert scored(case(), told("T1003.008", after_ms=-1)).verdict == "missed"


def test_an_alert_of_another_container_is_not_the_cases() -> None:
    line = told("T1003.008", container="d" * 64, instance="host/" + "d" * 64)
    assert scored(case(), line).verdict == "missed"
    by_instance = told("T1003.008", container=None)
    assert scored(case(), by_instance).verdict == "found"


def test_a_case_that_could_not_run_is_said() -> None:
    result = scored(case(), told("T1003.008"), problem="status 127: nmap: command not found")
    assert (result.verdict, result.problem) == ("not run", "status 127: nmap: command not found")
    (never,) = score([Outcome(case(), HERE, None, "runc could not start it")], [])
    assert never.verdict == "not run"


def test_cases_of_one_host_service_are_told_apart_by_time() -> None:
    where = Whereabouts("Unit", "cases-host.service", None, None, None)
    unit = Subject(kind="Unit", name="cases-host.service")
    first, second = (
        Outcome(case(techniques=("T1611",), kind="host"), where, Mark(START + at, START + at, 0))
        for at in (0, 4_000_000_000)
    )
    line = told("T1611", after_ms=4500, container=None, instance="host/unit", subject=unit)
    assert [result.verdict for result in score([first, second], [line])] == ["missed", "found"]


def test_totals_count_verdicts_and_rank_latencies() -> None:
    results = [scored(case(), told("T1003.008", after_ms=ms)) for ms in (100, 300, 200)]
    total = totals([*results, scored(case())])
    assert (total.count, total.verdicts) == (4, {"found": 3, "missed": 1})
    assert (total.median_ms, total.p99_ms) == (200, 300)
    assert percentile([], 50) is None


def test_noise_is_what_is_told_of_the_service_alone() -> None:
    lines = [told(), told(severity="info"), told(container="d" * 64)]
    noise = noise_of(["c" * 64], 60, lines)
    assert (noise.alerts, noise.info) == (("high rule: /etc/|shadow",), 1)


def test_the_table_holds_a_hostile_text_in_its_cell() -> None:
    hostile = Case("X", "a | b\n<img>", (), "c", "true", "finding")
    text = markdown([scored(hostile, told())], Noise(1, 60, ("a|b",), 0), kernel="6")
    assert r"| X | a \| b\x0a&lt;img> | c |" in text
    assert r"- a\|b" in text


def test_the_cases_given_and_our_own_have_scripts_that_run_something() -> None:
    cases = all_cases()
    assert len(cases) >= 64
    assert [one.id for one in cases if not one.script and one.kind != "host_runcexec"] == []
    assert {one.expect for one in learnt_cases()} == {"silent"}
    assert {one.kind for one in learnt_cases()} <= {"c", "host_runcexec"}


def test_the_table_in_the_documents_is_the_one_that_is_kept() -> None:
    _, marker, table = DOCUMENT.read_text().partition(MARKER)
    assert marker
    rows = re.findall(r"^\| ([A-Z]\d+) \|.*?\| (?:finding|silent|info) \| \**([a-z ]+?)\** \|",
                      table, re.MULTILINE)  # fmt: skip
    assert [name for name, _ in rows] == [one.id for one in all_cases()]
    kept = load_kept()
    silent_ones = {one.id for one in all_cases() if one.expect != "finding"}
    assert [name for name, verdict in rows if verdict == "found"] == kept["found"]
    quiet = [name for name, verdict in rows if verdict == "silent" and name in silent_ones]
    assert quiet == kept["silent"]


def test_what_is_kept_is_what_went_as_it_should() -> None:
    results = [scored(case(), told("T1003.008")), scored(case()), scored(case("silent"))]
    assert json.dumps(kept_of(results)) == '{"found": ["X"], "silent": ["X"]}'
