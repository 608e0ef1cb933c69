"""`export --summary`: what a change lets in and shuts out, by the policies themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, dump_baseline
from exporters.review.documents import load
from exporters.review.protocol import Grant, Tellable, Told
from exporters.review.registry import reviewer_of
from tests.admission import make_admission_baseline
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit


def export(baseline: Baseline, *words: str) -> int:
    Path("b").mkdir(exist_ok=True)
    Path("b/a.baseline.yaml").write_text(dump_baseline(baseline))
    return run(["export", "b", "-o", "p", *words])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_calls_are_told_the_gravest_first_with_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert export(make_baseline("read", "mount"), "--to", "seccomp") == 0
    capsys.readouterr()
    new = make_baseline("read", "ptrace", "sysinfo")
    assert export(new, "--to", "seccomp", "--dry-run", "--summary", "-") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "### Policy: wider and narrower"
    [row] = [line for line in lines if line.startswith("| `shop")]
    assert "`shop-staging/Deployment/checkout (nginx)` | `seccomp` | logs: " in row
    let, shut = lines.index("**Lets in**"), lines.index("<details><summary>Shuts out: 1</summary>")
    assert "`ptrace`" in lines[let + 2]
    assert "medium" in lines[let + 2]
    assert lines[let + 3] == "- **low** call `sysinfo`"
    assert lines[shut + 2] == "- call `mount`"


def test_that_it_denies_now_is_said_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert export(make_baseline("read"), "--to", "seccomp") == 0
    words = ["--to", "seccomp", "--enforce", "--force", "--summary", "summary.md"]
    assert export(make_baseline("read"), *words) == 0
    text = Path("summary.md").read_text()
    assert "> It denies now; before, it logs." in text
    assert "calls through `X32`, `X86`" in text
    assert export(make_baseline("read"), *words, "--check") == 0
    assert Path("summary.md").read_text() == (
        "### Policy: nothing changes\n\n\n1 policy says the same.\n"
    )


@pytest.mark.parametrize("to", ["admission", "kyverno", "gatekeeper", "securitycontext"])
def test_another_profile_is_not_told_as_let_in(to: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (
        make_admission_baseline().model_copy(update={"rules": make_baseline(*calls).rules})
        for calls in (("read",), ("read", "ptrace"))
    )
    assert export(first, "--to", to, "--allow", "inexpressible") == 0
    capsys.readouterr()
    words = ["--to", to, "--allow", "inexpressible", "--dry-run", "--summary", "-"]
    assert export(second, *words) == 0
    text = capsys.readouterr().out
    assert "asks for another profile: `ethogram/checkout-nginx-" in text
    assert "not asked any more" not in text
    assert "Lets in" not in text
    assert text.startswith("### Policy: changed\n")


@pytest.mark.parametrize("to", ["admission", "kyverno", "gatekeeper"])
def test_capabilities_and_rules_of_admission_are_told(
    to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(make_admission_baseline("CAP_CHOWN"), "--to", to) == 0
    capsys.readouterr()
    new = make_admission_baseline("CAP_SYS_ADMIN", host_namespaces=("net",))
    assert export(new, "--to", to, "--dry-run", "--summary", "-") == 0
    out = capsys.readouterr().out
    assert "capability `SYS_ADMIN`" in out
    assert "- capability `CHOWN`" in out
    assert "- not asked any more: rule `no hostNetwork" in out


def test_a_hostile_policy_that_stands_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert export(make_baseline("read"), "--to", "seccomp") == 0
    [file] = Path("p").rglob("*.seccomp.json")
    file.write_text('{"defaultAction": "\\u001b", "syscalls": [{"names": ["</details>`\\u202e|"], '
                    '"action": "SCMP_ACT_ALLOW"}]}')  # fmt: skip
    capsys.readouterr()
    assert export(make_baseline("read"), "--to", "seccomp", "--dry-run", "--summary", "-") == 0
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.split("\n"))
    assert "- **low** call `` </details>" not in out
    assert r"\xe2\x80\xae" in out
    file.write_text("[]")
    assert export(make_baseline("read"), "--to", "seccomp", "--dry-run", "--summary", "-") == 0
    assert "the old policy is not told: it is no policy" in capsys.readouterr().out


def test_two_documents_do_not_share_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--to", "seccomp", "--dry-run", "--format", "json", "--summary", "-"]
    assert export(make_baseline("read"), *words) == 2
    assert "both print on standard output" in capsys.readouterr().err


def told(text: str) -> Told:
    documents = load(text.encode())
    reviewer = reviewer_of(documents)
    assert isinstance(reviewer, Tellable)
    return reviewer.tell(documents)


def network(spec: str) -> Told:
    return told(f"kind: NetworkPolicy\nmetadata: {{namespace: shop}}\nspec: {spec}\n")


def egress(peers: str, ports: str = "[{port: 80}]") -> Told:
    return network(f"{{policyTypes: [Egress, Ingress], egress: [{{to: {peers}, ports: {ports}}}]}}")


def only(found: Told) -> Grant:
    [grant] = found.grants
    return grant


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (egress('[{ipBlock: {cidr: "10.0.0.0/8"}}]'), egress('[{ipBlock: {cidr: "10.1.0.9/32"}}]')),
        (egress("[]"), egress("[{podSelector: {}}]")),
        (egress("[]", "[]"), egress("[]")),
        (
            egress('[{ipBlock: {cidr: "::/0"}}]', "[{port: 80, endPort: 90}]"),
            egress('[{ipBlock: {cidr: "fd00::/8"}}]', "[{port: 81}]"),
        ),
    ],
)
def test_what_is_within_a_wider_way_is_no_news(wide: Told, narrow: Told) -> None:
    assert only(wide).covers(only(narrow))
    assert not only(narrow).covers(only(wide))


def test_ways_that_do_not_meet_cover_nothing() -> None:
    ways = [
        egress('[{ipBlock: {cidr: "10.0.0.0/8"}}]'),
        egress('[{ipBlock: {cidr: "::/0"}}]'),
        egress('[{ipBlock: {cidr: "10.0.0.0/8", except: ["10.0.0.0/9"]}}]'),
        egress("[{podSelector: {matchLabels: {app: a}}}]"),
        egress("[{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}]"),
        egress("[{podSelector: {matchLabels: {app: a}}}]", "[{port: 80, protocol: UDP}]"),
        egress("[{podSelector: {matchLabels: {app: a}}}]", "[{port: http}]"),
    ]
    grants = [only(one) for one in ways]
    for one in grants:
        assert [other for other in grants if one.covers(other)] == [one]


def test_a_direction_that_is_not_restricted_is_open_to_everybody() -> None:
    found = network("{policyTypes: [Ingress], ingress: []}")
    assert found.tightness == "in: nobody; out: everybody on every port"
    assert only(found).words == "to anybody at every port"


def test_a_call_for_every_argument_covers_one_for_some() -> None:
    rule = '{"names": ["clone"], "action": "SCMP_ACT_ALLOW"%s}'
    some = rule % ', "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]'
    profile = '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [%s]}'
    wide, narrow = only(told(profile % (rule % ""))), only(told(profile % some))
    assert wide.covers(narrow)
    assert not narrow.covers(wide)
