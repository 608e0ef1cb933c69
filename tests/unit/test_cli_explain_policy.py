"""`ethogram explain POLICY RULE`: from a line of a policy to the evidence behind it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.artifacts import Artifact, Reason
from ethogram.contracts.baseline import dump_baseline, load_baseline
from ethogram.contracts.provenance import ProvenanceFile
from ethogram.contracts.provenance_files import read_told_policy
from ethogram.contracts.reason_names import closest_reasons, find_reasons
from exporters.provenance import provenance_artifact, provenance_of
from exporters.registry import exporters
from tests.admission import make_admission_baseline
from tests.baselines import syscall_rule
from tests.peers import EVERY_PEER, make_network_baseline
from tests.systemd import make_unit

pytestmark = pytest.mark.unit

ALLOW = ["--allow", "thin,inexpressible"]
FOLDER = Path("p/shop-staging/Deployment-checkout")
UNIT_FOLDER = Path("p/_/Unit-web.service")


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a pod's baseline and a unit's, so that every target has a policy of one of them."""
    monkeypatch.chdir(tmp_path)
    network, admitted = make_network_baseline(*EVERY_PEER), make_admission_baseline("CAP_CHOWN")
    calls = (syscall_rule("accept4"), syscall_rule("mount", phases=["runtime"]))
    rules = admitted.rules.model_copy(update={"peers": network.rules.peers, "syscalls": calls})
    subject = admitted.subject.model_copy(update={"selector": network.subject.selector})
    baseline = admitted.model_copy(update={"rules": rules, "subject": subject})
    Path("b").mkdir()
    Path("b/a.baseline.yaml").write_text(dump_baseline(baseline))
    Path("b/b.baseline.yaml").write_text(dump_baseline(make_unit(calls=["read", "accept4"])))
    targets = [word for name in exporters() for word in ("--to", name)]
    assert run(["export", "b", *targets, *ALLOW, "-o", "p"]) == 0


def policy(target: str) -> Path:
    folder = UNIT_FOLDER if target == "systemd" else FOLDER
    (path,) = [
        path for path in folder.glob(f"*.{target}.*") if not path.name.endswith(".provenance.json")
    ]
    return path


def explain(target: str, *words: str) -> int:
    return run(["explain", str(policy(target)), *words])


@pytest.mark.parametrize("target", exporters())
def test_every_place_of_every_policy_is_explained_by_its_name(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = read_told_policy(policy(target)).told
    assert told.reasons
    for reason in told.reasons:
        assert find_reasons(told, reason.place)[0] == reason
    capsys.readouterr()
    assert explain(target, told.reasons[0].place, "--baseline", "b") == 0
    printed = capsys.readouterr()
    assert f"\n{told.reasons[0].place}: {told.reasons[0].why}: " in printed.out
    assert "warning" not in printed.err


def test_an_observed_call_tells_its_story_and_how_to_drop_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    assert explain("seccomp", "accept4", "--baseline", "b") == 0
    told = capsys.readouterr()
    assert "accept4: observed: the workload was seen to need it" in told.out
    assert "seen 23 times in 5 windows" in told.out
    drop = shlex.split(told.err.partition("next: `")[2].partition("`")[0])
    assert run(drop[1:]) == 0
    rules = load_baseline(Path("b/a.baseline.yaml")).rules
    assert [rule.value.name for rule in rules.syscalls] == ["mount"]


def test_what_was_left_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert explain("seccomp", "mount") == 0
    told = capsys.readouterr()
    assert "mount: left out: only the container runtime did it" in told.out
    assert "`--baseline BASELINE`" in told.err


def test_calls_that_nobody_made_have_a_reason_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("seccomp", "restart_syscall") == 0
    assert "restart_syscall: always: " in capsys.readouterr().out


def test_a_peer_an_address_and_a_part_of_a_rule_are_its_rule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = read_told_policy(policy("networkpolicy")).told
    (place,) = [one.place for one in told.reasons if one.place.startswith("spec.egress[0].to[0]")]
    for name in (f"{place}.podSelector.matchLabels", place):
        assert [one.place for one in find_reasons(told, name)] == [place]
    ports = [one.place for one in find_reasons(told, "spec.egress[0].ports[0].port")]
    assert place in ports
    assert all(one.startswith("spec.egress[0].") for one in ports)
    (rule,) = [one for one in told.rules if getattr(one.value, "address", "") == "203.0.113.9"]
    for name in ("203.0.113.9", "203.0.113.9/32", rule.id):
        assert all(rule.id in one.rules for one in find_reasons(told, name))
        assert find_reasons(told, name)
    capsys.readouterr()


def test_a_capability_and_a_field_are_found_where_they_are_spoken_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    for name, words in (("chown", "CAP_CHOWN"), ("hostNetwork", "no hostNetwork")):
        assert explain("admission", name) == 0
        assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "name", "hint"),
    [
        ("seccomp", "acept4", "did you mean `accept4`"),
        ("networkpolicy", "spec.egres[0].to[0]", "did you mean `spec.egress[0].to[0]`"),
        ("networkpolicy", "spec.egress[99]", "did you mean `spec.egress["),
        ("seccomp", "???", "it has reasons for "),
    ],
)
def test_what_is_not_there_is_refused_with_what_is_near(
    target: str, name: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(target, name) == 2
    told = capsys.readouterr().err
    assert f"is `{name}`\n" in told
    assert hint in told


def test_a_policy_that_somebody_changed_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    path = policy("seccomp")
    path.write_bytes(path.read_bytes() + b"\n")
    assert explain("seccomp", "accept4") == 0
    assert "the file was changed after it was exported" in capsys.readouterr().err


def test_a_policy_that_is_relaxed_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "b", "--to", "seccomp", "--enforce", *ALLOW, "-o", "p", "--force"]) == 0
    assert run(["relax", str(policy("seccomp")), "--reason", "INC-7"]) == 0
    capsys.readouterr()
    assert explain("seccomp", "accept4") == 0
    assert "it is relaxed at present" in capsys.readouterr().err


def test_without_an_index_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p/index.json").unlink()
    assert explain("seccomp", "accept4") == 0
    assert "no `index.json` tells whether" in capsys.readouterr().err


def test_a_baseline_that_changed_since_is_said_to_have(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("b/a.baseline.yaml")
    assert run(["learn", str(file), "--without", "accept4", "-o", str(file), "--force"]) == 0
    capsys.readouterr()
    assert explain("seccomp", "accept4", "--baseline", "b") == 0
    told = capsys.readouterr()
    assert "is not what it was made from" in told.err
    assert "the baseline has no such rule now" in told.out


def test_a_baseline_of_another_workload_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    other = make_network_baseline(subject={"name": "other"})
    Path("other.yaml").write_text(dump_baseline(other))
    assert explain("seccomp", "accept4", "--baseline", "other.yaml") == 2
    assert "was made from no baseline in `other.yaml`" in capsys.readouterr().err


def test_a_policy_without_its_provenance_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("seccomp", "networkpolicy"):
        path = policy(target)
        path.with_name(f"{path.stem}.provenance.json").unlink()
        assert explain(target, "accept4") == 2
        told = capsys.readouterr().err
        assert "has no reasons beside it" in told
        assert "keep them together, or export again" in told


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "ethogram.provenance/1"}', "\udc00"])
def test_a_foreign_provenance_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = policy("seccomp")
    beside = path.with_name(f"{path.stem}.provenance.json")
    beside.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert explain("seccomp", "accept4") == 2
    assert "is not the provenance of a policy" in capsys.readouterr().err


def test_json_has_the_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert explain("seccomp", "accept4", "--baseline", "b", "--format", "json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["schema"] == "ethogram.policy-explanation/1"
    assert (document["standing"], document["baseline"]["is_same"]) == ("written", True)
    ((place,),) = [document["places"]]
    assert (place["place"], place["why"], place["is_left_out"]) == ("accept4", "observed", False)
    (rule,) = place["rules"]
    assert rule["evidence"]["calls"] == 23
    assert "--without" in rule["drop"]


def test_a_baseline_goes_with_a_policy_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "b", "accept4", "--baseline", "b"]) == 2
    assert "`--baseline` goes with a policy" in capsys.readouterr().err


def test_hostile_places_and_sources_are_shown_without_controls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = policy("seccomp")
    beside = path.with_name(f"{path.stem}.provenance.json")
    told = ProvenanceFile.model_validate_json(beside.read_bytes())
    evil = Reason("\x1b[2J\u202e", "always", source="\x1b]0;owned\x07")
    beside.write_bytes(told.model_copy(update={"reasons": (evil,)}).dump())
    capsys.readouterr()
    assert explain("seccomp", "owned") == 0
    printed = capsys.readouterr()
    assert "owned" in printed.out
    assert all(line.isprintable() for line in (printed.out + printed.err).splitlines())


def test_the_nearest_of_very_many_places_is_found_in_time() -> None:
    baseline = make_network_baseline()
    reasons = tuple(Reason(f"spec.egress[{n}].to[0]", "always", source="x") for n in range(30_000))
    artifact = Artifact("a/b/c.networkpolicy.yaml", "networkpolicy", "key", b"{}", reasons=reasons)
    beside = provenance_artifact(artifact, baseline, provenance_of(baseline))
    assert beside is not None
    told = ProvenanceFile.model_validate_json(beside.content)
    assert find_reasons(told, "spec.egress[29999].to[0]")
    assert "spec.egress[7].to[0]" in closest_reasons(told, "spec.egres[7].to[0]")
