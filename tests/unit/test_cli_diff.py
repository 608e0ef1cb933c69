"""`ethogram diff`: meaning, not lines; the gravest first; every format; from git and recordings."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import (
    ExecValue,
    FileValue,
    OperationValue,
    Overlay,
    Quarantined,
    Rule,
    Rules,
    baseline_filename,
    dump_baseline,
    load_baseline,
    rule_id,
)
from ethogram.contracts.overlays import withheld_rule
from learner.rollout import started_from
from tests.baselines import make_baseline, syscall_rule
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

EVIDENCE = syscall_rule("read").evidence


def rule(dimension, value):
    return Rule[type(value)](id=rule_id(dimension, value), value=value, evidence=EVIDENCE)


def written(directory: Path, *baselines) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for one in baselines:
        (directory / baseline_filename(one.subject)).write_text(dump_baseline(one))
    return directory


def with_files(*files: tuple[str, str]):
    rules = tuple(rule("files", FileValue(path=path, access=access)) for path, access in files)
    base = make_baseline("read")
    observation = base.observation.model_copy(update={"file_changes": True})
    return base.model_copy(
        update={"rules": Rules(syscalls=base.rules.syscalls, files=rules),
                "observation": observation}
    )  # fmt: skip


@pytest.fixture
def diff(tmp_path, capsys):
    """Compare two sets of baselines; return the exit code and the JSON document."""

    def compare(old, new):
        sides = [written(tmp_path / side, *some) for side, some in (("old", old), ("new", new))]
        code = run(["diff", *map(str, sides), "--format", "json"])
        out = capsys.readouterr()
        assert out.err == "", out.err
        return code, json.loads(out.out)

    return compare


def changes(document, way="wider"):
    return [
        (change["severity"], change["words"])
        for workload in document["workloads"]
        for change in workload["changes"]
        if change["way"] == way
    ]


def test_equal_baselines_are_the_same(diff):
    code, document = diff([make_baseline("read")], [make_baseline("read")])
    assert (code, document["verdict"]) == (0, "same")
    assert document["workloads"][0]["changes"] == []


def test_a_new_ptrace_comes_before_a_new_statx(diff):
    code, document = diff([make_baseline("read")], [make_baseline("read", "statx", "ptrace")])
    assert code == 11
    assert changes(document) == [("medium", "ptrace"), ("low", "statx")]
    assert document["workloads"][0]["changes"][0]["attack"][0]["technique"] == "T1055.008"


def test_less_is_narrower(diff):
    code, document = diff([make_baseline("read", "ptrace")], [make_baseline("read")])
    assert (code, document["verdict"]) == (10, "narrower")
    assert changes(document, "narrower") == [("info", "ptrace")]


def test_more_and_less_is_wider(diff):
    code, document = diff([make_baseline("read")], [make_baseline("write")])
    assert (code, document["verdict"]) == (11, "wider and narrower")


def test_a_file_below_a_pattern_that_was_there_is_nothing_new(diff):
    old = with_files(("/var/log/*.log", "rw"))
    new = with_files(("/var/log/a.log", "r"), ("/var/log/app-*.log", "w"))
    code, document = diff([old], [new])
    assert changes(document) == []
    assert code == 10  # other names are not allowed any more


def test_a_wider_pattern_is_wider(diff):
    code, document = diff([with_files(("/srv/a-*", "r"))], [with_files(("/srv/*", "r"))])
    assert code == 11
    assert changes(document) == [("low", "/srv/* r")]


def test_of_a_file_only_the_letters_that_changed_are_told(diff):
    code, document = diff([with_files(("/etc/app", "r"))], [with_files(("/etc/app", "rw"))])
    assert code == 11
    assert [words for _, words in changes(document)] == ["/etc/app w"]


def test_what_is_only_quarantined_makes_nothing_wider(diff):
    value = ExecValue(path="/tmp/x", upper=True)
    held = Quarantined(
        id=rule_id("execs", value), dimension="execs", value=value,
        indicators=("dropped-executable",), evidence=EVIDENCE,
    )  # fmt: skip
    code, document = diff([make_baseline("read")], [make_baseline("read", quarantined=(held,))])
    assert (code, document["verdict"]) == (0, "same")
    assert changes(document, "apart") == [("high", "/tmp/x (not from the image)")]


def by_runtime(name: str, operation: str = "mknod"):
    own = EVIDENCE.model_copy(update={"phases": ("runtime",)})
    value = OperationValue(operation=operation, target=f"/run/containers/{name}/dev/null")
    return rule("operations", value).model_copy(update={"evidence": own})


def with_operations(*rules):
    base = make_baseline("read")
    return base.model_copy(update={"rules": Rules(syscalls=base.rules.syscalls, operations=rules)})


def test_what_the_container_runtime_alone_did_is_not_compared(diff):
    old, new = with_operations(by_runtime("a")), with_operations(by_runtime("b"))
    assert diff([old], [new])[0] == 0


def test_what_the_workload_does_as_its_runtime_did_is_wider(diff):
    mounts = by_runtime("a")
    of_workload = mounts.model_copy(update={"evidence": EVIDENCE})
    old, new = with_operations(mounts), with_operations(of_workload)
    code, document = diff([old], [new])
    assert code == 11
    assert changes(document) == [("medium", "mknod /run/containers/a/dev/null")]


def test_what_leaves_quarantine_is_at_least_high_and_says_so(diff):
    call = syscall_rule("statx")
    held = Quarantined(
        id=call.id, dimension="syscalls", value=call.value,
        indicators=("shell-on-socket",), evidence=EVIDENCE,
    )  # fmt: skip
    code, document = diff(
        [make_baseline("read", quarantined=(held,))], [make_baseline("read", call)]
    )
    assert code == 11
    [change] = document["workloads"][0]["changes"]
    assert change["severity"] == "high"
    assert "shell-on-socket" in change["reason"]
    assert "in quarantine before" in change["reason"]


@pytest.mark.parametrize(("expires", "code"), [("2999-12-31", 11), ("2020-01-01", 0)])
def test_what_an_overlay_allows_counts_until_its_day(diff, expires, code):
    decided = Overlay(author="a@example.com", reason="reviewed", expires=expires)
    call = syscall_rule("ptrace").model_copy(update={"overlay": decided})
    assert diff([make_baseline("read")], [make_baseline("read", call)])[0] == code


def test_workloads_that_come_and_go(diff):
    other = make_baseline("read", subject={"name": "cart"})
    code, document = diff([make_baseline("read")], [other])
    assert code == 11
    assert [one["state"] for one in document["workloads"]] == ["new workload", "workload is gone"]


def test_a_workload_in_another_namespace_is_the_same_workload(diff):
    code, _ = diff([make_baseline("read")], [make_baseline("read", subject={"namespace": "shop"})])
    assert code == 0


def test_a_baseline_that_applies_to_more_is_wider(diff):
    base = make_baseline("read")
    bound = base.model_copy(update={"match": base.match.model_copy(update={"namespace": "shop"})})
    code, document = diff([bound], [base])
    assert code == 11
    assert document["workloads"][0]["match"][0]["way"] == "wider"
    code, _ = diff([base], [bound])
    assert code == 10


def test_another_image_is_said(diff):
    def of(digest):
        base = make_baseline("read")
        digests = {"image_digests": (digest,)}
        return base.model_copy(update={"observation": base.observation.model_copy(update=digests)})

    _, document = diff([of("sha256:aa")], [of("sha256:bb")])
    assert document["workloads"][0]["notes"] == [
        "new image: sha256:bb", "image not seen again: sha256:aa"
    ]  # fmt: skip


def test_what_one_side_did_not_look_at_is_not_compared(diff):
    base = make_baseline("read")
    blind = base.model_copy(
        update={"rules": Rules(),
                "observation": base.observation.model_copy(update={"not_observed": ("syscalls",)})}
    )  # fmt: skip
    code, document = diff([blind], [base])
    assert code == 0
    assert "syscalls cannot be compared" in document["workloads"][0]["notes"][0]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with two revisions of `baselines/`, as the current directory."""
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(root)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *names, *words], check=True, env=environment, capture_output=True)

    git("init", "-q")
    written(root / "baselines", make_baseline("read"))
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("tag", "v1")
    written(root / "baselines", make_baseline("read", "ptrace"))
    git("commit", "-q", "-a", "-m", "two")
    return root


@pytest.mark.parametrize(
    "arguments",
    [
        ["git:v1", "baselines"],
        ["git:HEAD~1:baselines", "git:HEAD:baselines"],
        ["git:v1", "baselines/shop-staging.Deployment-checkout.nginx.baseline.yaml"],
    ],
)
def test_a_revision_of_git_is_a_side(repository, capsys, arguments):
    assert run(["diff", *arguments, "--format", "json"]) == 11
    assert changes(json.loads(capsys.readouterr().out)) == [("medium", "ptrace")]


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("git:nowhere", "git cannot read `git:nowhere`"),
        ("git:", "names no revision"),
        ("git:v1:elsewhere", "there is no baseline `elsewhere` in revision `v1`"),
        ("git:--output=x", "git cannot read"),
    ],
)
def test_what_git_does_not_have_is_said(repository, capsys, source, cause):
    assert run(["diff", source, "baselines"]) in (2, 5)
    assert cause in capsys.readouterr().err


def test_a_recording_is_learnt_first(tmp_path, capsys):
    recording = shop_recording(tmp_path / "rec")
    old = written(tmp_path / "old", make_baseline("read"))
    assert run(["diff", str(old), str(recording), "--format", "json"]) == 11
    document = json.loads(capsys.readouterr().out)
    assert {one["state"] for one in document["workloads"]} >= {"new workload"}


def test_the_screen_ends_with_what_it_comes_to(tmp_path, capsys):
    old = written(tmp_path / "old", make_baseline("read", "write"))
    new = written(tmp_path / "new", make_baseline("read", "ptrace"))
    assert run(["diff", str(old), str(new)]) == 11
    out = capsys.readouterr()
    assert "+ medium   syscalls: ptrace" in out.out
    assert "- syscalls: write" in out.out
    assert out.err == ("wider and narrower: 1 allowed now, 1 no longer, 0 newly in quarantine\n")


def test_markdown_is_read_as_text_whatever_a_workload_was_called(tmp_path, capsys):
    evil = with_files(("/tmp/`<img src=x>`|@all", "r"))
    old = written(tmp_path / "old", with_files())
    new = written(tmp_path / "new", evil)
    assert run(["diff", str(old), str(new), "--format", "markdown"]) == 11
    text = capsys.readouterr().out
    assert "files ``/tmp/`<img src=x>`|@all r``" in text
    assert text.startswith("### Behaviour: wider\n")


def test_markdown_fits_into_a_comment(tmp_path, capsys):
    many = [(f"/srv/{'x' * 200}/{number}", "r") for number in range(1000)]
    old = written(tmp_path / "old", with_files())
    new = written(tmp_path / "new", with_files(*many))
    assert run(["diff", str(old), str(new), "--format", "markdown"]) == 11
    text = capsys.readouterr().out
    assert len(text) < 65_536
    assert "too long for a comment" in text


def test_sarif_names_the_line_of_the_rule(tmp_path, capsys):
    old = written(tmp_path / "old", make_baseline("read"))
    new = written(tmp_path / "new", make_baseline("read", "ptrace"))
    assert run(["diff", str(old), str(new), "--format", "sarif"]) == 11
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    [result] = document["runs"][0]["results"]
    rules = {rule["id"] for rule in document["runs"][0]["tool"]["driver"]["rules"]}
    assert result["ruleId"] in rules
    assert result["level"] == "warning"
    place = result["locations"][0]["physicalLocation"]
    file = next(new.iterdir())
    assert place["artifactLocation"]["uri"] == str(file)
    line = file.read_text().splitlines()[place["region"]["startLine"] - 1]
    assert result["properties"]["rule"] in line


# --- a new version starts from the old one's baseline --------------------------------------------


def learnt(place: Path, *words: str):
    assert (
        run(["learn", *words, "-o", str(place), "--no-model", "--allow", "thin,lossy,enforced"])
        == 0
    )
    return {file.name: load_baseline(file) for file in place.glob("*.yaml")}


def test_a_new_version_keeps_what_it_has_not_shown_yet(tmp_path, capsys):
    recording = shop_recording(tmp_path / "rec")
    first = learnt(tmp_path / "plain", str(recording))
    name = next(name for name in first if "checkout" in name)
    before = first[name]
    call = syscall_rule("ptrace")
    rules = before.rules.model_copy(update={"syscalls": (*before.rules.syscalls[1:], call)})
    old = written(tmp_path / "old", before.model_copy(update={"rules": rules}))
    capsys.readouterr()

    after = learnt(tmp_path / "new", str(recording), "--base", str(old))[name]

    carried = {rule.id for _, rule in after.rules.all() if "carried" in (rule.marked or ())}
    assert carried == {call.id}
    assert after.base.carried == 1
    assert {rule.id for _, rule in before.rules.all()} < {rule.id for _, rule in after.rules.all()}
    said = capsys.readouterr().err
    assert "1 rule new, 1 carried that were not shown again" in said


def test_what_the_new_version_has_in_quarantine_is_not_carried(tmp_path):
    call = syscall_rule("statx")
    held = Quarantined(
        id=call.id, dimension="syscalls", value=call.value,
        indicators=("shell-on-socket",), evidence=EVIDENCE,
    )  # fmt: skip
    old, new = make_baseline("read", call), make_baseline("read", quarantined=(held,))
    [(after, _)] = started_from(
        [(Path("old"), old)], [(Path("new"), new)], digests={"old": "0" * 64}
    )
    assert after.rules == new.rules
    assert after.base.carried == 0


def test_what_the_workload_did_is_carried_and_what_its_runtime_did_is_not():
    mounts = by_runtime("a")
    of_workload = mounts.model_copy(update={"evidence": EVIDENCE})
    old = with_operations(of_workload, by_runtime("b"))
    new = with_operations(mounts, by_runtime("c"))
    [(after, _)] = started_from(
        [(Path("old"), old)], [(Path("new"), new)], digests={"old": "0" * 64}
    )
    found = {one.id: one.evidence.phases for one in after.rules.operations}
    assert found == {of_workload.id: EVIDENCE.phases, by_runtime("c").id: ("runtime",)}
    assert dump_baseline(after)


@pytest.mark.parametrize(
    ("by", "severity", "words"),
    [
        ("without", "high", "`--without` left it out before"),
        ("overlay", "high", "an overlay denied it before"),
        ("min-replicas", "low", "`--min-replicas` left it out before"),
    ],
)
def test_what_somebody_had_left_out_says_so_when_it_comes_back(diff, by, severity, words):
    call = syscall_rule("statx")
    out = withheld_rule("syscalls", call, by=by)
    old, new = make_baseline("read", withheld=(out,)), make_baseline("read", call)
    code, document = diff([old], [new])
    [change] = document["workloads"][0]["changes"]
    assert (code, change["severity"]) == (11, severity)
    assert change["reason"].endswith(f"; {words}")


def test_a_new_version_says_how_much_of_it_was_left_out_of_the_old_one(tmp_path, capsys):
    recording = str(shop_recording(tmp_path / "rec"))
    learnt(tmp_path / "old", recording, "--without", "brk")
    capsys.readouterr()
    learnt(tmp_path / "new", recording, "--base", str(tmp_path / "old"))
    assert "1 rule new (1 of them left out of the earlier one)" in capsys.readouterr().err


def test_baselines_do_not_start_from_baselines(tmp_path, capsys):
    old = written(tmp_path / "old", make_baseline("read"))
    assert run(["learn", str(old), "--base", str(old), "-o", str(tmp_path / "new")]) == 2
    assert "the inputs are baselines" in capsys.readouterr().err
