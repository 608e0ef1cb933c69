"""`export --dry-run`, `--check` and `--prune`: what would change, what is stale, what goes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.exports import read_index
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit

CHECKOUT = "shop-staging/Deployment-checkout/nginx.seccomp.json"
CART = "shop-staging/Deployment-cart/nginx.seccomp.json"


def save(name: str, *calls: str) -> Path:
    Path("b").mkdir(exist_ok=True)
    path = Path("b", f"{name}.baseline.yaml")
    path.write_text(dump_baseline(make_baseline(*calls, subject={"name": name})))
    return path


def export(*words: str, source: str = "b") -> int:
    return run(["export", source, "--to", "seccomp", "-o", "p", *words])


@pytest.fixture
def exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """Return a directory with policies for two workloads."""
    monkeypatch.chdir(tmp_path)
    save("checkout", "read", "write")
    save("cart", "read")
    assert export() == 0
    capsys.readouterr()
    return Path("p")


def test_a_dry_run_prints_a_difference_that_applies(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("checkout", "read", "ptrace")
    assert export("--dry-run") == 0
    out, err = capsys.readouterr()
    assert '+        "ptrace",' in out.splitlines()
    assert "\x1b[" not in out
    assert "2 the same; nothing was written" in err
    subprocess.run(["git", "apply", "-"], input=out.encode(), check=True)
    assert export("--check") == 5  # all but the index
    err = capsys.readouterr().err
    assert "differs: `p/index.json`" in err
    assert export("--force") == 0
    assert f"wrote `p/{CHECKOUT}`" not in capsys.readouterr().err


def test_a_dry_run_tells_programs_too(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save("checkout", "read", "ptrace")
    assert export("--dry-run", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "ethogram.export/1"
    states = {each["path"]: each["state"] for each in document["files"]}
    assert states[CHECKOUT] == "changed"
    assert states[CART] == "same"
    [changed] = [each for each in document["files"] if each["path"] == CHECKOUT]
    assert changed["added"] >= 1
    assert changed["lines_not_shown"] == 0
    assert "--- a/p/" + CHECKOUT in changed["diff"]


def test_a_check_names_what_is_stale_and_the_command_that_renews_it(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("checkout", "read", "ptrace")
    (exported / CART).unlink()
    assert export("--check") == 5
    err = capsys.readouterr().err
    assert f"differs: `p/{CHECKOUT}`" in err
    assert f"missing: `p/{CART}`" in err
    assert "`ethogram export b --to seccomp -o p --force` renews it" in err
    assert export("--force") == 0
    assert export("--check") == 0


def test_policy_of_a_workload_that_is_gone_is_told_and_stays(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b/cart.baseline.yaml").unlink()
    assert export("--check") == 0
    assert f"stale: `{CART}`: no baseline is of its workload" in capsys.readouterr().err
    assert export("--check", "--prune") == 5
    assert f"left over: `p/{CART}`" in capsys.readouterr().err
    assert export() == 0
    assert (exported / CART).exists()


def test_pruning_removes_what_we_wrote_and_nothing_else(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b/cart.baseline.yaml").unlink()
    (exported / "shop-staging" / "ours.yaml").write_text("mine")
    assert export("--prune", "--dry-run") == 0
    assert f"would remove: `{CART}`" in capsys.readouterr().err
    assert (exported / CART).exists()
    assert export("--prune") == 0
    assert f"removed: `{CART}`" in capsys.readouterr().err
    assert not (exported / CART).parent.exists()
    assert (exported / "shop-staging" / "ours.yaml").exists()
    assert {entry.path for entry in read_index(exported)} & {CART} == set()
    assert export("--prune", "--check") == 0


def test_pruning_leaves_what_somebody_changed_and_links(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b/cart.baseline.yaml").unlink()
    (exported / CART).write_text("{}")
    assert export("--prune") == 0
    assert (exported / CART).read_text() == "{}"
    assert "and it was changed by hand" in capsys.readouterr().err
    outside = tmp_path / "outside"
    (exported / CART).parent.rename(outside)
    (exported / CART).parent.symlink_to(outside)
    assert export("--prune") == 0
    assert (outside / "nginx.seccomp.json").exists()


def test_one_baseline_says_nothing_of_others(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b/cart.baseline.yaml").unlink()
    assert export("--prune", source="b/checkout.baseline.yaml") == 0
    assert (exported / CART).exists()
    assert "stale:" not in capsys.readouterr().err


def test_what_a_target_refuses_today_keeps_the_policy_of_yesterday(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("cart")
    assert export("--prune", "--allow-lossy") == 0
    assert (exported / CART).exists()
    assert "its target made nothing for it this time" in capsys.readouterr().err


def test_a_format_needs_a_question(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--format", "json") == 2
    assert "add one of them" in capsys.readouterr().err
