"""Incidents: findings of one process tree within a minute belong together."""

from __future__ import annotations

from typing import Any

import pytest

from detector.incidents import Incidents
from detector.tally import Tally
from ethogram.cli.findings_screen import Format, incident_block, printer
from ethogram.contracts.finding import Attack, Finding
from ethogram.contracts.finding_parts import FindingProcess, ProcessEntry
from ethogram.contracts.incident import MOST_MEMBERS, Incident
from tests.sinks import HOSTILE, make_finding
from tests.steps import steps
from tests.telemetry import BASELINES

pytestmark = pytest.mark.unit

TREE = ProcessEntry(type="service", exec_id="e0", exe="/usr/sbin/nginx")
SESSION = ProcessEntry(type="exec", exec_id="s0", exe="/usr/bin/bash")
MINUTE = 60 * 10**9
TIME = "2026-11-23T06:00:01.000000Z"


class Told:
    """Incidents that were told, and what tells them."""

    def __init__(self) -> None:
        self.lines: list[Incident] = []
        self.tally = Tally()
        self.incidents = Incidents(self.tally, self.lines.append)

    def take(
        self, number: int, root: ProcessEntry | None = TREE, *, at_ns: int = 0, **fields: Any
    ) -> Finding:
        finding = make_finding(number, **fields)
        process = finding.process and finding.process.model_copy(update={"entry": root})
        finding = finding.model_copy(update={"process": process if root else None})
        return self.incidents.take(finding, first_ns=at_ns, last_ns=at_ns)

    def tell(self, now_ns: int = 0) -> None:
        self.incidents.tell(now_ns, TIME)


@pytest.fixture
def told() -> Told:
    return Told()


def test_findings_of_one_tree_share_an_incident_which_names_those_before(told: Told) -> None:
    first, second = told.take(1), told.take(2)
    assert first.incident == second.incident
    assert first.related is None
    assert second.related == (first.fingerprint,)


def test_a_finding_alone_is_no_incident_to_tell(told: Told) -> None:
    told.take(1)
    told.tell()
    assert told.lines == []
    assert told.incidents.total == 0


def test_an_incident_is_told_once_when_it_grew_with_the_gravest_of_it(told: Told) -> None:
    told.take(1)
    told.take(2, severity="high", title="Shell started by a server", rule="server-shell",
              attack=(Attack(technique="T1190", version="19"),))  # fmt: skip
    told.take(3, severity="low")
    told.tell()
    told.tell()
    (one,) = told.lines
    assert (one.severity, one.title, one.count) == ("high", "Shell started by a server", 3)
    assert [member.severity for member in one.findings] == ["medium", "high", "low"]
    assert {attack.technique for attack in one.attack} == {"T1059.004", "T1190"}
    assert one.root == TREE
    assert Incident.model_validate_json(one.line()) == one


def test_it_is_told_again_when_something_joins_and_counted_again_when_it_gets_graver(
    told: Told,
) -> None:
    told.take(1)
    told.take(2)
    told.tell()
    told.take(3, severity="critical")
    told.tell()
    assert [(one.count, one.severity) for one in told.lines] == [(2, "medium"), (3, "critical")]
    assert told.lines[0].id == told.lines[1].id
    assert told.incidents.total == 1
    counted = told.tally.reading(BASELINES).incidents
    assert {key for key, count in counted.items() if count} == {("medium",), ("critical",)}


def test_after_a_minute_of_silence_another_begins(told: Told) -> None:
    first = told.take(1)
    near = told.take(2, at_ns=MINUTE)
    later = told.take(3, at_ns=2 * MINUTE + 1)
    assert first.incident == near.incident != later.incident
    told.tell(2 * MINUTE + 1)
    assert told.take(4, at_ns=2 * MINUTE + 2).incident == later.incident


def test_what_is_seen_again_keeps_its_incident_open(told: Told) -> None:
    first = told.take(1)
    told.incidents.goes_on(first, MINUTE)
    told.tell(MINUTE + 1)
    assert told.take(2, at_ns=2 * MINUTE).incident == first.incident


def test_a_session_is_not_the_service_and_another_container_is_neither(told: Told) -> None:
    of_service, of_session = told.take(1), told.take(2, SESSION)
    elsewhere = told.take(3, instance_key="another")
    assert len({of_service.incident, of_session.incident, elsewhere.incident}) == 3


def test_what_nobody_is_known_to_have_done_joins_what_its_container_did_last(told: Told) -> None:
    told.take(1)
    of_session = told.take(2, SESSION, at_ns=1)
    assert told.take(3, None, at_ns=2).incident == of_session.incident


def test_what_has_a_process_joins_what_nobody_was_known_to_have_done(told: Told) -> None:
    assert told.take(1, None).incident == told.take(2).incident


def test_what_nobody_was_known_to_have_begun_is_of_the_first_tree_that_joins_it(
    told: Told,
) -> None:
    begun = told.take(1, None)
    assert told.take(2, SESSION).incident == begun.incident
    assert told.take(3).incident != begun.incident
    assert told.take(4, SESSION).incident == begun.incident
    told.tell()
    assert [one.root for one in told.lines] == [SESSION]


def test_ever_more_findings_are_counted_and_the_first_named(told: Told) -> None:
    for number in range(100):
        told.take(number)
    told.tell()
    (one,) = told.lines
    assert (len(one.findings), one.count) == (MOST_MEMBERS, 100)
    assert incident_block(one)[-3] == f"  {'':<8}  and {100 - MOST_MEMBERS} more"


def test_very_many_at_once_cost_each_as_much_as_one_does(told: Told) -> None:
    findings = [make_finding(number) for number in range(600)]
    process = findings[0].process
    assert process is not None

    def of_tree(number: int) -> FindingProcess:
        return process.model_copy(update={"entry": ProcessEntry(type="exec", exec_id=f"{number}")})

    def taken(first: int) -> int:
        some = [
            one.model_copy(update={"process": of_tree(number)})
            for number, one in enumerate(findings[first : first + 200], first)
        ]
        return steps(lambda: [told.incidents.take(one, first_ns=0, last_ns=0) for one in some])

    counted = [taken(first) for first in (0, 200, 400)]
    assert max(counted) < 1.02 * min(counted)


def test_of_very_many_trees_the_last_are_open_and_those_before_were_told(told: Told) -> None:
    for number in range(2100):
        tree = ProcessEntry(type="exec", exec_id=f"{number}")
        told.take(1, tree, at_ns=number)
        told.take(2, tree, at_ns=number)
    assert len(told.lines) >= 1000
    told.tell(2100)
    assert len({one.id for one in told.lines}) == 2100
    last = told.take(3, ProcessEntry(type="exec", exec_id="2099"), at_ns=2100)
    assert last.related is not None


def show(incident: Incident, output_format: Format = "text") -> None:
    made = printer(output_format)
    made.show_incident(incident)
    made.settle()


def test_text_leads_with_the_incident_whose_lines_small_findings_are(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printer("text")
    for number, severity in enumerate(("low", "high", "low")):
        text.show(told.take(number, severity=severity, title=f"A {severity} one"))
    told.tell()
    text.show_incident(told.lines[-1])
    assert capsys.readouterr().out == ""
    text.settle()
    heads = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert [line for line in heads if line] == [
        "HIGH  Incident: A high one, one of 3 findings", "HIGH  A high one",
    ]  # fmt: skip


def test_an_incident_is_a_block_with_its_findings(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    told.take(1)
    told.take(2, severity="high", title="Server shell")
    told.tell()
    show(told.lines[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "HIGH  Incident: Server shell, one of 2 findings"
    assert any(line.startswith("  tree of   /usr/sbin/nginx, ") for line in lines)
    shown = [line.split()[0] for line in lines if ", finding " in line]
    assert shown == ["high", "medium"]


def test_an_incident_that_grew_names_in_text_what_is_new(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        told.take(number)
    told.tell()
    for number in range(2, MOST_MEMBERS + 5):
        told.take(number)
    told.tell()
    first, second = told.lines
    text = printer("text")
    text.show_incident(first)
    text.settle()
    assert capsys.readouterr().out.count(", finding ") == 2
    text.show_incident(second)
    text.settle()
    lines = capsys.readouterr().out.splitlines()
    assert "  before    2 findings of it" in lines
    assert sum(", finding " in line for line in lines) == MOST_MEMBERS - 2
    assert f"  {'':<8}  and 5 more" in lines


def test_an_incident_is_a_line_of_json_elsewhere(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    told.take(1, title=HOSTILE)
    told.take(2)
    told.tell()
    show(told.lines[0], "jsonl")
    (line,) = capsys.readouterr().out.splitlines()
    assert Incident.model_validate_json(line) == told.lines[0]
