"""`learn` with choices: what is left out, what an overlay decides, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, load_baseline
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

CHECKOUT = "shop-staging.Deployment-checkout.nginx.baseline.yaml"
OVERLAY = """schema: ethogram.overlay/1
entries:
- match: {kind: Deployment, name: checkout}
  allow: {dimension: files, value: {path: "/etc/shadow", access: r}}
  author: alice@example.com
  reason: reads password hashes itself
  expires: EXPIRES
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_recording(tmp_path_factory.mktemp("shop") / "shop")


def learnt(shop: Path, place: Path, *options: str) -> Baseline:
    assert (
        run(["learn", "--allow", "thin", "--no-model", str(shop), "-o", str(place), *options]) == 0
    )
    return load_baseline(place / CHECKOUT)


def paths(baseline: Baseline) -> set[str]:
    return {rule.value.path for rule in baseline.rules.files}


def test_what_is_left_out_stands_in_the_baseline(shop: Path, tmp_path: Path) -> None:
    options = ("--without", "accept4", "--only-phase", "steady", "--min-replicas", "2")
    found = learnt(shop, tmp_path / "b", *options[:2], "--only-phase", "startup", *options[2:4])
    assert found.choices is not None
    assert found.choices.without == ("accept4",)
    assert found.choices.only_phases == ("startup", "steady")
    assert {one.by for one in found.withheld or ()} == {"without", "only-phase"}


def test_learning_again_with_the_same_choices_gives_the_same_bytes(
    shop: Path, tmp_path: Path
) -> None:
    options = ("--without", "execs:/usr/bin/ls", "--min-replicas", "1")
    learnt(shop, tmp_path / "a", *options)
    learnt(shop, tmp_path / "b", *options)
    assert (tmp_path / "a" / CHECKOUT).read_bytes() == (tmp_path / "b" / CHECKOUT).read_bytes()


def test_a_baseline_is_decided_about_as_it_is(shop: Path, tmp_path: Path) -> None:
    assert run(["learn", "--allow", "thin", str(shop), "-o", str(tmp_path / "a")]) == 0
    place = tmp_path / "a" / CHECKOUT
    before = load_baseline(place)
    words = ["learn", str(place), "--without", "execs:/usr/bin/ls", "-o", str(place), "--force"]
    assert run(words) == 0
    found = load_baseline(place)
    assert found.model == before.model
    assert found.coverage == before.coverage
    assert [one.by for one in found.withheld or ()] == ["without"]
    assert (
        run(
            [
                "learn",
                "--allow",
                "thin",
                str(shop),
                "--without",
                "execs:/usr/bin/ls",
                "-o",
                str(tmp_path / "b"),
            ]
        )
        == 0
    )
    assert (tmp_path / "b" / CHECKOUT).read_text() == place.read_text()


def test_the_model_of_a_baseline_comes_along(shop: Path, tmp_path: Path) -> None:
    assert run(["learn", "--allow", "thin", str(shop), "-o", str(tmp_path / "a")]) == 0
    assert run(["learn", str(tmp_path / "a"), "--without", "brk", "-o", str(tmp_path / "b")]) == 0
    names = [sorted(path.name for path in (tmp_path / one).iterdir()) for one in "ab"]
    assert names[0] == names[1]
    (tmp_path / "a" / CHECKOUT).with_suffix(".skops").unlink()
    assert run(["learn", str(tmp_path / "a"), "-o", str(tmp_path / "c")]) == 5


def test_a_model_that_is_damaged_does_not_come_along(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["learn", "--allow", "thin", str(shop), "-o", str(tmp_path / "a")]) == 0
    model = (tmp_path / "a" / CHECKOUT).with_suffix(".skops")
    model.write_bytes(model.read_bytes()[:1000])
    capsys.readouterr()
    assert run(["learn", str(tmp_path / "a"), "--without", "brk", "-o", str(tmp_path / "b")]) == 5
    assert "its sha256 differs" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_baseline_can_lose_its_model(shop: Path, tmp_path: Path) -> None:
    assert run(["learn", "--allow", "thin", str(shop), "-o", str(tmp_path / "a")]) == 0
    assert load_baseline(tmp_path / "a" / CHECKOUT).model is not None
    assert run(["learn", "--no-model", str(tmp_path / "a"), "-o", str(tmp_path / "b")]) == 0
    assert load_baseline(tmp_path / "b" / CHECKOUT).model is None
    assert not list((tmp_path / "b").glob("*.skops"))


@pytest.mark.parametrize("option", [("--allow", "thin"), ("--budget", "1/day")])
def test_what_only_learning_takes_is_refused_of_baselines(
    option: tuple[str, str], shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learnt(shop, tmp_path / "a")
    assert run(["learn", str(tmp_path / "a"), *option, "-o", str(tmp_path / "b")]) == 2
    assert f"`{option[0]}` is for what is learnt of recordings" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_recordings_and_baselines_do_not_mix(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learnt(shop, tmp_path / "a")
    assert (
        run(["learn", "--allow", "thin", str(shop), str(tmp_path / "a"), "-o", str(tmp_path / "b")])
        == 2
    )
    assert f"`{shop}` is a recording, and another input is a baseline" in capsys.readouterr().err


def test_an_overlay_allows_until_it_is_over(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reviewed.yaml"
    file.write_text(OVERLAY.replace("EXPIRES", "2999-01-01"))
    found = learnt(shop, tmp_path / "a", "--overlay", str(file))
    assert "/etc/shadow" in paths(found)
    assert found.choices is not None
    assert [one.name for one in found.choices.overlays or ()] == ["reviewed.yaml"]
    capsys.readouterr()
    file.write_text(OVERLAY.replace("EXPIRES", "2020-01-01"))
    assert "/etc/shadow" not in paths(learnt(shop, tmp_path / "b", "--overlay", str(file)))
    assert "expired on 2020-01-01, not applied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--without", "syscalls:acept4"], "did you mean `syscalls:accept4`?"),
        (["--only-phase", "stedy"], "did you mean `steady`?"),
        (["--only-phase", "shutdown", "--min-replicas", "3"], "--min-replicas 3` leaves"),
        (["--min-replicas", "0"], "0 is not in the range"),
        (["--until-settled", "nan"], "nan is not in the range"),
        (["--budget", "0/week"], "`0/week` is no alert budget"),
        (["--overlay", "absent.yaml"], "there is no overlay `absent.yaml`"),
    ],
)
def test_a_choice_that_means_nothing_is_refused(
    shop: Path,
    tmp_path: Path,
    options: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["learn", "--allow", "thin", str(shop), "-o", str(tmp_path / "b"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_an_export_leaves_out_what_an_overlay_no_longer_allows_and_says_so(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reviewed.yaml"
    call = "{dimension: syscalls, value: {arch: x86_64, name: ptrace}}"
    text = OVERLAY.replace('{dimension: files, value: {path: "/etc/shadow", access: r}}', call)
    file.write_text(text.replace("EXPIRES", "2999-01-01"))
    learnt(shop, tmp_path / "b", "--overlay", str(file), "--without", "syscalls:brk")
    words = ["export", str(tmp_path / "b" / CHECKOUT), "--to", "seccomp", "--allow", "thin"]
    capsys.readouterr()
    assert run([*words, "-o", str(tmp_path / "with")]) == 0
    told = capsys.readouterr().err
    assert "info: seccomp: 1 rule was left out when the baseline was learnt: brk" in told
    assert "info: seccomp: 1 rule rests on an overlay alone, never seen: ptrace" in told
    baseline = tmp_path / "b" / CHECKOUT
    baseline.write_text(baseline.read_text().replace("2999-01-01", "2020-01-01"))
    assert run([*words, "-o", str(tmp_path / "without")]) == 0
    told = capsys.readouterr().err
    assert (
        "1 rule is left out, whose overlay is over: ptrace (alice@example.com, 2020-01-01)" in told
    )
    profiles = [
        "".join(path.read_text() for path in (tmp_path / name).rglob("*.seccomp.json"))
        for name in ("with", "without")
    ]
    assert ['"ptrace"' in text for text in profiles] == [True, False]
    assert run([*words, "-o", str(tmp_path / "with"), "--check"]) == 5
