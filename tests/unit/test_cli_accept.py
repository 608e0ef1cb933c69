"""`accept`: what a reviewed finding showed becomes entries of an overlay, and `learn` allows it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from detector.library import Library
from ethogram.cli.run import run
from ethogram.contracts.baseline import baseline_filename, dump_baseline, load_baseline
from ethogram.contracts.finding import Finding
from ethogram.contracts.overlay_file import load_overlay
from ethogram.contracts.overlays import in_force
from tests.baselines import make_baseline
from tests.recordings import shop_recording
from tests.replay import Replay
from tests.unit.test_detector_judge import file_row, write_baselines

pytestmark = pytest.mark.unit

REASON = ("--reason", "SHOP-12: new cache", "--expires", "2999-12-31", "--author", "alice")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    place = tmp_path_factory.mktemp("shop")
    replay = Replay(write_baselines(shop_recording(place / "rec"), place / "baselines"))
    replay.recording(shop_recording(place / "again"))
    replay.rows(8, files=[file_row("/etc/hosts.deny")])
    replay.rows(9, files=[file_row(f"/usr/share/x/{number:04}") for number in range(40)])
    replay.rows(10, files=[file_row("/etc/shadow", exe=3)])
    return replay


@pytest.fixture
def place(shop: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to stand in, with the findings of the shop in `findings.jsonl`."""
    monkeypatch.chdir(tmp_path)
    text = "".join(f"{one.line()}\n" for one in shop.findings)
    (tmp_path / "findings.jsonl").write_text(text)
    return tmp_path


def accept(*words: str) -> int:
    return run(["accept", *words])


def of_dimension(shop: Replay, index: int) -> str:
    return shop.findings[index].fingerprint


def test_what_is_accepted_is_told_no_more(
    shop: Replay, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accept(of_dimension(shop, 0)[:8], "--findings", "findings.jsonl", *REASON) == 0
    captured = capsys.readouterr()
    assert captured.out == (
        "allow files /etc/hosts.deny (r) until 2999-12-31: "
        "staging/shop-staging/Deployment/checkout (nginx)\n"
    )
    assert "next: `ethogram learn baselines --overlay accepted.yaml -o baselines" in captured.err
    (entry,) = load_overlay(place / "accepted.yaml").entries
    assert (entry.author, entry.reason) == ("alice", "SHOP-12: new cache")
    words = ["learn", str(shop.baselines), "--overlay", "accepted.yaml", "--no-model", "-o", "new"]
    assert run(words) == 0
    again = Replay(place / "new")
    again.recording(shop_recording(place / "again"))
    assert again.rows(8, files=[file_row("/etc/hosts.deny")]) == []


def test_what_one_finding_folds_becomes_an_entry_each(
    shop: Replay, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = shop.findings[1].line()
    assert accept(line, *REASON) == 0
    assert "8 more values of it the finding does not name" in capsys.readouterr().err
    assert len(load_overlay(place / "accepted.yaml").entries) == 32
    assert accept(line, *REASON) == 0
    assert "nothing to add" in capsys.readouterr().err
    assert len(load_overlay(place / "accepted.yaml").entries) == 32


def test_an_indicator_wants_to_be_asked_for(
    shop: Replay, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = shop.findings[2].line()
    assert accept(line, *REASON) == 2
    assert "`--even-indicator`" in capsys.readouterr().err
    assert not (place / "accepted.yaml").exists()
    assert accept(line, "--even-indicator", *REASON) == 0
    assert load_overlay(place / "accepted.yaml").entries[0].match.namespace is None


def test_an_entry_is_for_the_namespace_where_the_baseline_was_learnt(
    shop: Replay, place: Path
) -> None:
    found = shop.findings[0]
    home = found.model_copy(update={"baseline": baseline_filename(found.workload)})
    assert accept(home.line(), *REASON) == 0
    assert load_overlay(place / "accepted.yaml").entries[0].match.namespace == "shop-staging"


@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_what_people_wrote_stays_as_it_is(shop: Replay, place: Path, indent: str) -> None:
    text = (
        "# decided by the shop\nschema: ethogram.overlay/1\nentries:\n"
        f'{indent}- match: {{name: "*"}}   # all\n{indent}  deny: "syscalls:ptrace"\n'
        f"{indent}  author: bob\n{indent}  reason: never\n{indent}  expires: 2999-01-01"
    )
    (place / "mine.yaml").write_text(text)
    assert accept(shop.findings[0].line(), *REASON, "--overlay", "mine.yaml") == 0
    assert (place / "mine.yaml").read_text().startswith(text + "\n")
    assert len(load_overlay(place / "mine.yaml").entries) == 2


def test_what_was_printed_as_text_says_too_little(
    shop: Replay, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = of_dimension(shop, 0)[:12]
    (place / "watch.txt").write_text(f"LOW  File read outside the baseline\n  finding   {digits}\n")
    assert accept(digits, "--findings", "watch.txt", *REASON) == 2
    said = capsys.readouterr().err
    assert f"`watch.txt` line 2 has `{digits}` in text, which says too little to accept it" in said
    assert "`watch --format jsonl`" in said
    assert not (place / "accepted.yaml").exists()


@pytest.mark.parametrize("schema", ["ethogram.incident/1", "ethogram.event/1"])
def test_lines_of_other_schemas_are_passed_over(shop: Replay, place: Path, schema: str) -> None:
    named = shop.findings[0].fingerprint
    other = json.dumps({"id": "x", "findings": [{"fingerprint": named}], "schema": schema})
    with (place / "findings.jsonl").open("a") as file:
        file.write(f"{other}\n")
    assert accept(named[:12], "--findings", "findings.jsonl", *REASON) == 0


def changed(finding: Finding, **fields: Any) -> str:
    return json.dumps(json.loads(finding.line()) | fields)


def test_what_cannot_be_is_refused_by_name(
    shop: Replay, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = shop.findings[0].line()
    (place / "flow.yaml").write_text(
        'schema: ethogram.overlay/1\nentries: [{match: {name: x}, allow: "files:/x", author: a,'
        " reason: b, expires: 2999-01-01}]\n"
    )
    deny = load_overlay(place / "flow.yaml").entries[0].model_dump(mode="json", exclude_none=True)
    cases: list[tuple[tuple[str, ...], str]] = [
        (("no-print", *REASON), "`no-print` is no fingerprint"),
        (("ffffffff", *REASON), "`--findings` is missing"),
        (("ffffffff", "--findings", "findings.jsonl", *REASON), "no finding begins with"),
        (("ffffffff", "--findings", "nowhere", *REASON), "there is no `nowhere`"),
        (("ffffffff", "--findings", "/dev/zero", *REASON), "`/dev/zero` cannot be read"),
        (("{}", *REASON), "FINDING is no finding: field `time`"),
        ((changed(shop.findings[0], severity="fatal"), *REASON), "field `severity`"),
        ((line, *REASON[:2], "--expires", "2001-01-01"), "`--expires 2001-01-01` is over"),
        ((line, *REASON[:2], "--expires", "tomorrow"), "`--expires tomorrow` is no day"),
        ((line, "--reason", " ", *REASON[2:]), "`--reason` is empty"),
        ((line, *REASON, "--overlay", "flow.yaml"), "does not end with its entries"),
        ((line, *REASON, "--overlay", "findings.jsonl"), "is a file of findings, not an overlay"),
        ((line, *REASON, "--overlay", "no/where.yaml"), "cannot be written"),
    ]
    before = (place / "flow.yaml").read_text()
    for words, cause in cases:
        assert accept(*words) == 2, cause
        captured = capsys.readouterr()
        assert cause in captured.err
        assert captured.out == ""
    assert (place / "flow.yaml").read_text() == before
    assert deny["match"] == {"name": "x"}


def test_a_denial_of_the_same_is_not_overruled(
    shop: Replay, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = shop.findings[0].line()
    assert accept(line, *REASON) == 0
    text = (place / "accepted.yaml").read_text().replace("allow:", "deny:")
    (place / "accepted.yaml").write_text(text)
    assert accept(line, *REASON) == 2
    assert "denies `files-" in capsys.readouterr().err


def test_many_at_once_lose_nothing(shop: Replay, place: Path) -> None:
    lines = [
        changed(shop.findings[0], evidence={
            "dimension": "dns", "observed": "x", "values": [{"name": f"host{number}.example"}],
        })
        for number in range(7)
    ]  # fmt: skip
    code = "import sys; from ethogram.cli import main; main(sys.argv[1:])"
    running = [
        subprocess.Popen([sys.executable, "-c", code, "accept", line, *REASON],
                         stdout=subprocess.DEVNULL)
        for line in lines
    ]  # fmt: skip
    assert [one.wait() for one in running] == [0] * 7
    names = {one.target.value for one in load_overlay(place / "accepted.yaml").entries}
    assert len(names) == 7


def test_the_author_is_gits(
    shop: Replay, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    line = shop.findings[0].line()
    assert accept(line, *REASON[:4]) == 2
    assert "nobody is named who decides" in capsys.readouterr().err
    (place / ".gitconfig").write_text("[user]\nname = Bob\nemail = bob@example.org\n")
    assert accept(line, *REASON[:4]) == 0
    assert load_overlay(place / "accepted.yaml").entries[0].author == "Bob <bob@example.org>"


def test_an_accepted_value_ends_with_its_day(shop: Replay, place: Path) -> None:

    assert accept(shop.findings[0].line(), *REASON) == 0
    baseline = make_baseline("read")
    (place / "b.baseline.yaml").write_text(dump_baseline(baseline))
    words = ["learn", "b.baseline.yaml", "--overlay", "accepted.yaml", "-o", "c.yaml"]
    assert run(words) == 0
    after = load_baseline(place / "c.yaml")
    assert len(after.rules.files) == 1
    assert in_force(after, date(3000, 1, 1)).rules.files == ()
    assert Library.load(place / "c.yaml").known[0].baseline == after
