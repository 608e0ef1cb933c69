"""Which baseline applies: names, namespaces, digests, and which of several decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector.library import Library
from ethogram.contracts.baseline import Baseline, Match, dump_baseline
from ethogram.contracts.environment import parse_environment
from ethogram.contracts.escape import escape
from ethogram.errors import BaselineError
from profiler.identity.model import bounded
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit

DIGEST, OTHER_DIGEST = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"

MAP = "schema: ethogram.map/1\nnamespaces: {shop-staging: shop}\n"


def row(**fields: Any) -> dict[str, Any]:
    """Return a row of `workloads`."""
    return {
        "namespace": "shop",
        "kind": "Deployment",
        "name": "checkout",
        "container": "nginx",
        "image_digest": None,
    } | fields


def baseline(*, learnt_in: str | None = "shop-staging", **match: Any) -> Baseline:
    who = {"kind": "Deployment", "name": "checkout", "container": "nginx"} | match
    one = make_baseline("read", subject={"namespace": learnt_in})
    return one.model_copy(update={"match": Match.model_validate(who)})


def library(place: Path, **baselines: Baseline) -> Library:
    for name, one in baselines.items():
        (place / f"{name}.baseline.yaml").write_text(dump_baseline(one))
    return Library.load(place)


def name_of(library: Library, workload: dict[str, Any]) -> str | None:
    found = library.of(workload)
    return found.file.name.removesuffix(".baseline.yaml") if found else None


def test_a_baseline_of_staging_applies_in_any_namespace(tmp_path: Path) -> None:
    one = library(tmp_path, a=baseline())
    assert name_of(one, row(namespace="shop")) == "a"
    assert name_of(one, row(namespace=None)) == "a"


@pytest.mark.parametrize(
    "fields",
    [{"kind": "StatefulSet"}, {"name": "checkout-2"}, {"container": "envoy"}, {"container": None}],
)
def test_kind_name_and_container_have_to_be_equal(fields: dict[str, Any], tmp_path: Path) -> None:
    assert name_of(library(tmp_path, a=baseline()), row(**fields)) is None


def test_what_a_match_does_not_say_matches_anything(tmp_path: Path) -> None:
    one = library(tmp_path, a=baseline(container=None))
    assert name_of(one, row(container="envoy")) == "a"


@pytest.mark.parametrize(
    ("pattern", "namespace", "fits"),
    [
        ("shop", "shop", True),
        ("shop", "shop-eu", False),
        ("shop-*", "shop-eu", True),
        ("shop-*", "my-shop-eu", False),
        ("*-eu", "shop-eu", True),
        ("*", "shop", True),
        ("*", None, False),
        ("sh.p", "shop", False),
        ("[s]hop", "shop", False),
        ("sh?p", "shop", False),
    ],
)
def test_a_namespace_is_a_pattern_of_stars_alone(
    pattern: str, namespace: str | None, fits: bool, tmp_path: Path
) -> None:
    one = library(tmp_path, a=baseline(namespace=pattern))
    assert name_of(one, row(namespace=namespace)) == ("a" if fits else None)


def test_listed_digests_leave_out_others_and_unknown_ones(tmp_path: Path) -> None:
    one = library(tmp_path, a=baseline(image_digest=[DIGEST]))
    assert name_of(one, row(image_digest=DIGEST)) == "a"
    assert name_of(one, row(image_digest=OTHER_DIGEST)) is None
    assert name_of(one, row()) is None


def test_the_most_specific_one_decides(tmp_path: Path) -> None:
    one = library(
        tmp_path,
        anywhere=baseline(),
        home=baseline(learnt_in="shop"),
        star=baseline(namespace="*"),
        pattern=baseline(namespace="shop-*"),
        named=baseline(namespace="shop-eu"),
        digest=baseline(namespace="shop-eu", image_digest=[DIGEST]),
        container=baseline(namespace="shop-eu", image_digest=[DIGEST], container=None),
    )
    assert name_of(one, row(namespace="shop-eu", image_digest=DIGEST)) == "digest"
    assert name_of(one, row(namespace="shop-eu")) == "named"
    assert name_of(one, row(namespace="shop-us")) == "pattern"
    assert name_of(one, row(namespace="bank")) == "star"
    assert name_of(one, row(namespace=None)) is None


def test_without_a_namespace_a_baseline_goes_first_where_it_was_learnt(tmp_path: Path) -> None:
    one = library(tmp_path, a=baseline(learnt_in="shop"), b=baseline(learnt_in="bank"))
    assert name_of(one, row(namespace="shop")) == "a"
    assert name_of(one, row(namespace="bank")) == "b"
    assert one.rivals(row(namespace="bank")) == ()


def test_elsewhere_neither_of_two_equal_ones_applies_and_both_are_named(tmp_path: Path) -> None:
    one = library(tmp_path, a=baseline(learnt_in="shop"), b=baseline(learnt_in="bank"))
    assert one.of(row(namespace="toys")) is None
    assert one.rivals(row(namespace="toys")) == one.known


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"namespace": "shop"}, {"namespace": "shop"}),
        ({"namespace": "*-eu"}, {"namespace": "sho*"}),
        ({"image_digest": [DIGEST, OTHER_DIGEST]}, {"image_digest": [OTHER_DIGEST]}),
        ({"container": None}, {"container": None}),
    ],
)
def test_baselines_that_overlap_are_refused_with_their_names(
    first: dict[str, Any], second: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(BaselineError) as caught:
        library(tmp_path, first=baseline(**first), second=baseline(**second))
    assert "first.baseline.yaml" in caught.value.message
    assert "second.baseline.yaml" in caught.value.message
    assert "match.namespace" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"namespace": "shop"}, {"namespace": "bank"}),
        ({"namespace": "*-eu"}, {"namespace": "*-us"}),
        ({"namespace": "a*b"}, {"namespace": "b*a"}),
        ({"namespace": "shop-*"}, {"namespace": "*"}),
        ({"image_digest": [DIGEST]}, {"image_digest": [OTHER_DIGEST]}),
        ({"image_digest": [DIGEST]}, {}),
        ({"container": "envoy"}, {}),
        ({"container": None}, {}),
        ({"name": "cart"}, {}),
    ],
)
def test_baselines_that_can_be_told_apart_are_kept(
    first: dict[str, Any], second: dict[str, Any], tmp_path: Path
) -> None:
    assert len(library(tmp_path, a=baseline(**first), b=baseline(**second)).known) == 2


@pytest.mark.parametrize("name", ["it's", "a\x1b[2Jb", "back\\slash", "x" * 600, "naïve*"])
def test_an_odd_name_is_found_as_it_was_learnt(name: str, tmp_path: Path) -> None:
    recorded = bounded(name)  # what the table has
    learnt = escape(recorded)  # what a baseline has
    one = library(tmp_path, a=baseline(kind="Container", name=learnt, container=None))
    assert name_of(one, row(kind="Container", name=recorded, container=None)) == "a"


def test_a_map_says_where_a_baseline_of_staging_applies_first(tmp_path: Path) -> None:
    library(tmp_path, a=baseline(learnt_in="shop-staging"), b=baseline(learnt_in="bank"))
    carried = Library.load(tmp_path, parse_environment(MAP))
    assert name_of(carried, row(namespace="shop")) == "a"
    assert name_of(carried, row(namespace="shop-staging")) is None
    assert [one.baseline.subject.namespace for one in carried.known] == ["shop", "bank"]


def test_a_map_that_makes_two_baselines_overlap_is_refused(tmp_path: Path) -> None:
    library(tmp_path, a=baseline(namespace="shop-staging"), b=baseline(namespace="shop"))
    with pytest.raises(BaselineError, match="neither more specifically"):
        Library.load(tmp_path, parse_environment(MAP))


def test_a_recording_is_not_taken_for_baselines(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BaselineError, match="is a recording, not baselines"):
        Library.load(tmp_path)


def test_a_directory_without_baselines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"there is no `\*\.baseline\.yaml`"):
        Library.load(tmp_path)
