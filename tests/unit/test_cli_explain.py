"""`ethogram explain`: rules by name, as data, and what is refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, load_baseline
from learner.story import deed
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

CHECKOUT = "shop-staging.Deployment-checkout.nginx.baseline.yaml"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_recording(tmp_path_factory.mktemp("shop") / "shop")


@pytest.fixture
def place(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    words = ["learn", "--allow", "thin", "--no-model", str(recording), "-o", str(tmp_path / "b")]
    assert run(words) == 0
    capsys.readouterr()
    return tmp_path / "b"


@pytest.fixture
def checkout(place: Path) -> Baseline:
    return load_baseline(place / CHECKOUT)


def test_json_has_the_whole_story(
    place: Path, checkout: Baseline, capsys: pytest.CaptureFixture[str]
) -> None:
    (rule,) = [rule for rule in checkout.rules.files if "access.log" in rule.value.path]
    assert run(["explain", str(place), rule.id, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "ethogram.explanation/1"
    (told,) = document["rules"]
    assert told["id"] == rule.id
    assert told["status"] == "allowed"
    assert told["evidence"] == rule.evidence.model_dump(mode="json", exclude_none=True)
    assert (told["instances"], told["recordings"], told["also_in"]) == (2, 1, [])
    assert told["workload"]["name"] == "checkout"


def test_the_command_that_is_printed_drops_the_rule(
    place: Path, checkout: Baseline, capsys: pytest.CaptureFixture[str]
) -> None:
    (rule,) = [rule for rule in checkout.rules.execs if rule.value.path == "/usr/bin/ls"]
    assert run(["explain", str(place), "execs:/usr/bin/ls"]) == 0
    command = capsys.readouterr().err.partition("next: `")[2].partition("`")[0]
    ethogram, *words = shlex.split(command)
    assert ethogram == "ethogram"
    assert run(words) == 0
    assert rule.id not in {one.id for _, one in load_baseline(place / CHECKOUT).rules.all()}
    capsys.readouterr()
    assert run(["explain", str(place), rule.id]) == 0
    told = capsys.readouterr()
    assert "withheld: would allow executing /usr/bin/ls\n  `--without` left it out" in told.out
    assert "--without" not in told.err


def test_a_path_below_a_pattern_is_explained_by_the_pattern(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (place / CHECKOUT).read_text()
    (place / CHECKOUT).write_text(text.replace("/run/nginx.pid", "/run/*.pid"))
    assert run(["explain", str(place), "files:/run/other.pid"]) == 0
    assert "allows files like /run/*.pid to be" in capsys.readouterr().out


def test_several_rules_are_listed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(place), "socket"]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    assert all("  allowed  socket  " in line for line in told.out.splitlines())
    assert "(one of 2)" in told.err


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("syscalls:acept4", "did you mean `syscalls:accept4`?"),
        ("ls", "did you mean `execs:/usr/bin/ls`?"),
        ("files-000000000000", "has every rule"),
        ("bad\x1b[31m", "no rule of"),
    ],
)
def test_a_name_of_no_rule_is_refused(
    place: Path, rule: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", str(place), rule]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "\x1b" not in told


def test_what_is_no_baseline_is_refused(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", str(recording), "openat"]) == 2
    assert "is a recording, not a baseline" in capsys.readouterr().err
    assert run(["explain", str(tmp_path / "absent"), "openat"]) == 2
    (tmp_path / "broken.baseline.yaml").write_text("schema: ethogram.baseline/1\n")
    assert run(["explain", str(tmp_path / "broken.baseline.yaml"), "openat"]) == 5


def test_every_rule_has_words(checkout: Baseline) -> None:
    words = [deed(rule.value) for _, rule in checkout.rules.all()]
    assert all(words)
    assert len(set(words)) == len(words)
