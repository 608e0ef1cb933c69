"""What an export says of many baselines: once, with whom it is about, the worst last."""

import pytest

from ethogram.cli.export_findings import Found, say_findings
from exporters.protocol import Finding

pytestmark = pytest.mark.unit


def printed(
    capsys: pytest.CaptureFixture[str], *found: Found, baselines: int = 3, policies: int = 0
) -> list[str]:
    with_policy = {each.target: policies for each in found}
    say_findings(found, baselines=baselines, with_policy=with_policy)
    return capsys.readouterr().err.splitlines()


def test_one_baseline_needs_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found("seccomp", "shop/web", Finding("info", "it logs", "enforce it", "calls-1"))
    assert printed(capsys, found, baselines=1) == [
        "info: seccomp: it logs (calls-1)",
        "  hint: enforce it",
    ]


def test_one_of_many_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found("seccomp", "shop/web", Finding("info", "it logs", subject="calls-1"))
    assert printed(capsys, found) == ["info: seccomp: it logs (calls-1) (shop/web)"]


def test_what_all_have_in_common_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Found("seccomp", f"shop/{name}", Finding("info", "it logs")) for name in "abc"]
    assert printed(capsys, *found) == ["info: seccomp: it logs (all 3 baselines)"]


def test_of_some_it_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Found("admission", f"shop/{name}", Finding("info", "labels")) for name in "ab"]
    assert printed(capsys, *found) == [
        "info: admission: labels (2 of 3 baselines)",
        "  - shop/a",
        "  - shop/b",
    ]


def test_what_all_policies_have_in_common_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Found("networkpolicy", f"shop/{name}", Finding("info", "it denies")) for name in "ab"]
    assert printed(capsys, *found, policies=2) == [
        "info: networkpolicy: it denies (all 2 policies)"
    ]


def test_what_differs_is_listed_below_what_is_common(capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        Found("admission", "shop/a", Finding("info", "name it", "write it", "a.json")),
        Found("admission", "shop/b", Finding("info", "name it", "write it", "b.json")),
        Found("admission", "shop/b", Finding("info", "name it", "write it", "c.json")),
    ]
    assert printed(capsys, *found, baselines=2) == [
        "info: admission: name it (all 2 baselines)",
        "  - shop/a: a.json",
        "  - shop/b: b.json, c.json",
        "  hint: write it",
    ]


def test_a_long_list_ends(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Found("seccomp", f"shop/{n}", Finding("info", "x", subject="y")) for n in range(20)]
    lines = printed(capsys, *found, baselines=30)
    assert len(lines) == 10
    assert lines[-1] == "  - and 12 more"


def test_what_stops_the_export_is_said_last(capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        Found("networkpolicy", "shop/a", Finding("loss", "denied")),
        Found("networkpolicy", "shop/a", Finding("info", "adds up")),
        Found("seccomp", "shop/a", Finding("warning", "rots")),
    ]
    assert [line.partition(":")[0] for line in printed(capsys, *found)] == [
        "info",
        "warning",
        "loss",
    ]
