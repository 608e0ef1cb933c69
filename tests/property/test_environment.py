"""Carrying a baseline elsewhere takes nothing from it: what it allowed it allows, mapped alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.baseline import (
    AnyValue,
    Baseline,
    Dimension,
    dump_baseline,
    parse_baseline,
    rule_id,
)
from ethogram.contracts.environment import Environment, apply_environment, unused
from ethogram.contracts.matching import Allowlist
from tests.environments import baseline_of, rule_of

pytestmark = pytest.mark.property

NAMESPACES = ["shop", "shop-staging", "test", "svc", "kube-system"]
NAMES = [
    "test",
    "staging.test",
    "a.staging.test",
    "b.eu.staging.test",
    "redis.shop-staging.svc.cluster.local",
    "redis.shop.svc.staging.test",
    "x.shop.test.svc",
    "pod.svc",
]
ADDRESSES = ["10.1.0.7", "10.1.255.7", "10.2.0.7", "10.2.3.4", "fd00:1::7", "::ffff:10.1.0.7", ""]
LABELS = ["staging", "production", "test"]

selectors = st.dictionaries(st.sampled_from(["env", "app"]), st.sampled_from(LABELS), max_size=2)
identities = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["pod", "service", "node", "apiserver", "dns", "external"]),
        "name": st.sampled_from(["redis", *NAMES]),
        "namespace": st.none() | st.sampled_from(NAMESPACES),
        "selector": selectors,
        "addresses": st.lists(st.sampled_from(ADDRESSES[:-1]), max_size=3, unique=True),
    }
)
peers = st.fixed_dictionaries(
    {
        "direction": st.sampled_from(["in", "out"]),
        "protocol": st.sampled_from(["tcp", "unix"]),
        "address": st.sampled_from(ADDRESSES),
        "port": st.sampled_from([None, 80]),
        "name": st.none() | st.sampled_from(NAMES),
        "identity": st.none() | identities,
    }
)
listens = st.fixed_dictionaries(
    {"protocol": st.just("tcp"), "address": st.sampled_from(ADDRESSES), "port": st.just(80)}
)
dns = st.fixed_dictionaries({"name": st.sampled_from(NAMES)})
VALUES: dict[Dimension, st.SearchStrategy[dict[str, Any]]] = {
    "peers": peers,
    "listens": listens,
    "dns": dns,
    "files": st.fixed_dictionaries(
        {"path": st.sampled_from(["/shop-staging/10.1.0.7", "/a*"]), "access": st.just("r")}
    ),
}


@st.composite
def baselines(draw: st.DrawFn) -> Baseline:
    rules = {}
    for dimension, values in VALUES.items():
        documents = [
            rule_of(dimension, value, calls=draw(st.integers(0, 9)))
            for value in draw(st.lists(values, max_size=4))
        ]
        rules[dimension] = list({one["id"]: one for one in documents}.values())
    subject = {"namespace": draw(st.sampled_from(NAMESPACES)), "selector": draw(selectors)}
    return baseline_of(subject=subject, **rules)


def pairs(words: list[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.sampled_from(words), st.sampled_from(words), max_size=3)


environments = st.builds(
    Environment,
    namespaces=pairs(NAMESPACES),
    dns_suffixes=pairs(["test", "staging.test", "eu.staging.test", "svc.staging.test"]),
    cidrs=pairs(["10.1.0.0/16", "10.2.0.0/16"]) | st.just({"fd00:1::/32": "fd00:2::/32"}),
    labels=st.dictionaries(st.sampled_from(["env", "app"]), pairs(LABELS), max_size=2),
)


def mapped(environment: Environment, dimension: Dimension, value: AnyValue) -> AnyValue:
    """Return what *value* becomes: the only rule of a baseline that has just this one."""
    alone = baseline_of(**{dimension: [value.model_dump()]})
    ((_, rule),) = apply_environment(alone, environment).rules.all()
    return rule.value


@given(baselines(), environments, st.data())
def test_what_was_allowed_is_allowed_after(
    baseline: Baseline, environment: Environment, data: st.DataObject
) -> None:
    before, after = Allowlist(baseline), Allowlist(apply_environment(baseline, environment))
    for dimension, rule in baseline.rules.all():
        assert after.allows(dimension, mapped(environment, dimension, rule.value))
    for dimension, values in VALUES.items():
        document = rule_of(dimension, data.draw(values))
        if before.allows(dimension, document["value"]):
            assert after.allows(dimension, mapped(environment, dimension, document["value"]))


@given(baselines(), environments)
def test_a_mapped_baseline_is_a_baseline_and_loses_no_call(
    baseline: Baseline, environment: Environment
) -> None:
    after = apply_environment(baseline, environment)
    assert parse_baseline(dump_baseline(after)) == after
    for dimension, rule in after.rules.all():
        assert rule.id == rule_id(dimension, rule.value)
    for dimension in VALUES:
        old, new = (getattr(each.rules, dimension) for each in (baseline, after))
        assert len({rule.id for rule in new}) == len(new) <= len(old)
        assert sum(rule.evidence.calls for rule in old) == sum(rule.evidence.calls for rule in new)


@given(baselines(), environments)
def test_entries_to_themselves_change_nothing(baseline: Baseline, environment: Environment) -> None:
    same = Environment(
        namespaces={name: name for name in environment.namespaces},
        dns_suffixes={name: name for name in environment.dns_suffixes},
        cidrs={name: name for name in environment.cidrs},
        labels={key: {one: one for one in values} for key, values in environment.labels.items()},
    )
    assert apply_environment(baseline, same) == baseline


@given(baselines(), environments)
def test_an_entry_that_is_unused_could_as_well_not_be_there(
    baseline: Baseline, environment: Environment
) -> None:
    left = set(unused(environment, [baseline]))
    document = environment.model_dump(by_alias=True)
    for entry in left:
        section = document[entry.section]
        del (section if entry.key is None else section[entry.key])[entry.source]
    without = Environment.model_validate(document)
    assert apply_environment(baseline, without) == apply_environment(baseline, environment)
    assert unused(without, [baseline]) == []


@given(baselines())
def test_the_way_there_and_back_ends_where_it_began(baseline: Baseline) -> None:
    there = Environment(
        namespaces={name: f"{name}-there" for name in NAMESPACES},
        dns_suffixes={"test": "example"},
        cidrs={"10.0.0.0/8": "11.0.0.0/8", "fd00::/16": "fe00::/16"},
        labels={"env": {label: f"{label}-there" for label in LABELS}},
    )
    back = Environment(
        namespaces={target: source for source, target in there.namespaces.items()},
        dns_suffixes={"example": "test"},
        cidrs={target: source for source, target in there.cidrs.items()},
        labels={"env": {target: source for source, target in there.labels["env"].items()}},
    )
    assert apply_environment(apply_environment(baseline, there), back) == baseline
