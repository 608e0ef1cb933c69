"""What `export` refuses unless it is told that it will do, and where the policy says so."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, Observation, dump_baseline
from tests.baselines import make_baseline, syscall_rule
from tests.peers import EVERY_PEER, make_network_baseline

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(baseline: Baseline | None = None, **watched: Any) -> None:
    """Write the baseline `b.yaml`, watched as *watched* says."""
    baseline = baseline or make_baseline("read")
    seen = Observation.model_validate(baseline.observation.model_dump() | watched)
    text = dump_baseline(baseline.model_copy(update={"observation": seen}))
    Path("b.yaml").write_text(text)


def export(*words: str) -> int:
    return run(["export", "b.yaml", "--to", "seccomp", "-o", "p", *words])


def provenance() -> dict[str, Any]:
    (file,) = Path("p").rglob("*.provenance.json")
    made: dict[str, Any] = json.loads(file.read_text())["made_from"]
    return made


THIN: dict[str, Any] = {"reasons": ["short"], "steady_seconds": 12.0}
LOSSY: dict[str, Any] = {"reasons": ["lost"], "state": "lossy", "losses": {"ring_full": 7}}
ENFORCED: dict[str, Any] = {"reasons": ["refused"], "state": "enforced", "refused": ["ptrace"]}


@pytest.mark.parametrize(
    ("watched", "kind", "words"),
    [
        (THIN, "thin", "steady for 12 s of at least 300 s"),
        (LOSSY, "lossy", "7 events lost (ring_full)"),
        (ENFORCED, "enforced", "a seccomp filter refused ptrace"),
        ({"state": "lossy"}, "lossy", ""),
        (THIN | {"allowed": ["thin"]}, "thin", ""),
    ],
)
def test_a_poor_baseline_is_refused_until_that_is_allowed_and_the_policy_says_so(
    watched: dict[str, Any], kind: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(**watched)
    assert export() == 4
    told = capsys.readouterr().err
    assert f"{kind}: Deployment/checkout" in told or f"{kind}: shop-staging" in told
    assert words in told
    assert f"error: nothing was written: 1 of 1 baseline is {kind}\n" in told
    assert f"`--allow {kind}`: the policies will say so" in told
    assert not Path("p").exists()
    assert export("--allow", kind) == 0
    assert provenance()["allowed"] == [kind]
    *_, last = capsys.readouterr().err.splitlines()
    assert f"--allow {kind} " in last


def test_annotations_say_what_was_allowed() -> None:
    write(make_network_baseline(*EVERY_PEER[:1]), **THIN)
    assert run(["export", "b.yaml", "--to", "networkpolicy", "--allow", "thin", "-o", "p"]) == 0
    (file,) = Path("p").rglob("*.networkpolicy.yaml")
    text = file.read_text()
    assert 'ethogram.dev/allowed: "thin (steady for 12 s of at least 300 s' in text
    assert "ethogram.dev/baseline: " in text


def test_what_is_fit_needs_nothing_and_says_nothing() -> None:
    write(reasons=["filter"], state="enforced")
    assert export("--allow", "thin") == 0
    assert provenance()["allowed"] == []


def test_every_shortcoming_has_to_be_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    write(reasons=["short", "lost"], state="lossy")
    assert export("--allow", "thin") == 4
    assert "`--allow thin,lossy`" in capsys.readouterr().err
    assert export("--allow", "thin", "--allow", "lossy") == 0
    assert provenance()["allowed"] == ["lossy", "thin"]


@pytest.mark.parametrize("words", [("--allow", "inexpressible"), ("--allow-lossy",)])
def test_what_a_target_cannot_express_is_another_matter(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    write(make_baseline("read", syscall_rule(None, nr=999)), **THIN)
    assert export("--allow", "thin") == 6
    assert "`--allow thin,inexpressible` to write the rest" in capsys.readouterr().err
    assert export("--allow", "thin", *words) == 0
    *_, last = capsys.readouterr().err.splitlines()
    assert "--allow thin,inexpressible -o p" in last
    command = shlex.split(last.partition("`")[2].partition("`")[0])
    assert run(command[1:]) == 0


def test_an_unknown_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert export("--allow", "short") == 2
    known = "`thin`, `lossy`, `enforced`, `inexpressible`"
    assert f"`short` is none of {known}" in capsys.readouterr().err


def test_an_option_that_means_nothing_is_told_before(capsys: pytest.CaptureFixture[str]) -> None:
    write(**THIN)
    assert export("--runtime", "runc=0.1") == 2
    assert "runc=0.1" in capsys.readouterr().err


def test_show_names_the_export_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    write(**THIN)
    assert run(["show", "b.yaml"]) == 0
    *_, last = capsys.readouterr().err.splitlines()
    command = shlex.split(last.partition("`")[2].partition("`")[0])
    assert command[1] == "export"
    assert run(command[1:]) == 0
