"""`export` with `--map`, several targets and settings of some of them: what is written and said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import Baseline, dump_baseline
from tests.environments import baseline_of

pytestmark = pytest.mark.unit

READ = {"arch": "x86_64", "name": "read", "nr": 0}
SELECTOR = {"app": "checkout", "env": "staging"}
REDIS = {"kind": "service", "namespace": "shop-staging", "name": "redis"}
REDIS |= {"selector": {"app": "redis", "env": "staging"}, "targets": ("6379",)}
TO_REDIS = {"direction": "out", "protocol": "tcp", "address": "", "port": 6379, "identity": REDIS}
MAP = {"namespaces": {"shop-staging": "shop"}}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes baselines into the directory `baselines`."""
    place = tmp_path / "baselines"
    place.mkdir()

    def one(name: str = "checkout", baseline: Baseline | None = None, **subject: Any) -> Path:
        learnt = baseline or baseline_of(
            subject={"name": name, "selector": SELECTOR, **subject},
            syscalls=[READ],
            peers=[TO_REDIS],
        )
        file = place / f"{name}.baseline.yaml"
        file.write_text(dump_baseline(learnt))
        return place

    return one


@pytest.fixture
def map_file(tmp_path: Path) -> Callable[..., Path]:
    def one(**sections: Any) -> Path:
        file = tmp_path / "production.yaml"
        file.write_text(json.dumps({"schema": "ethogram.map/1", **sections}))
        return file

    return one


def export(baselines: Path, *words: str | Path) -> tuple[int, Path]:
    place = baselines.parent / "policies"
    return run(["export", str(baselines), "-o", str(place), *map(str, words)]), place


def index_of(place: Path) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads((place / "index.json").read_text())
    return entries


def test_policies_come_out_under_the_other_namespace(
    write: Write, map_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines = write()
    mapped = map_file(**MAP, labels={"env": {"staging": "production"}})
    code, place = export(baselines, "--to", "networkpolicy", "--to", "seccomp", "--map", mapped)
    assert code == 0
    index = index_of(place)
    assert {entry["path"].split("/")[0] for entry in index} == {"shop"}
    assert all("/shop/Deployment/checkout/" in f"/{entry['workload_key']}" for entry in index)
    (policy,) = place.rglob("*.networkpolicy.yaml")
    text = policy.read_text()
    assert "staging" not in text
    assert text.count("env: production") == 2
    assert "warning: --map" not in capsys.readouterr().err


def test_the_index_has_the_digest_of_the_file_that_was_learnt(write: Write, map_file: Any) -> None:
    baselines = write()
    before = hashlib.sha256((baselines / "checkout.baseline.yaml").read_bytes()).hexdigest()
    _, place = export(baselines, "--to", "seccomp", "--map", map_file(**MAP))
    assert {entry["baseline_sha256"] for entry in index_of(place)} == {before}


def test_what_a_policy_was_made_from_names_the_map_and_a_carried_rule_is_explained(
    write: Write, map_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines, mapped = write(), map_file(**MAP)
    code, exported = export(baselines, "--to", "networkpolicy", "--map", mapped)
    assert code == 0
    (policy,) = exported.rglob("*.networkpolicy.yaml")
    (beside,) = exported.rglob("*.networkpolicy.provenance.json")
    digest = hashlib.sha256(mapped.read_bytes()).hexdigest()
    told = json.loads(beside.read_text())
    assert told["made_from"]["map"] == {"name": mapped.name, "sha256": digest}
    assert f'ethogram.dev/map: "{mapped.name} sha256:{digest}"' in policy.read_text()
    (place,) = [one["place"] for one in told["reasons"] if one["why"] == "observed"]
    capsys.readouterr()
    assert run(["explain", str(policy), place, "--baseline", str(baselines)]) == 0
    printed = capsys.readouterr()
    assert "the baseline names it otherwise" in printed.out
    assert "warning" not in printed.err


def test_what_of_a_map_names_nothing_is_said(
    write: Write, map_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write("loadgen", namespace="load")
    mapped = map_file(
        namespaces={"shop-staging": "shop", "shop-stagin": "shop"},
        cidrs={"10.1.0.0/16": "10.2.0.0/16"},
    )
    code, place = export(write(), "--to", "seccomp", "--map", mapped)
    assert code == 0
    assert capsys.readouterr().err.startswith(
        "warning: --map: namespace `shop-stagin` is in no baseline\n"
        "  hint: did you mean `shop-staging`?\n"
        "warning: --map: CIDR `10.1.0.0/16` is in no baseline\n"
        "warning: --map: namespace `load` of 1 baseline is not in it and stays\n"
    )
    assert {entry["path"].split("/")[0] for entry in index_of(place)} == {"shop", "load"}


OUTSIDE = {"direction": "out", "protocol": "tcp", "address": "203.0.113.9", "port": 443}
OUTSIDE |= {"name": "pay.staging.example.com"}
SUFFIX = {"dns_suffixes": {"staging.example.com": "example.com"}}


def test_of_many_entries_that_name_nothing_some_are_said(
    write: Write, map_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mapped = map_file(namespaces=MAP["namespaces"] | {f"n{i}": f"m{i}" for i in range(2_000)})
    assert export(write(), "--to", "seccomp", "--map", mapped)[0] == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "--map: n" in line]
    assert len(said) == 11
    assert said[-1] == "warning: --map: neither are 1,990 more entries"


@pytest.mark.parametrize(
    ("target", "sections", "is_said"),
    [
        ("networkpolicy", {}, True),
        ("networkpolicy", {"cidrs": {"203.0.113.0/24": "198.51.100.0/24"}}, False),
        ("networkpolicy", {"cidrs": {"203.0.113.9/32": "203.0.113.9/32"}}, False),
        ("seccomp", {}, False),
    ],
)
def test_a_name_that_is_mapped_without_its_address_is_said(
    target: str,
    sections: dict[str, Any],
    is_said: bool,
    write: Write,
    map_file: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    learnt = baseline_of(
        subject={"name": "checkout", "selector": SELECTOR}, syscalls=[READ], peers=[OUTSIDE]
    )
    mapped = map_file(**SUFFIX, **sections)
    code, _ = export(write(baseline=learnt), "--to", target, "--map", mapped)
    printed = capsys.readouterr().err
    assert code == 0
    assert ("203.0.113.9 (pay.example.com)" in printed.partition("info:")[0]) == is_said
    assert ("`cidrs: {203.0.113.9/32: ...}`" in printed) == is_said


@pytest.mark.parametrize(
    ("sections", "cause", "hint"),
    [
        (
            {"namespaces": {"shop-stagin": "shop"}},
            "maps nothing here: namespace `shop-stagin` is in none of 1 baseline\n",
            "did you mean `shop-staging`?",
        ),
        (
            {"namespaces": {"x": "y"}, "labels": {"a": {"b": "c"}}},
            "namespace `x` is in none of 1 baseline, nor is the rest",
            "another application?",
        ),
        ({"namespaces": {"x": "Y"}}, "field `namespaces`: Kubernetes refuses", "shop-staging"),
        ({}, "maps nothing\n", "write what differs"),
    ],
)
def test_a_map_of_something_else_is_refused(
    sections: dict[str, Any],
    cause: str,
    hint: str,
    write: Write,
    map_file: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, place = export(write(), "--to", "seccomp", "--map", map_file(**sections))
    printed = capsys.readouterr().err
    assert (code, place.exists()) == (2, False)
    assert "production.yaml`" in printed
    assert cause in printed
    assert hint in printed


def test_a_baseline_is_no_map(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    baselines = write()
    code, _ = export(baselines, "--to", "seccomp", "--map", baselines / "checkout.baseline.yaml")
    assert code == 2
    assert "is a baseline, not a map of environments" in capsys.readouterr().err


def test_a_map_that_makes_one_workload_of_two_is_refused(
    write: Write, map_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write("checkout")
    baselines = write("b", baseline_of(subject={"namespace": "shop-test"}, syscalls=[READ]))
    mapped = map_file(namespaces={"shop-staging": "shop", "shop-test": "shop"})
    code, place = export(baselines, "--to", "seccomp", "--map", mapped)
    assert (code, place.exists()) == (2, False)
    printed = capsys.readouterr().err
    assert "makes one workload of two" in printed
    assert "become `shop/Deployment/checkout (nginx)`" in printed


def test_the_next_command_repeats_what_was_asked(
    write: Write, map_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines, mapped = write(), map_file(**MAP)
    words = ("--to", "seccomp", "--to", "networkpolicy", "--map", mapped, "--runtime", "runc=1.1.5")
    code, place = export(baselines, *words, "--set", "dns=always")
    assert code == 0
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(
        f"next: `ethogram export {baselines} --to seccomp --to networkpolicy --map {mapped}"
        f" --set dns=always --runtime runc=1.1.5 -o {place} --enforce --force`"
    )


def test_each_target_gets_what_it_knows(
    write: Write, map_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines, mapped = write(image_digest="sha256:" + "ab" * 32), map_file(**MAP)
    targets = ("--to", "seccomp", "--to", "networkpolicy", "--to", "admission")
    words = (*targets, "--map", mapped, "--mode", "warn", "--bind-digest", "--allow-lossy")
    code, place = export(baselines, *words)
    assert code == 0
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith(
            f"next: `ethogram export {baselines} --to seccomp --to networkpolicy --to admission"
            f" --map {mapped} --bind-digest --allow inexpressible -o {place} --enforce --force`"
        )
    )
    folder = place / "shop" / "Deployment-checkout"
    admission = (folder / "nginx.admission.yaml").read_text()
    assert "validationActions: [Warn, Audit]" in admission
    assert "kubernetes.io/metadata.name: shop" in admission
    (profile,) = (entry["installs_as"] for entry in index_of(place) if "installs_as" in entry)
    assert profile in admission


def test_after_a_mode_that_does_not_deny_the_next_command_can_be_run(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines = write()
    code, place = export(baselines, "--to", "admission", "--mode", "warn")
    assert code == 0
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(
        f"next: `ethogram export {baselines} --to admission -o {place} --enforce --force`"
    )
    assert export(baselines, "--to", "admission", "--enforce", "--force")[0] == 0


def test_where_enforcing_changes_nothing_it_is_not_the_next_command(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines = write()
    code, place = export(baselines, "--to", "networkpolicy")
    assert code == 0
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(
        f"next: `ethogram export {baselines} --to networkpolicy -o {place} --che"
    )


@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        (["--to", "networkpolicy", "--runtime", "runc=1.1.5"],
         "`--runtime` says nothing to `networkpolicy`", "`--to kyverno`, `--to seccomp`"),
        (["--to", "seccomp", "--mode", "deny"],
         "`--mode` says nothing to `seccomp`", "it is for `--to admission`"),
        (["--to", "seccomp", "--to", "networkpolicy", "--bind-digest"],
         "`--bind-digest` says nothing to `seccomp` or `networkpolicy`", "`--to admission`"),
        (["--to", "seccomp", "--set", "dns=always"],
         "`seccomp` has no setting `dns`", "it is for `--to cilium`, `--to networkpolicy`"),
        (["--to", "seccomp", "--to", "networkpolicy", "--set", "dms=always"],
         "`seccomp` or `networkpolicy` has no setting `dms`", "did you mean `dns`?"),
        (["--to", "seccomp", "--to", "networkpolicy", "--set", "dns=no"],
         "`dns` is `no`", "always"),
        (["--to", "seccomp", "--to", "networkpolicy", "--set", "dns"], "is no setting", "NAME="),
        (["--to", "seccomp", "--runtime", "runc=1.1.5", "--set", "runtime=runc=1.1.5"],
         "setting `runtime` is given twice", ""),
        (["--to", "networkpolicy", "--to", "seccomp", "--mode", "block"], "`--mode`", "--help"),
    ],
)  # fmt: skip
def test_a_setting_that_no_target_knows_is_refused(
    words: list[str], cause: str, hint: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    code, place = export(write(), *words)
    printed = capsys.readouterr().err
    assert (code, place.exists()) == (2, False)
    assert cause in printed
    assert hint in printed


def test_what_has_no_policy_of_one_kind_is_said_and_the_rest_is_written(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = {"namespace": None, "kind": "Unit", "name": "sshd.service", "container": None}
    baselines = write("sshd", baseline_of(subject=unit, syscalls=[READ]))
    write("checkout")
    code, place = export(baselines, "--to", "networkpolicy", "--to", "seccomp")
    assert code == 0
    assert sorted(entry["path"] for entry in index_of(place) if "prov" not in entry["path"]) == [
        "_/Unit-sshd.service/pod.seccomp.json",
        "shop-staging/Deployment-checkout/nginx.networkpolicy.yaml",
        "shop-staging/Deployment-checkout/nginx.seccomp.json",
    ]
    assert "warning: networkpolicy: no policy: Unit `sshd.service`" in capsys.readouterr().err


def test_no_policy_at_all_is_an_error(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    unit = {"namespace": None, "kind": "Unit", "name": "sshd.service", "container": None}
    baselines = write("sshd", baseline_of(subject=unit, syscalls=[READ]))
    code, place = export(baselines, "--to", "networkpolicy")
    assert (code, place.exists()) == (6, False)
    printed = capsys.readouterr().err
    assert "warning: networkpolicy: no policy: Unit `sshd.service`" in printed
    assert "error: no baseline has a policy for `networkpolicy`: nothing was written" in printed


def test_one_refusal_among_several_is_a_loss_that_can_be_allowed(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = baseline_of(
        subject={"name": "silent", "selector": {"app": "silent"}}, peers=[TO_REDIS]
    )
    baselines = write("silent", silent)
    assert export(baselines, "--to", "seccomp")[0] == 6
    assert "error: no system call of `" in capsys.readouterr().err
    write("checkout")
    code, place = export(baselines, "--to", "seccomp")
    assert (code, place.exists()) == (6, False)
    printed = capsys.readouterr().err
    assert "loss: seccomp: no system call of `_/shop-staging/Deployment/silent" in printed
    assert "1 loss that nobody allowed" in printed
    code, place = export(baselines, "--to", "seccomp", "--allow-lossy")
    assert code == 0
    assert {entry["path"].split("/")[1] for entry in index_of(place)} == {"Deployment-checkout"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p/index.json", "[]", "is a directory of policies"),
        ("m.yaml", "schema: ethogram.map/1\n", "is a map of environments"),
        ("i.json", '{"apiVersion": "v1", "items": []}', "is a list of Kubernetes objects"),
        ("n.yaml", "apiVersion: v1\nkind: NetworkPolicy\n", "is a Kubernetes object"),
    ],
)
def test_something_else_than_a_baseline_is_named(
    name: str, content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    given = file.parent if file.name == "index.json" else file
    for command in (
        ["show", str(given)],
        ["learn", "--allow", "thin", str(given), "-o", str(tmp_path / "b")],
        ["export", str(given), "--to", "seccomp", "-o", str(tmp_path / "q")],
        ["merge", str(given), "-o", str(tmp_path / "x.summary.parquet")],
        ["summarize", str(given), "-o", str(tmp_path / "x.summary.parquet")],
    ):
        assert run(command) == 2
        assert f"`{given}` {words}" in capsys.readouterr().err
