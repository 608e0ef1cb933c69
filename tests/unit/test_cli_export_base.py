"""`export --base`: what a person wrote stays, what evidence demands is added, and it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, dump_baseline
from ethogram.contracts.syscall_names import names_of
from exporters.review.documents import load
from tests.admission import make_admission_baseline, make_pod
from tests.baselines import make_baseline
from tests.peers import make_network_baseline, peer_rule
from tests.vap import problems, review

pytestmark = pytest.mark.unit

PROFILE = Path("p/shop-staging/Deployment-checkout/nginx.seccomp.json")
MINE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrno": "ENOSYS",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["bpf", "read"], "action": "SCMP_ACT_ALLOW", "comment": "our tracer"},
        {"names": ["mount", "write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"name": "acct", "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
    ],
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def export(baseline: Baseline, *words: str) -> int:
    Path("a.baseline.yaml").write_text(dump_baseline(baseline))
    return run(["export", "a.baseline.yaml", "-o", "p", *words])


def test_a_profile_of_dockers_is_kept_and_says_which_is_which(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.json").write_text(json.dumps(MINE))
    words = ["--to", "seccomp", "--enforce", "--base", "mine.json"]
    assert export(make_baseline("read", "write", "close"), *words) == 0
    err = capsys.readouterr().err
    assert "lets it through now: write" in err
    assert "could be taken out, as nothing needs it: bpf" in err
    profile = json.loads(PROFILE.read_text())
    assert profile["defaultErrnoRet"] == 38
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    first, second, added = profile["syscalls"]
    assert first == MINE["syscalls"][0]  # type: ignore[index]
    assert second == {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    assert {"write", "close"} <= set(added["names"])
    told = json.loads(PROFILE.with_name("nginx.seccomp.provenance.json").read_text())
    whys = {one["place"]: one["why"] for one in told["reasons"]}
    assert whys["read"] == whys["write"] == "observed"
    assert (whys["bpf"], whys["mount"], whys["futex"]) == ("unused", "kept", "runtime")
    assert "acct" not in whys


def test_the_figures_are_of_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.json").write_text(json.dumps(MINE))
    words = ["--to", "seccomp", "--enforce", "--runtime", "none", "--base", "mine.json"]
    assert export(make_baseline("read", "write"), *words) == 0
    err = capsys.readouterr().err
    allowed = {
        name
        for rule in json.loads(PROFILE.read_text())["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]
    }
    assert "bpf" in allowed
    known = allowed & names_of("x86_64")
    comes_to = f"{len(known)} of {len(names_of('x86_64'))} calls"
    assert f"refined, it comes to {comes_to}; it denies" in err
    assert "calls of x86_64 are allowed" not in err
    # The profile that was there lists i386.
    assert "i386 or x32" not in err
    assert export(make_baseline("read", "write"), *words[:-2], "--force") == 0
    assert "calls of x86_64 are allowed" in capsys.readouterr().err


def test_what_was_there_and_nothing_used_is_told_as_allowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.json").write_text(json.dumps(MINE))
    assert export(make_baseline("read"), "--to", "seccomp", "--base", "mine.json") == 0
    capsys.readouterr()
    assert run(["explain", str(PROFILE), "bpf"]) == 0
    out = capsys.readouterr().out
    assert "bpf: unused: allowed, as it was before, and nothing was seen to use it" in out
    assert "to change it: take it out of the file" in out


def test_refining_in_place_is_stable_and_checked(capsys: pytest.CaptureFixture[str]) -> None:
    PROFILE.parent.mkdir(parents=True)
    PROFILE.write_text(json.dumps(MINE))
    words = ["--to", "seccomp", "--base", "p"]
    baseline = make_baseline("read", "write")
    assert export(baseline, *words) == 2
    assert export(baseline, *words, "--force") == 0
    assert export(baseline, *words, "--check") == 0
    assert export(make_baseline("read", "write", "ptrace"), *words, "--check") == 5
    assert "--base p --force` renews it" in capsys.readouterr().err


def test_who_names_the_profile_names_the_refined_one() -> None:
    place = Path("q/shop-staging/Deployment-checkout/nginx.seccomp.json")
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(MINE))
    words = ["--to", "admission", "--to", "seccomp", "--base", "q"]
    assert export(make_admission_baseline("CAP_CHOWN"), *words) == 0
    index = json.loads(Path("p/index.json").read_text())
    [name] = [one["installs_as"] for one in index if one.get("installs_as")]
    assert name in PROFILE.with_name("nginx.admission.yaml").read_text()


def test_an_admission_policy_lets_in_what_was_used_and_keeps_what_it_asks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--to", "seccomp", "--to", "admission", "--mode", "deny"]
    assert export(make_admission_baseline("CAP_CHOWN"), *words) == 0
    policy = PROFILE.with_name("nginx.admission.yaml")
    mine = "      message: mine\n      reason: Forbidden\n"
    text = policy.read_text().replace(
        "  auditAnnotations:", f'    - expression: "true"\n{mine}  auditAnnotations:'
    )
    policy.write_text(text)
    # Without the rule about privileged containers: it is proposed, and not added.
    first = text.index('    - expression: "variables.every.all')
    policy.write_text(text[:first] + text[text.index("    - expression", first + 9) :])
    refine = [*words, "--base", "p", "--force"]
    new = make_admission_baseline("CAP_SYS_ADMIN", calls=("read", "ptrace"))
    assert export(new, *refine) == 6
    err = capsys.readouterr().err
    assert "it is not known whether they admit what was recorded: mine" in err
    assert "evidence supports further rules" in err
    refine += ["--allow", "inexpressible"]
    assert export(new, *refine) == 0
    assert export(new, *refine[:-3], "--allow", "inexpressible", "--check") == 0
    documents = load(policy.read_bytes())
    for name in ("CAP_CHOWN", "CAP_SYS_ADMIN"):
        adds = {"name": "nginx", "securityContext": {"capabilities": {"add": [name]}}}
        violations = review(documents, make_pod(None, adds)).violations
        assert not any("capability" in each for each in violations), violations
    adds = {"name": "nginx", "securityContext": {"capabilities": {"add": ["CAP_BPF"]}}}
    assert not review(documents, make_pod(None, adds)).is_admitted
    index = json.loads(Path("p/index.json").read_text())
    [name] = [one["installs_as"] for one in index if one.get("installs_as")]
    assert name in policy.read_text()
    assert not problems(documents)


def test_a_network_policy_keeps_its_name_and_gets_what_it_lacks() -> None:
    Path("mine.yaml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {name: mine, namespace: shop-staging}\n"
        'spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: "198.51.100.0/24"}}]}]}\n'
    )
    peers = [
        peer_rule("out", "tcp", "198.51.100.7", 443, name="a.example"),
        peer_rule("out", "tcp", "203.0.113.9", 443, name="b.example"),
    ]
    words = ["--to", "networkpolicy", "--base", "mine.yaml", "--allow", "thin"]
    assert export(make_network_baseline(*peers), *words) == 0
    [found] = Path("p").rglob("*.networkpolicy.yaml")
    [policy] = load(found.read_bytes())
    assert policy["metadata"]["name"] == "mine"
    assert policy["spec"]["podSelector"] == {}
    egress: list[Any] = policy["spec"]["egress"]
    assert egress[0] == {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}
    assert egress[1:] == [
        {
            "to": [{"ipBlock": {"cidr": "203.0.113.9/32"}}],
            "ports": [{"protocol": "TCP", "port": 443}],
        }
    ]


@pytest.mark.parametrize(
    ("content", "words", "code", "cause"),
    [
        ("{}", ["--to", "seccomp"], 6, "it is no policy of `seccomp`"),
        ("[", ["--to", "seccomp"], 6, "it is no policy"),
        ('{"defaultAction": "x"}', ["--to", "seccomp"], 6, "malformed: `defaultAction`"),
        (
            '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["bpf"], "action":'
            ' "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}}]}',
            ["--to", "seccomp"], 6, "does not say which its container has",
        ),
        (
            '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["bpf"], "action":'
            ' "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5.8"}}]}',
            ["--to", "seccomp"], 6, "excludes newer kernels",
        ),
        ("kind: NetworkPolicy\nmetadata: {namespace: other}\n", ["--to", "networkpolicy"], 6,
         "it is of namespace `other`"),
        ("kind: ValidatingAdmissionPolicyBinding\n", ["--to", "admission"], 6,
         "0 ValidatingAdmissionPolicies are in the file"),
        ("kind: ValidatingAdmissionPolicy\n"
         "spec: {variables: [{name: capabilities, expression: a}]}",
         ["--to", "admission"], 6, "is no list of words"),
        ("kind: NetworkPolicy\n---\nkind: NetworkPolicy\n", ["--to", "networkpolicy"], 6,
         "more than one NetworkPolicy"),
    ],
)  # fmt: skip
def test_what_cannot_be_refined_is_refused(
    content: str, words: list[str], code: int, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.json").write_text(content)
    makers = {"networkpolicy": make_network_baseline, "admission": make_admission_baseline}
    baseline = makers.get(words[1], lambda: make_baseline("read"))()
    assert export(baseline, *words, "--base", "mine.json", "--allow", "thin,inexpressible") == code
    err = capsys.readouterr().err
    assert cause in err
    assert "`mine.json`" in err
    assert not Path("p").exists()


def test_a_directory_of_something_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("q").mkdir()
    assert export(make_baseline("read"), "--to", "seccomp", "--base", "q") == 2
    assert "`q` has no policy that this export writes" in capsys.readouterr().err
