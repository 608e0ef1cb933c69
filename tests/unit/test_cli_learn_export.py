"""`learn` and `export`: what is written, what is refused, what is said."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import load_baselines
from tests.recordings import make_recording, shop_recording
from tests.shop import SHOP_TABLES

pytestmark = pytest.mark.unit

# Eight windows are thin.
# The shop was recorded for a minute.
TO = ["--to", "seccomp", "--allow", "thin"]
LEARN = ["learn", "--allow", "thin"]
NAMES = [
    "shop-staging.Deployment-checkout.nginx.baseline.yaml",
    "shop-staging.Deployment-loadgen.curl.baseline.yaml",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_recording(tmp_path_factory.mktemp("shop") / "shop")


@pytest.fixture(scope="module")
def learnt(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("learnt") / "baselines"
    assert run([*LEARN, str(shop), "-o", str(place)]) == 0
    return place


@pytest.fixture
def baselines(learnt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    capsys.readouterr()
    return shutil.copytree(learnt, tmp_path / "baselines")


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_learning_writes_one_file_a_workload_and_says_how_settled_it_is(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "baselines"
    assert run([*LEARN, str(shop), "-o", str(place)]) == 0
    captured = capsys.readouterr()
    assert sorted(path.name for path in place.glob("*.baseline.yaml")) == NAMES
    assert "expected in the next" in captured.out
    assert "nothing lost" in captured.out
    assert captured.err.endswith(
        f"next: `ethogram export {place} --to seccomp -o policies --allow thin`"
        f" (or `ethogram show {place}`)\n"
    )


def test_a_summary_teaches_what_its_recording_teaches(shop: Path, tmp_path: Path) -> None:
    summary = tmp_path / "s.summary.parquet"
    assert run(["summarize", str(shop), "-o", str(summary)]) == 0
    assert run([*LEARN, "--no-model", str(summary), "-o", str(tmp_path / "a")]) == 0
    assert (
        run(
            [
                "learn",
                "--allow",
                "thin",
                "--no-model",
                str(shop),
                str(summary),
                "-o",
                str(tmp_path / "b"),
            ]
        )
        == 0
    )
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_recording_with_enough_steady_windows_gives_a_model_beside_the_baseline(
    baselines: Path, tmp_path: Path
) -> None:
    models = sorted(baselines.glob("*.skops"))
    assert [path.name for path in models] == [
        "shop-staging.Deployment-checkout.nginx.baseline.skops"
    ]
    model = load_baselines(baselines)[0][1].model
    assert model is not None
    assert model.file == models[0].name
    assert model.sha256 == hashlib.sha256(models[0].read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("budget", "words"),
    [("2/min", "; on unseen time "), ("1.2/min", " more show what it does on unseen time")],
)
def test_what_a_threshold_did_on_unseen_time_is_told(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: str, words: str
) -> None:
    place = tmp_path / "b"
    assert run([*LEARN, str(shop), "-o", str(place), "--budget", budget]) == 0
    assert f", {budget}: " in capsys.readouterr().out
    assert run(["show", str(place)]) == 0
    assert words in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("budget", ["0/week", "-1/day", "1", "week", "1e9/s"])
def test_what_is_no_budget_is_refused_where_no_model_comes_of_it_too(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: str
) -> None:
    command = [*LEARN, str(shop), "-o", str(tmp_path / "b"), "--no-model", f"--budget={budget}"]
    assert run(command) == 2
    said = capsys.readouterr().err
    assert f"`{budget}` is no alert budget" in said
    assert "as in `1/week`" in said
    assert not (tmp_path / "b").exists()


def test_a_budget_of_no_model_is_refused(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*LEARN, str(shop), "-o", str(tmp_path / "b"), "--no-model", "--budget=2/day"]
    assert run(command) == 2
    assert "`--no-model` leaves it out" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_budget_for_summaries_alone_is_said_to_do_nothing(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = str(tmp_path / "s.summary.parquet")
    assert run(["summarize", str(shop), "-o", summary]) == 0
    assert run([*LEARN, summary, "-o", str(tmp_path / "b"), "--budget=2/day"]) == 0
    assert "warning: `--budget` does nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "model"),
    [
        ("version-2.yaml", "version-2.skops"),
        ("checkout.baseline.yaml", "checkout.baseline.skops"),
        ("what I typed.yaml", "shop-staging.Deployment-checkout.nginx.baseline.skops"),
    ],
)
def test_the_model_is_named_after_the_file_or_else_after_the_workload(
    file: str, model: str, tmp_path: Path
) -> None:
    one = make_recording(
        tmp_path / "r",
        **{name: [dict(row) for row in rows] for name, rows in _without_loadgen().items()},
    )
    assert run([*LEARN, str(one), "-o", str(tmp_path / file)]) == 0
    reference = load_baselines(tmp_path / file)[0][1].model
    assert reference is not None
    assert reference.file == model
    assert (tmp_path / model).exists()


def test_baselines_have_no_place_in_a_recording(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(shop)
    assert run([*LEARN, str(shop), "-o", str(shop)]) == 2
    assert f"`{shop}` is a recording" in capsys.readouterr().err
    assert files_of(shop) == before


def _without_loadgen() -> dict[str, list[dict[str, object]]]:
    return {
        name: [row for row in rows if row.get("workload") != 2]
        for name, rows in SHOP_TABLES.items()
    }


def test_learning_again_changes_nothing(shop: Path, baselines: Path) -> None:
    before = files_of(baselines)
    assert run([*LEARN, str(shop), "-o", str(baselines)]) == 0
    assert files_of(baselines) == before


def test_a_baseline_that_was_edited_is_not_replaced_unasked(
    shop: Path, baselines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = baselines / NAMES[1]
    edited.write_text("mine")
    assert run([*LEARN, str(shop), "-o", str(baselines)]) == 2
    assert edited.read_text() == "mine"
    assert "exists and differs" in capsys.readouterr().err
    assert run([*LEARN, str(shop), "-o", str(baselines), "--force"]) == 0
    assert len(load_baselines(baselines)) == 2


def test_two_workloads_do_not_fit_in_one_file(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*LEARN, str(shop), "-o", str(tmp_path / "one.yaml")]) == 2
    assert "2 workloads do not fit in one file" in capsys.readouterr().err
    assert not (tmp_path / "one.yaml").exists()


def test_a_recording_of_nothing_teaches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = make_recording(tmp_path / "empty")
    assert run([*LEARN, str(empty), "-o", str(tmp_path / "b")]) == 2
    assert "no workload to learn from" in capsys.readouterr().err


def test_a_baseline_is_shown_with_its_rules(
    baselines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(baselines / NAMES[0])]) == 0
    printed = capsys.readouterr().out
    assert "tcp to StatefulSet shop-staging/redis:6379" in " ".join(printed.split())
    assert "caf\\xe9.tmp rwc" in printed
    assert run(["show", str(baselines), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["baseline"]["subject"]["name"] for one in document["baselines"]] == [
        "checkout",
        "loadgen",
    ]


def test_an_export_is_indexed_by_what_it_was_made_from(baselines: Path, tmp_path: Path) -> None:
    place = tmp_path / "policies"
    assert run(["export", str(baselines), *TO, "-o", str(place)]) == 0
    index = json.loads((place / "index.json").read_text())
    written = files_of(place)
    assert set(written) == {entry["path"] for entry in index} | {"index.json"}
    for entry in index:
        assert entry["sha256"] == hashlib.sha256(written[entry["path"]]).hexdigest()
    digests = {hashlib.sha256(data).hexdigest() for data in files_of(baselines).values()}
    assert {entry["baseline_sha256"] for entry in index} <= digests


def test_exporting_twice_gives_the_same_bytes(baselines: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        place = str(tmp_path / name)
        assert run(["export", str(baselines), *TO, "-o", place]) == 0
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_profile_logs_until_it_is_told_to_deny(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "policies"
    words = ["export", str(baselines), *TO, "-o", str(place)]
    profile = place / "shop-staging" / "Deployment-checkout" / "nginx.seccomp.json"
    assert run(words) == 0
    assert json.loads(profile.read_text())["defaultAction"] == "SCMP_ACT_LOG"
    assert run([*words, "--enforce"]) == 2
    assert json.loads(profile.read_text())["defaultAction"] == "SCMP_ACT_LOG"
    assert "pass `--force`" in capsys.readouterr().err
    assert run([*words, "--enforce", "--force"]) == 0
    assert json.loads(profile.read_text())["defaultAction"] == "SCMP_ACT_ERRNO"


def test_check_tells_a_stale_export(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(baselines), *TO, "-o", str(tmp_path / "p")]
    assert run([*words, "--check"]) == 5
    assert not (tmp_path / "p").exists()
    assert run(words) == 0
    assert run([*words, "--check"]) == 0
    profile = next((tmp_path / "p").rglob("nginx.seccomp.json"))
    profile.write_bytes(profile.read_bytes() + b"\n")
    capsys.readouterr()
    assert run([*words, "--check"]) == 5
    assert "is stale" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "p"
    assert run(["export", str(baselines), *TO, "-o", str(place), "--dry-run"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert f"new\t{place}/shop-staging/Deployment-checkout/nginx.seccomp.json" in lines
    assert not place.exists()


def test_the_next_command_names_the_runtime_as_it_was_named(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(baselines), *TO, "--runtime", "runc=1.1.5"]
    assert run([*words, "-o", str(tmp_path / "p")]) == 0
    assert "--to seccomp --runtime runc=1.1.5 --allow thin -o " in capsys.readouterr().err


def test_the_same_finding_is_said_once(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(baselines), *TO, "-o", str(tmp_path / "p")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("info:")]
    assert len(lines) == len(set(lines))
    assert any(line.endswith("(all 2 baselines)") for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "cause", "hint"),
    [
        (["--to", "secomp"], 2, "there is no exporter `secomp`", "did you mean `seccomp`?"),
        ([*TO, "--runtime", "runc=0.1"], 2, "runtime `runc=0.1`", "runc@1.1.5"),
        (["--to", "seccomp", "--set", "tolernce=yes"], 2, "no setting `tolernce`", "tolerance"),
        (["--to", "seccomp", "--set", "tolerance"], 2, "`tolerance` is no setting", "NAME=VALUE"),
        (["--to", "seccomp", "--check", "--dry-run"], 2, "different questions", "ask one"),
        ([], 2, "`ethogram export` needs `--to`", "--help"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: list[str],
    code: int,
    cause: str,
    hint: str,
    baselines: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["export", str(baselines), "-o", str(tmp_path / "p"), *words]) == code
    printed = capsys.readouterr().err
    assert cause in printed
    assert hint in printed
    assert not (tmp_path / "p").exists()


def test_a_recording_is_not_exported(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(shop), *TO, "-o", str(tmp_path / "p")]) == 2
    printed = capsys.readouterr().err
    assert "is a recording, not a baseline" in printed
    assert f"`ethogram learn {shop} -o baselines` makes one of it" in printed


def test_a_directory_that_is_not_an_export_is_left_alone(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.json").write_text('{"mine": true}')
    assert run(["export", str(baselines), *TO, "-o", str(tmp_path), "--force"]) == 2
    assert "is not the index of an export" in capsys.readouterr().err
    assert (tmp_path / "index.json").read_text() == '{"mine": true}'


def test_a_baseline_with_an_unknown_key_is_refused_by_name(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = baselines / NAMES[0]
    path.write_text(path.read_text() + "surprise: 1\n")
    assert run(["export", str(path), *TO, "-o", str(tmp_path / "p")]) == 5
    assert "field `surprise`" in capsys.readouterr().err
