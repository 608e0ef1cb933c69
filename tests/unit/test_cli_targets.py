"""Whom to record: exactly one kind of target, checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.options import Duration
from ethogram.cli.run import run
from ethogram.cli.targets import Chosen, chosen
from ethogram.errors import UsageError

pytestmark = pytest.mark.unit


def options(**given: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        f"target_{kind}": () for kind in ("container", "pod", "namespace", "unit", "cgroup")
    }
    return {**nothing, "target_all": False, "command": (), **given}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"target_all": True}, Chosen("all", ())),
        ({"target_container": ("4f1c", "77ab")}, Chosen("container", ("4f1c", "77ab"))),
        ({"target_pod": ("shop/checkout-0",)}, Chosen("pod", ("shop/checkout-0",))),
        ({"target_cgroup": ("/system.slice",)}, Chosen("cgroup", ("/system.slice",))),
        ({"command": ("sh", "-c", "exit 3")}, Chosen("command", ("sh", "-c", "exit 3"))),
    ],
)
def test_one_kind_of_target_is_taken_as_it_is(given: dict[str, Any], expected: Chosen) -> None:
    assert chosen(options(**given)) == expected


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({}, "no target given"),
        ({"target_all": True, "command": ("true",)}, "`--all` and `-- COMMAND` are different"),
        ({"target_pod": ("a/b",), "target_unit": ("x",)}, "`--pod` and `--unit` are different"),
        ({"target_pod": ("checkout",)}, "`checkout` is not of the form NS/NAME"),
        ({"target_pod": ("a/b/c",)}, "`a/b/c` is not of the form NS/NAME"),
        ({"target_pod": ("/b",)}, "`/b` is not of the form NS/NAME"),
        ({"target_container": ("",)}, "`--container` is empty"),
        ({"target_cgroup": ("system.slice",)}, "does not begin with `/`"),
        ({"command": ("/no/such/program",)}, "there is no file `/no/such/program`"),
    ],
)
def test_a_contradiction_is_refused(given: dict[str, Any], cause: str) -> None:
    with pytest.raises(UsageError) as refused:
        chosen(options(**given))
    assert cause in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("5s", 5_000), ("0.5s", 500), ("2m", 120_000), ("1h", 3_600_000),
     ("7d", 604_800_000)],
)  # fmt: skip
def test_a_duration_has_a_unit(text: str, milliseconds: int) -> None:
    assert Duration().convert(text, None, None) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5S", "1e3s", "٥s", "5s5s", "inf"])
def test_what_is_no_duration_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["record", "-o", str(tmp_path / "r"), "--all", "--window", text]) == 2
    assert "is no duration such as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text"), [("--window", "99ms"), ("--window", "0s"), ("--duration", "9ms")]
)
def test_a_duration_that_is_too_short_is_refused(
    option: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["record", "-o", str(tmp_path / "r"), "--all", option, text]) == 2
    assert f"`{text}` is shorter than" in capsys.readouterr().err


def test_a_ready_file_without_a_directory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = tmp_path / "missing" / "ready"
    words = ["-o", str(tmp_path / "r"), "--ready-file", str(ready), "--all"]
    assert run(["record", *words]) == 2
    assert f"there is no directory `{tmp_path / 'missing'}`" in capsys.readouterr().err


def test_an_inventory_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = str(tmp_path / "none.json")
    assert run(["record", "-o", str(tmp_path / "r"), "--all", "--inventory", inventory]) == 2
    assert "none.json" in capsys.readouterr().err


def test_try_runs_nothing_for_a_runtime_that_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    assert run(["try", "--runtime", "rnc", "--", "touch", str(made)]) == 2
    assert "nothing is known about the runtime `rnc`" in capsys.readouterr().err
    assert not made.exists()


def test_try_asks_the_host_for_its_runtimes_as_export_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    made = tmp_path / "made"
    assert run(["try", "--runtime", "auto,rnc", "--", "/bin/touch", str(made)]) in (2, 3)
    told = capsys.readouterr().err
    assert "an exporter reads nothing" not in told
    assert "asks the runtimes of this host" in told or "the runtime `rnc`" in told
    assert not made.exists()
