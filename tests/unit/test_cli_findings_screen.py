"""Findings as they are printed: blocks, JSON lines, and what is hostile in them."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any, get_args

import pytest

from ethogram.cli import findings_screen
from ethogram.cli.findings_screen import block, printer, repeat
from ethogram.cli.watch import SEVERITIES
from ethogram.contracts import finding as contract
from ethogram.contracts.baseline import Subject, SyscallValue
from ethogram.contracts.finding import Finding, FindingEvidence
from tests.sinks import WHOLE

pytestmark = pytest.mark.unit

CHECKOUT = Subject(namespace="shop", kind="Deployment", name="checkout", container="nginx")
FINDING: dict[str, Any] = {
    "time": "2026-11-23T06:00:02.000000Z",
    "fingerprint": "0" * 32,
    "layer": "deviation",
    "rule": "deviation-execs",
    "title": "Shell outside the baseline",
    "reason": "the baseline never starts it, and it runs whatever it is told",
    "severity": "medium",
    "attack": [
        {"technique": "T1059.004", "version": "19"},
        {"technique": "T1105", "version": "19"},
    ],
    "workload": CHECKOUT,
    "instance_key": "host/3f2a9c81d0b4ffee",
    "container_id": "3f2a9c81d0b4ffee",
    "process": {
        "exec_id": "e1",
        "pid": 4711,
        "exe": "/bin/sh",
        "argv": ["sh", "-c", "id; echo 'x'", r"\x1b[2J"],
        "ancestry": [
            {"exec_id": "e2", "exe": "/usr/sbin/nginx"},
            {"exec_id": "e3", "exe": "/docker-entrypoint.sh"},
        ],
    },
    "evidence": {
        "dimension": "execs",
        "observed": "/bin/sh",
        "expected": ["/usr/sbin/nginx", "/usr/bin/env"],
    },
    "state": "degraded",
    "workload_state": "degraded",
    "phase": "exec",
    "baseline": "checkout.baseline.yaml",
    "first_seen": "2026-11-23T06:00:01.250000Z",
    "last_seen": "2026-11-23T06:00:01.750000Z",
    "count": 3,
}
GOLDEN = r"""MEDIUM  Shell outside the baseline
  why       the baseline never starts it, and it runs whatever it is told
  seen      execs: /bin/sh, 2026-11-23 06:00:01 UTC
  nearest   /usr/sbin/nginx, /usr/bin/env
  process   /bin/sh, pid 4711: sh -c 'id; echo '"'"'x'"'"'' '\x1b[2J'
            <- /usr/sbin/nginx <- /docker-entrypoint.sh
  workload  shop/Deployment/checkout (nginx), container 3f2a9c81d0b4, phase exec
  rule      deviation-execs, T1059.004 T1105 of ATT&CK 19, baseline `checkout.baseline.yaml`
  finding   000000000000
  state     degraded: events were lost: there may be more
  count     3 until 2026-11-23 06:00:01 UTC
"""


def shower(output_format: Any, told: Any = ()) -> Callable[[Finding], None]:
    """Return what prints a finding that belongs to no incident."""
    made = printer(output_format, told)

    def show(one: Finding) -> None:
        made.show(one)
        made.settle()

    return show


def finding(**fields: Any) -> Finding:
    return Finding.model_validate(FINDING | fields)


def test_whose_it_is_and_how_it_came_in_has_a_line_where_it_is_known() -> None:
    lines = block(finding(process=WHOLE["process"], workload=WHOLE["workload"]))
    assert (
        "  user      uid 33, effective 0, login uid 1000, session 3, entered by exec: "
        "/usr/bin/dash, pid 4710, on a terminal" in lines
    )
    assert any(", pid 4711 or another of 3: sh -c" in line for line in lines)
    image = "  image     registry.example:5000/shop/nginx:1.27, sha256:aaaaaaaaaaaa"
    assert image in lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_finding_is_told_in_a_block() -> None:
    assert "\n".join(block(finding())) + "\n" == GOLDEN


def test_what_a_finding_lacks_is_left_out_or_said() -> None:
    lines = block(
        finding(
            process=None, container_id=None, baseline=None, count=1, workload_state="ok",
            evidence={"dimension": "syscalls", "observed": "ptrace"}, attack=[],
        )
    )  # fmt: skip
    assert lines[1:] == [
        "  why       the baseline never starts it, and it runs whatever it is told",
        "  seen      syscalls: ptrace, 2026-11-23 06:00:01 UTC",
        "  process   not known",
        "  workload  shop/Deployment/checkout (nginx), phase exec",
        "  rule      deviation-execs",
        "  finding   000000000000",
    ]


def test_what_one_value_has_in_its_place_is_said_and_nothing_of_many_or_without_a_baseline() -> (
    None
):
    evidence = {"dimension": "capabilities", "observed": "CAP_CHOWN"}
    one, two = ({"name": "CAP_CHOWN"},), ({"name": "CAP_CHOWN"}, {"name": "CAP_KILL"})
    line = "  nearest   nothing in the baseline is like it"
    assert line in block(finding(evidence={**evidence, "values": one}))
    assert line not in block(finding(evidence={**evidence, "values": two}))
    assert line not in block(finding(evidence={**evidence, "values": one}, baseline=None))


def test_an_indicator_says_that_it_is_one_and_expects_nothing() -> None:
    lines = block(
        finding(
            layer="indicator",
            rule="shell-on-socket",
            evidence={"dimension": "execs", "observed": "/bin/sh", "p_value": 0.000123},
        )
    )
    assert not any(line.startswith("  nearest") for line in lines)
    assert "  p-value   0.000123" in lines
    assert any(
        line.startswith("  rule      indicator shell-on-socket, T1059.004") for line in lines
    )


def test_every_state_but_ok_is_explained() -> None:
    for state in get_args(contract.WorkloadState):
        said = [line for line in block(finding(workload_state=state)) if "  state" in line]
        assert bool(said) == (state != "ok")


def test_what_goes_on_is_told_again_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show = shower("text")
    show(finding())
    show(finding(count=23, last_seen="2026-11-23T06:01:02.000000Z"))
    assert capsys.readouterr().out == (
        GOLDEN + "\nagain medium: Shell outside the baseline: /bin/sh, "
        "shop/Deployment/checkout (nginx): 23 times until 2026-11-23 06:01:02 UTC, "
        "finding 000000000000\n"
    )
    assert "1 time until 2026-11-23 06:00:01 UTC," in repeat(finding(count=1))


def test_what_a_watch_before_told_goes_on_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shower("text", {finding().fingerprint: None})(finding(count=2))
    assert capsys.readouterr().out.startswith("again medium: Shell outside the baseline: /bin/sh")


def test_a_system_call_is_like_no_other() -> None:
    value = SyscallValue(arch="x86_64", nr=59, name="execve")
    evidence = FindingEvidence(
        dimension="syscalls", observed="execve", expected=(), values=(value,)
    )
    assert not [line for line in block(finding(evidence=evidence)) if "nearest" in line]


def test_json_lines_are_whole_findings(capsys: pytest.CaptureFixture[str]) -> None:
    show = shower("jsonl")
    for count in (3, 4):
        show(finding(count=count))
    lines = capsys.readouterr().out.splitlines()
    assert [Finding.model_validate_json(line) for line in lines] == [finding(), finding(count=4)]


@pytest.mark.parametrize(
    ("stream", "wanted"), [(io.StringIO, "json"), (Terminal, "text")], ids=["pipe", "terminal"]
)
def test_without_a_format_a_terminal_gets_text_and_a_pipe_json(
    stream: Callable[[], io.StringIO], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    shower(None)(finding())
    assert out.getvalue().startswith("{") is (wanted == "json")
    assert "Shell outside the baseline" in out.getvalue()


def test_colours_are_for_terminals_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shower("text")(finding())
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    shower("text")(finding())
    first, *rest = out.getvalue().split("\n")
    assert "\x1b[" in first
    assert "\x1b" not in "".join(rest)
    assert "\n".join(rest) == GOLDEN.partition("\n")[2] + "\n"


def test_a_hostile_text_stays_on_its_line_and_is_no_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = "\x1b[2J\n[bold]\u202e"
    shower("text")(finding(title=evil, reason=evil))
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == len(GOLDEN.split("\n")) + 1
    assert all(line.isprintable() for line in lines)
    assert "[bold]" in lines[0]


def test_a_text_that_is_long_is_cut_on_the_screen_and_whole_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "/" + "x" * 20_000
    process = FINDING["process"] | {"argv": ["cat", long]}
    one = finding(process=process, evidence={"dimension": "files", "observed": long})
    shower("text")(one)
    lines = [*capsys.readouterr().out.splitlines(), repeat(one)]
    assert max(map(len, lines)) < 1_300
    assert sum("... and 19," in line and "characters more" in line for line in lines) == 3
    shower("jsonl")(one)
    assert Finding.model_validate_json(capsys.readouterr().out) == one


def test_every_severity_has_a_style() -> None:
    assert SEVERITIES == contract.SEVERITIES
    for severity in SEVERITIES:
        assert severity in findings_screen._STYLES
