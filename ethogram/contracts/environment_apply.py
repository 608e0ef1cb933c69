"""Carries baselines from one environment to another, as a map says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeVar

from ethogram.contracts.baseline_models import (
    Baseline,
    Match,
    Quarantined,
    Rule,
    Subject,
    Withheld,
)
from ethogram.contracts.baseline_values import (
    AnyValue,
    Dimension,
    DnsValue,
    ListenValue,
    PeerIdentity,
    PeerValue,
    rule_id,
)
from ethogram.contracts.environment_file import Entry, Environment
from ethogram.contracts.evidence import merge_quarantined, merge_rules, merge_withheld

__all__ = ["apply_environment", "left_behind", "unused"]

_ApartT = TypeVar("_ApartT", Quarantined, Withheld)

# The dimensions whose values name something of the environment.
_MAPPED: tuple[Dimension, ...] = ("peers", "listens", "dns")
# What stands as the address of these is none of the Internet protocol.
_OTHER_FAMILIES = ("unix", "netlink", "packet", "family-")
# `checkout.shop.svc.cluster.local`: what stands before one of these is a namespace.
_CLUSTER_ZONES = frozenset(["svc", "pod"])


def apply_environment(baseline: Baseline, environment: Environment) -> Baseline:
    """Return *baseline* as it reads in the other environment.

    What it allowed is allowed after, mapped alike. Rules that become equal are one, with the
    evidence of all. Files, executables, images and whatever the map does not name stay as they are.
    """
    return _Mapping(environment).of_baseline(baseline)


def unused(environment: Environment, baselines: Iterable[Baseline]) -> list[Entry]:
    """Return the entries of *environment* that name nothing in any of *baselines*."""
    mapping = _Mapping(environment)
    for baseline in baselines:
        mapping.of_baseline(baseline)
    return [entry for entry in environment.entries() if entry not in mapping.used]


def left_behind(environment: Environment, baselines: Iterable[Baseline]) -> list[tuple[str, str]]:
    """Return address and new name of each peer outside whose name *environment* maps alone.

    Under the other name there is probably another address. One that is in a block of `cidrs`, be it
    mapped to itself, was thought of. Sorted, each once.
    """
    mapping = _Mapping(environment)
    pairs = (
        (rule.value, mapping.of_peer(rule.value))
        for baseline in baselines
        for rule in baseline.rules.peers
    )
    return sorted(
        {
            (after.address, after.name)
            for before, after in pairs
            if after.address
            and after.name not in (None, before.name)
            and not mapping.has_block_of(before.address)
        }
    )


class _Mapping:
    """Applies one map, and notes in *used* the entries that found something to apply to."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._networks = [
            (text, *pair)
            for text, pair in zip(environment.cidrs, environment.networks().items(), strict=True)
        ]
        self.used: set[Entry] = set()

    def of_baseline(self, baseline: Baseline) -> Baseline:
        rules: dict[str, Any] = {
            dimension: merge_rules(self._rule(dimension, rule) for rule in found)
            for dimension in _MAPPED
            if (found := getattr(baseline.rules, dimension))
        }
        return baseline.model_copy(
            update={
                "subject": self._subject(baseline.subject),
                "match": self._match(baseline.match),
                "rules": baseline.rules.model_copy(update=rules),
                "quarantined": merge_quarantined(map(self._apart, baseline.quarantined)),
                "withheld": baseline.withheld
                and merge_withheld(map(self._apart, baseline.withheld)),
            }
        )

    def of_peer(self, value: PeerValue) -> PeerValue:
        return value.model_copy(
            update={
                "address": self._address(value.address, value.protocol),
                "name": self._name(value.name),
                "identity": value.identity and self._identity(value.identity),
            }
        )

    def has_block_of(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in source for _, source, _ in self._networks)

    def _subject(self, subject: Subject) -> Subject:
        return subject.model_copy(
            update={
                "cluster": self._cluster(subject.cluster),
                "namespace": self._namespace(subject.namespace),
                "selector": self._labels(subject.selector),
            }
        )

    def _match(self, match: Match) -> Match:
        if match.namespace is None or "*" in match.namespace:
            return match
        return match.model_copy(update={"namespace": self._namespace(match.namespace)})

    def _rule(self, dimension: Dimension, rule: Rule[Any]) -> Rule[Any]:
        value = self._value(rule.value)
        if value == rule.value:
            return rule
        return rule.model_copy(update={"id": rule_id(dimension, value), "value": value})

    def _apart(self, item: _ApartT) -> _ApartT:
        value = self._value(item.value)
        if value == item.value:
            return item
        return item.model_copy(update={"id": rule_id(item.dimension, value), "value": value})

    def _value(self, value: AnyValue) -> AnyValue:
        match value:
            case PeerValue():
                return self.of_peer(value)
            case ListenValue():
                address = self._address(value.address, value.protocol)
                return value.model_copy(update={"address": address})
            case DnsValue():
                return value.model_copy(update={"name": self._name(value.name)})
        return value

    def _identity(self, identity: PeerIdentity) -> PeerIdentity:
        # Nodes and what is outside have names of DNS; objects of a namespace do not.
        has_host_name = identity.kind in ("node", "external")
        addresses = (self._address(address) for address in identity.addresses)
        return identity.model_copy(
            update={
                "namespace": self._namespace(identity.namespace),
                "name": self._name(identity.name) if has_host_name else identity.name,
                "selector": self._labels(identity.selector),
                "addresses": tuple(dict.fromkeys(addresses)),
            }
        )

    def _cluster(self, name: str | None) -> str | None:
        if name is None or name not in self._environment.clusters:
            return name
        self.used.add(Entry("clusters", name))
        return self._environment.clusters[name]

    def _namespace(self, name: str | None) -> str | None:
        if name is None or name not in self._environment.namespaces:
            return name
        self.used.add(Entry("namespaces", name))
        return self._environment.namespaces[name]

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        return {key: self._label(key, value) for key, value in labels.items()}

    def _label(self, key: str, value: str) -> str:
        target = self._environment.labels.get(key, {}).get(value)
        if target is None:
            return value
        self.used.add(Entry("labels", value, key))
        return target

    def _address(self, text: str, protocol: str = "") -> str:
        """Return the address in the block that its own is mapped to, the bits behind it kept."""
        if protocol.startswith(_OTHER_FAMILIES):
            return text
        folded = _parsed(text)
        if folded is None:
            return text
        # Every address of its own, and those of itself: they are the same wherever it runs.
        if folded.is_unspecified or folded.is_loopback:
            return text
        for source_text, source, target in self._networks:
            if folded in source:
                self.used.add(Entry("cidrs", source_text))
                behind = int(folded) - int(source.network_address)
                moved = str(target.network_address + behind)
                return f"::ffff:{moved}" if folded.version == 4 and ":" in text else moved
        return text

    def _name(self, name: str | None) -> str | None:
        """Return a name of DNS by its longest suffix, and by the namespace that it names."""
        if name is None:
            return None
        labels = name.split(".")
        suffixes = self._environment.dns_suffixes
        begin = next(
            (n for n in range(len(labels)) if ".".join(labels[n:]) in suffixes), len(labels)
        )
        head, tail = labels[:begin], ".".join(labels[begin:])
        if tail:
            self.used.add(Entry("dns_suffixes", tail))
            tail = suffixes[tail]
        for place in _namespaces_in(labels):
            if place < begin:  # a suffix that holds the namespace decides about it
                head[place] = str(self._namespace(head[place]))
        return ".".join([*head, tail] if tail else head)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that *text* is, one of IPv4 inside of IPv6 taken out, or None."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _namespaces_in(labels: Sequence[str]) -> Iterator[int]:
    """Yield which of *labels* a cluster's resolver reads as namespaces.

    In `redis.shop.svc.cluster.local` it is the second. A search list appends its own to a name
    that stands alone: `redis.shop.checkout.svc.cluster.local` has two.
    """
    zones = [place for place, label in enumerate(labels) if label in _CLUSTER_ZONES and place]
    yield from (zone - 1 for zone in zones)
    if zones[:1] == [3]:
        yield 1
