"""What a node says of itself: bounded, the same for the same profiles, and of itself alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ethogram.cli.run import run
from profiler.cluster.annotation import ANNOTATION, annotation_of
from tests.deployment import DEPLOY
from tests.vap import bound, evaluate, problems_of_expression, problems_of_variables, violations

pytestmark = pytest.mark.unit

ACCOUNT = "system:serviceaccount:ethogram:ethogram-profiles"
CLAIM = "authentication.kubernetes.io/node-name"


def names(count: int) -> list[str]:
    return [f"ethogram/shop/checkout-{number:012x}.json" for number in range(count)]


def test_the_same_profiles_give_the_same_words() -> None:
    a, b = names(2)
    text = annotation_of([b, a])
    assert text == annotation_of([a, b, a])
    digest = hashlib.sha256(f"{a}\n{b}\n".encode()).hexdigest()
    assert json.loads(text) == {"count": 2, "sha256": digest, "profiles": [a, b]}
    assert " " not in text
    assert json.loads(annotation_of([]))["profiles"] == []


def test_what_is_too_long_is_cut_and_says_so() -> None:
    many = names(3000)
    text = annotation_of(many)
    said = json.loads(text)
    assert 65_000 < len(text) <= 65_536
    assert said["truncated"] is True
    assert said["count"] == 3000
    assert said["profiles"] == many[: len(said["profiles"])]
    other = [*many[:-1], many[-1].replace("checkout", "payment")]
    assert annotation_of(other) != text  # of which profiles it is, is told all the same


def test_the_most_that_fits_is_not_cut() -> None:
    whole = next(n for n in range(1700, 1, -1) if "truncated" not in annotation_of(names(n)))
    assert len(annotation_of(names(whole))) <= 65_536
    assert "truncated" in annotation_of(names(whole + 1))
    kept = len(json.loads(annotation_of(names(whole + 1)))["profiles"])
    assert kept in {whole, whole - 1}  # the mark takes room, too


@pytest.mark.parametrize("words", [[], ["--node", "n"], ["--kubernetes", "in-cluster"]])
def test_it_needs_a_node_and_who_has_it(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profiles", "--root", str(tmp_path), "--annotate", *words]) == 2
    assert "`--annotate` writes to a Node" in capsys.readouterr().err
    assert run(["profiles", "--merge", "--annotate"]) == 2


# --- the policy that holds the account ------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def policy() -> dict[str, Any]:
    path = DEPLOY / "kubernetes/node-annotation/policy.yaml"
    return dict(next(yaml.safe_load_all(path.read_text()))["spec"])


def node() -> dict[str, Any]:
    return {
        "metadata": {"name": "node-1", "labels": {"zone": "a"}, "annotations": {"theirs": "1"}},
        "spec": {"podCIDR": "10.0.0.0/24"},
    }


def said_of(before: dict[str, Any], after: dict[str, Any], extra: Any) -> list[str]:
    """Return what the policy has against changing *before* into *after*."""
    spec = policy()
    user: dict[str, Any] = {"username": ACCOUNT}
    if extra is not None:
        user["extra"] = extra
    data: dict[str, Any] = {"object": after, "oldObject": before, "request": {"userInfo": user}}
    assert evaluate(spec["matchConditions"][0]["expression"], data) is True
    data["variables"] = bound(spec["variables"], data)
    return list(violations(spec["validations"], data))


def after(change: Change) -> dict[str, Any]:
    made = node()
    change(made)
    return made


def of_metadata(**fields: Any) -> Change:
    return lambda one: one["metadata"].update(fields)


OURS = {ANNOTATION: "{}"}
ALLOWED: list[Change] = [
    of_metadata(annotations={"theirs": "1", **OURS}),
    of_metadata(annotations={"theirs": "1", **OURS}, managedFields=[{}], resourceVersion="8"),
    lambda _: None,
]
REFUSED: list[Change] = [
    of_metadata(annotations=OURS),
    of_metadata(annotations={"theirs": "2", **OURS}),
    of_metadata(annotations={"theirs": "1", "scheduler": "x"}),
    of_metadata(labels={"zone": "a", "node-role.kubernetes.io/control-plane": ""}),
    of_metadata(labels={}),
    of_metadata(finalizers=["x"]),
    of_metadata(ownerReferences=[{"kind": "Pod", "name": "x"}]),
    lambda one: one["metadata"].pop("labels"),
    lambda one: one["metadata"].pop("annotations"),
    lambda one: one["spec"].update(taints=[{"key": "x", "effect": "NoExecute"}]),
    lambda one: one["spec"].update(unschedulable=True),
    lambda one: one.pop("spec"),
]


@pytest.mark.parametrize("change", ALLOWED)
def test_the_account_may_change_its_annotation(change: Change) -> None:
    assert said_of(node(), after(change), {CLAIM: ["node-1"]}) == []


def test_it_may_be_the_first_annotation_or_the_last() -> None:
    bare = after(lambda one: one["metadata"].pop("annotations"))
    ours = after(of_metadata(annotations=OURS))
    assert said_of(bare, ours, {CLAIM: ["node-1"]}) == []
    assert said_of(ours, bare, {CLAIM: ["node-1"]}) == []


@pytest.mark.parametrize("change", REFUSED)
def test_and_nothing_else(change: Change) -> None:
    (words,) = said_of(node(), after(change), {CLAIM: ["node-1"]})
    assert words.startswith("of a Node")


@pytest.mark.parametrize(
    "extra",
    [
        None,
        {},
        {CLAIM: []},
        {CLAIM: ["node-2"]},
        {"authentication.kubernetes.io/pod-name": ["node-1"]},
    ],
)
def test_and_of_its_own_node_alone(extra: Any) -> None:
    (words,) = said_of(node(), after(ALLOWED[0]), extra)
    assert "the Node that its pod runs on" in words


def test_a_node_that_is_made_is_refused() -> None:
    assert said_of({}, node(), {CLAIM: ["node-1"]})


def test_of_others_nothing_is_asked() -> None:
    user = {"username": "system:node:node-1"}
    (condition,) = policy()["matchConditions"]
    assert evaluate(condition["expression"], {"request": {"userInfo": user}}) is False


def test_an_api_server_takes_every_expression() -> None:
    spec, known = policy(), set[str]()
    assert list(problems_of_variables(spec["variables"], known)) == []
    for one in (*spec["validations"], *spec["matchConditions"]):
        assert list(problems_of_expression(one["expression"], known, "BOOL")) == []
    assert {one["reason"] for one in spec["validations"]} == {"Forbidden"}
