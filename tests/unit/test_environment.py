"""What a map of environments carries where."""

from __future__ import annotations

from typing import Any

import pytest

from ethogram.contracts.baseline import Baseline, DnsValue, PeerValue, rule_id
from ethogram.contracts.environment import (
    Entry,
    Environment,
    apply_environment,
    unused,
)
from tests.baselines import make_baseline
from tests.environments import EVIDENCE, baseline_of, rule_of

pytestmark = pytest.mark.unit

REDIS = {
    "kind": "service",
    "namespace": "shop-staging",
    "name": "redis",
    "selector": {"app": "redis", "env": "staging"},
    "targets": ("6379",),
}


def peer(address: str = "", **fields: Any) -> dict[str, Any]:
    return {"direction": "out", "protocol": "tcp", "address": address, "port": 6379, **fields}


def carried(baseline: Baseline, **environment: Any) -> Baseline:
    return apply_environment(baseline, Environment.model_validate(environment))


def dns_names(baseline: Baseline) -> list[str]:
    return [rule.value.name for rule in baseline.rules.dns]


def test_a_workload_and_its_peers_move_to_the_other_namespace() -> None:
    before = baseline_of(
        subject={"cluster": "staging", "selector": {"app": "checkout", "env": "staging"}},
        namespace="shop-staging",
        peers=[peer(identity=REDIS), peer(identity={**REDIS, "namespace": "kube-system"})],
    )
    after = carried(
        before,
        clusters={"staging": "production"},
        namespaces={"shop-staging": "shop"},
        labels={"env": {"staging": "production"}},
    )
    assert (after.subject.cluster, after.subject.namespace) == ("production", "shop")
    assert after.subject.selector == {"app": "checkout", "env": "production"}
    assert after.match.namespace == "shop"
    identities = [rule.value.identity for rule in after.rules.peers]
    assert [one and one.namespace for one in identities] == ["shop", "kube-system"]
    assert identities[0] is not None
    assert identities[0].selector == {"app": "redis", "env": "production"}
    assert identities[0].targets == ("6379",)


def test_what_a_match_leaves_open_stays_open() -> None:
    for pattern in (None, "shop-*"):
        after = carried(baseline_of(namespace=pattern), namespaces={"shop-staging": "shop"})
        assert after.match.namespace == pattern


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("10.1.2.3", "10.2.2.3"),
        ("10.1.255.255", "10.2.255.255"),
        ("10.2.2.3", "10.2.2.3"),
        ("192.168.0.1", "192.168.0.1"),
        ("::ffff:10.1.2.3", "::ffff:10.2.2.3"),
        ("fd00:1::7", "fd00:2::7"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("not an address", "not an address"),
        ("", ""),
    ],
)
def test_an_address_keeps_the_bits_behind_its_block(before: str, after: str) -> None:
    cidrs = {"10.1.0.0/16": "10.2.0.0/16", "fd00:1::/32": "fd00:2::/32"}
    found = carried(
        baseline_of(
            peers=[peer(before)], listens=[{"protocol": "tcp", "address": before, "port": 80}]
        ),
        cidrs=cidrs,
    )
    assert found.rules.peers[0].value.address == after
    assert found.rules.listens[0].value.address == after


def test_every_address_is_of_a_block_that_holds_all_but_the_unspecified_one_is() -> None:
    found = carried(
        baseline_of(peers=[peer("0.0.0.0"), peer("1.2.3.4")]), cidrs={"0.0.0.0/1": "128.0.0.0/1"}
    )
    assert [rule.value.address for rule in found.rules.peers] == ["0.0.0.0", "129.2.3.4"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "::1"])
def test_loopback_is_the_same_wherever_it_runs(address: str) -> None:
    cidrs = {"0.0.0.0/1": "128.0.0.0/1", "::/1": "8000::/1"}
    before = baseline_of(peers=[peer(address)], listens=[{"protocol": "tcp", "address": address}])
    assert carried(before, cidrs=cidrs) == before


def test_the_path_of_a_socket_is_no_address() -> None:
    values = [
        {"protocol": protocol, "address": "10.1.2.3"}
        for protocol in ("unix", "netlink", "packet", "family-40")
    ]
    before = baseline_of(listens=values)
    assert carried(before, cidrs={"10.1.0.0/16": "10.2.0.0/16"}) == before


def test_the_addresses_behind_a_service_without_labels_move_too() -> None:
    outside = {**REDIS, "selector": {}, "addresses": ("10.1.0.7", "10.1.0.8", "203.0.113.1")}
    found = carried(
        baseline_of(peers=[peer(identity=outside)]), cidrs={"10.1.0.0/16": "10.2.0.0/16"}
    )
    identity = found.rules.peers[0].value.identity
    assert identity is not None
    assert identity.addresses == ("10.2.0.7", "10.2.0.8", "203.0.113.1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("api.staging.example.com", "api.example.com"),
        ("staging.example.com", "example.com"),
        ("db.eu.staging.example.com", "db.europe.example.com"),
        ("notstaging.example.com", "notstaging.example.com"),
        ("staging.example.com.evil.test", "staging.example.com.evil.test"),
        ("example.org", "example.org"),
        ("local", "local"),
    ],
)
def test_the_longest_suffix_of_whole_labels_wins(before: str, after: str) -> None:
    found = carried(
        baseline_of(dns=[{"name": before}], peers=[peer("192.0.2.7", name=before)]),
        dns_suffixes={
            "staging.example.com": "example.com",
            "eu.staging.example.com": "europe.example.com",
        },
    )
    assert dns_names(found) == [after]
    assert found.rules.peers[0].value.name == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("redis.shop-staging.svc.cluster.local", "redis.shop.svc.cluster.local"),
        ("redis.shop-staging.svc", "redis.shop.svc"),
        ("10-0-0-7.shop-staging.pod.cluster.local", "10-0-0-7.shop.pod.cluster.local"),
        ("0.redis.shop-staging.svc.cluster.local", "0.redis.shop.svc.cluster.local"),
        # What a search list makes of `redis.shop-staging` and of the full name.
        ("redis.shop-staging.shop-staging.svc.cluster.local", "redis.shop.shop.svc.cluster.local"),
        (
            "redis.shop-staging.svc.cluster.local.shop-staging.svc.cluster.local",
            "redis.shop.svc.cluster.local.shop.svc.cluster.local",
        ),
        ("shop-staging.payments.svc.cluster.local", "shop-staging.payments.svc.cluster.local"),
        ("shop-staging.example.com", "shop-staging.example.com"),
        ("svc.shop-staging.svc.cluster.local", "svc.shop.svc.cluster.local"),
        ("svc", "svc"),
    ],
)
def test_a_namespace_in_a_name_of_the_cluster_is_mapped(before: str, after: str) -> None:
    found = carried(baseline_of(dns=[{"name": before}]), namespaces={"shop-staging": "shop"})
    assert dns_names(found) == [after]


@pytest.mark.parametrize(
    ("suffix", "after"),
    [
        ({"staging.local": "prod.local"}, "redis.shop.svc.prod.local"),
        ({"svc.staging.local": "svc.prod.local"}, "redis.shop.svc.prod.local"),
        ({"shop-staging.svc.staging.local": "other.svc.prod.local"}, "redis.other.svc.prod.local"),
        ({"shop-staging.svc.staging.local": "example.com"}, "redis.example.com"),
    ],
)
def test_suffix_and_namespace_apply_to_one_name(suffix: dict[str, str], after: str) -> None:
    found = carried(
        baseline_of(dns=[{"name": "redis.shop-staging.svc.staging.local"}]),
        namespaces={"shop-staging": "shop", "other": "never"},
        dns_suffixes=suffix,
    )
    assert dns_names(found) == [after]


def test_no_entry_sees_what_another_one_made() -> None:
    swapped = {"shop-staging": "shop", "shop": "shop-staging"}
    before = baseline_of(
        peers=[peer(identity={**REDIS, "namespace": name}) for name in swapped],
        dns=[{"name": f"redis.{name}.svc"} for name in swapped],
    )
    after = carried(before, namespaces=swapped)
    assert dns_names(after) == ["redis.shop.svc", "redis.shop-staging.svc"]
    assert carried(after, namespaces=swapped) == before


def test_names_of_nodes_and_of_what_is_outside_have_suffixes_names_of_objects_have_not() -> None:
    kinds = ("node", "external", "service", "pod")
    before = baseline_of(
        peers=[peer(identity={"kind": kind, "name": "a.staging.test"}) for kind in kinds]
    )
    after = carried(before, dns_suffixes={"staging.test": "test"})
    names = [rule.value.identity and rule.value.identity.name for rule in after.rules.peers]
    assert names == ["a.test", "a.test", "a.staging.test", "a.staging.test"]


def test_files_and_executables_stay_where_they_are() -> None:
    before = baseline_of(
        files=[{"path": "/srv/shop-staging/10.1.2.3/staging.example.com", "access": "r"}],
        execs=[{"path": "/srv/shop-staging/run"}],
        operations=[{"operation": "mount", "target": "/srv/shop-staging"}],
    )
    after = carried(
        before,
        namespaces={"shop-staging": "shop"},
        cidrs={"10.1.0.0/16": "10.2.0.0/16"},
        dns_suffixes={"staging.example.com": "example.com"},
    )
    assert after.rules == before.rules


def test_an_id_is_that_of_the_new_value() -> None:
    after = carried(
        baseline_of(dns=[{"name": "a.staging.test"}, {"name": "b.test"}]),
        dns_suffixes={"staging.test": "test"},
    )
    assert [rule.id for rule in after.rules.dns] == [
        rule_id("dns", DnsValue(name="a.test")),
        rule_id("dns", DnsValue(name="b.test")),
    ]


def test_rules_that_become_one_have_the_evidence_of_all() -> None:
    executables = tuple(f"/bin/{number:02}" for number in range(20))
    first = rule_of(
        "dns", {"name": "a.staging.test"}, calls=23, windows=5, instances=2, recordings=1,
        phases=("startup",), executables=executables, example_exec_id="b",
        first_seen="2026-11-23T06:00:00.5Z", last_seen="2026-11-23T06:00:01Z",
    )  # fmt: skip
    second = rule_of(
        "dns", {"name": "a.test"}, calls=7, windows=4, instances=3, recordings=2,
        phases=("runtime", "steady"), executables=("/bin/01", "/bin/000"), example_exec_id="a",
        first_seen="2026-11-23T06:00:00Z", last_seen="2026-11-23T06:00:01.25Z",
    )  # fmt: skip
    for order in ([first, second], [second, first]):
        (found,) = carried(baseline_of(dns=order), dns_suffixes={"staging.test": "test"}).rules.dns
        assert found.value == DnsValue(name="a.test")
        assert found.evidence.model_dump() == {
            "calls": 30,
            "windows": 5,
            "instances": 3,
            "recordings": 2,
            "phases": ("runtime", "startup", "steady"),
            "first_seen": "2026-11-23T06:00:00Z",
            "last_seen": "2026-11-23T06:00:01.25Z",
            "executables": tuple(sorted({*executables, "/bin/000"})[:20]),
            "example_exec_id": "a",
        }


def test_a_rule_that_needed_no_decision_needs_none_when_it_is_merged() -> None:
    names = ("a.staging.test", "a.test")
    until = {"author": "a", "reason": "b", "expires": "2027-01-01"}
    later = {"author": "a", "reason": "c"}

    def merged(*overlays: dict[str, str] | None) -> Any:
        rules = [
            rule_of("dns", {"name": name}) | {"overlay": overlay}
            for name, overlay in zip(names, overlays, strict=True)
        ]
        (found,) = carried(baseline_of(dns=rules), dns_suffixes={"staging.test": "test"}).rules.dns
        return found.overlay and found.overlay.reason

    assert merged(until, None) is None
    assert merged(until, later) == "c"
    assert merged(later, until) == "c"


def test_what_merged_rules_were_widened_from_adds_up() -> None:
    rules = [
        rule_of("dns", {"name": name}) | {"widened_from": {"count": 3, "examples": [name]}}
        for name in ("a.staging.test", "a.test")
    ]
    (found,) = carried(baseline_of(dns=rules), dns_suffixes={"staging.test": "test"}).rules.dns
    assert found.widened_from is not None
    assert found.widened_from.model_dump() == {"count": 6, "examples": ("a.staging.test", "a.test")}


def test_what_is_quarantined_is_mapped_and_stays_quarantined() -> None:
    items = [
        {
            "id": rule_id("peers", PeerValue.model_validate(peer(address))),
            "dimension": "peers",
            "value": peer(address),
            "indicators": [indicator],
            "evidence": EVIDENCE,
        }
        for address, indicator in (("10.1.0.7", "b"), ("10.2.0.7", "a"))
    ]
    (one,) = carried(
        baseline_of(quarantined=items), cidrs={"10.1.0.0/16": "10.2.0.0/16"}
    ).quarantined
    assert one.value == PeerValue.model_validate(peer("10.2.0.7"))
    assert one.id == rule_id("peers", one.value)
    assert one.indicators == ("a", "b")
    assert one.evidence.calls == 46


def test_entries_that_name_nothing_are_told() -> None:
    environment = Environment.model_validate(
        {
            "clusters": {"staging": "production"},
            "namespaces": {"shop-staging": "shop", "shop-stagin": "shop"},
            "dns_suffixes": {"staging.test": "test", "a.staging.test": "a.test"},
            "cidrs": {"10.1.0.0/16": "10.2.0.0/16", "10.3.0.0/16": "10.4.0.0/16"},
            "labels": {"env": {"staging": "production", "test": "production"}},
        }
    )
    baselines = [
        make_baseline("read"),
        baseline_of(dns=[{"name": "b.staging.test"}]),
        baseline_of(listens=[{"protocol": "tcp", "address": "10.1.0.1", "port": 80}]),
        baseline_of(subject={"selector": {"env": "staging"}}),
    ]
    left = unused(environment, baselines)
    assert [str(entry) for entry in left] == [
        "cluster `staging`",
        "namespace `shop-stagin`",
        "DNS suffix `a.staging.test`",
        "CIDR `10.3.0.0/16`",
        "label `env: test`",
    ]
    assert left[1] == Entry("namespaces", "shop-stagin")


def test_an_entry_that_maps_a_name_to_itself_is_used() -> None:
    environment = Environment(namespaces={"shop-staging": "shop-staging"})
    assert unused(environment, [baseline_of()]) == []


def test_what_is_withheld_is_mapped_too() -> None:
    first, second = (rule_of("dns", {"name": name}) for name in ("a.staging.test", "a.test"))
    held = [{"dimension": "dns", "by": "without"} | rule for rule in (first, second)]
    baseline = baseline_of()
    document = baseline.model_dump(by_alias=True) | {"withheld": held}
    before = type(baseline).model_validate(document)
    (one,) = carried(before, dns_suffixes={"staging.test": "test"}).withheld or ()
    assert one.value == DnsValue(name="a.test")
    assert one.id == second["id"]
    assert one.evidence.calls == first["evidence"]["calls"] + second["evidence"]["calls"]
