"""The map from one environment to another: schema `ethogram.map/1`, and how its file is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, field_validator

from ethogram.contracts.baseline_values import Frozen
from ethogram.contracts.written_file import WrittenFile
from ethogram.errors import UsageError

__all__ = [
    "ENVIRONMENT_SCHEMA",
    "Entry",
    "Environment",
    "Network",
    "Section",
    "load_environment",
    "parse_environment",
]

ENVIRONMENT_SCHEMA: Literal["ethogram.map/1"] = "ethogram.map/1"

Network: TypeAlias = IPv4Network | IPv6Network
Section: TypeAlias = Literal["clusters", "namespaces", "dns_suffixes", "cidrs", "labels"]

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DNS_LENGTH = 253
_EXAMPLES: Mapping[str, str] = {
    "schema": f"schema: {ENVIRONMENT_SCHEMA}",
    "clusters": "clusters: {staging: production}",
    "namespaces": "namespaces: {shop-staging: shop}",
    "dns_suffixes": "dns_suffixes: {staging.example.com: example.com}",
    "cidrs": "cidrs: {10.1.0.0/16: 10.2.0.0/16}",
    "labels": "labels: {env: {staging: production}}",
}
_WORDS: Mapping[str, str] = {
    "clusters": "cluster",
    "namespaces": "namespace",
    "dns_suffixes": "DNS suffix",
    "cidrs": "CIDR",
    "labels": "label",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a map, by what it maps; of a label *source* is its value, *key* its name."""

    section: Section
    source: str
    key: str | None = None

    def __str__(self) -> str:
        source = self.source if self.key is None else f"{self.key}: {self.source}"
        return f"{_WORDS[self.section]} `{source}`"


def _empty_for_none(value: object) -> object:
    return {} if value is None else value


Pairs = Annotated[dict[str, str], BeforeValidator(_empty_for_none)]


class Environment(Frozen):
    """What things are called in one environment, and what they are called in the other.

    All entries apply at once: none sees what another one made. *dns_suffixes* and *cidrs* stand
    for all names and addresses in them, *labels* are values by the label's name.
    """

    schema_name: Literal["ethogram.map/1"] = Field(ENVIRONMENT_SCHEMA, alias="schema")
    clusters: Pairs = Field(default_factory=dict)
    namespaces: Pairs = Field(default_factory=dict)
    dns_suffixes: Pairs = Field(default_factory=dict)
    cidrs: Pairs = Field(default_factory=dict)
    labels: Annotated[dict[str, Pairs], BeforeValidator(_empty_for_none)] = Field(
        default_factory=dict
    )

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, in the order of the file."""
        pairs: Mapping[Section, dict[str, str]] = {
            "clusters": self.clusters,
            "namespaces": self.namespaces,
            "dns_suffixes": self.dns_suffixes,
            "cidrs": self.cidrs,
        }
        for section, sources in pairs.items():
            yield from (Entry(section, source) for source in sources)
        for key, values in self.labels.items():
            yield from (Entry("labels", source, key) for source in values)

    def networks(self) -> dict[Network, Network]:
        """Return *cidrs*, parsed."""
        return {ip_network(source): ip_network(target) for source, target in self.cidrs.items()}

    @field_validator("clusters")
    @classmethod
    def _clusters_have_names(cls, pairs: dict[str, str]) -> dict[str, str]:
        if any(not name for name in _names(pairs)):
            raise ValueError("a cluster's name is empty")
        return pairs

    @field_validator("namespaces")
    @classmethod
    def _namespaces_are_kubernetes(cls, pairs: dict[str, str]) -> dict[str, str]:
        for name in _names(pairs):
            if not _NAMESPACE.fullmatch(name):
                raise ValueError(
                    f"Kubernetes refuses a namespace called `{name}`: lower-case letters, digits "
                    "and `-` inside, at most 63"
                )
        return pairs

    @field_validator("dns_suffixes")
    @classmethod
    def _suffixes_are_whole_labels(cls, pairs: dict[str, str]) -> dict[str, str]:
        for name in _names(pairs):
            labels = name.split(".")
            if name != name.strip(".") and _is_dns(name.strip(".").split(".")):
                raise ValueError(f"write `{name}` without the dot at its beginning or end")
            if len(name) > _DNS_LENGTH or not _is_dns(labels):
                raise ValueError(f"`{name}` is no DNS suffix in lower case")
        return pairs

    @field_validator("cidrs")
    @classmethod
    def _cidrs_fit(cls, pairs: dict[str, str]) -> dict[str, str]:
        sources = []
        for source, target in pairs.items():
            one, other = _network(source), _network(target)
            if one.version != other.version:
                raise ValueError(f"`{source}` is IPv{one.version}, `{target}` IPv{other.version}")
            if one.prefixlen != other.prefixlen:
                raise ValueError(f"`{source}` and `{target}` are of different size")
            if special := next((each for each in (one, other) if _is_nobodys(each)), None):
                raise ValueError(
                    f"`{special}` holds the pod's own or a group's addresses: no peer's"
                )
            sources.append((one.version, int(one.network_address), one.prefixlen, one))
        # Blocks hold one another or have nothing in common: in this order it is the next one.
        for (*_, one), (*_, second) in pairwise(sorted(sources)):
            if one.version == second.version and one.overlaps(second):
                raise ValueError(f"`{one}` and `{second}` overlap: which one applies?")
        return pairs

    @field_validator("labels")
    @classmethod
    def _labels_are_kubernetes(cls, labels: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for key, values in labels.items():
            prefix, _, name = key.rpartition("/")
            if not _LABEL_NAME.fullmatch(name) or (prefix and not _is_dns(prefix.split("."))):
                raise ValueError(f"Kubernetes refuses a label called `{key}`")
            for value in _names(values):
                if value and not _LABEL_NAME.fullmatch(value):
                    raise ValueError(f"Kubernetes refuses the value `{value}` of label `{key}`")
        return labels


def _names(pairs: Mapping[str, str]) -> Iterator[str]:
    for source, target in pairs.items():
        yield from (source, target)


def _is_dns(labels: list[str]) -> bool:
    return all(_DNS_LABEL.fullmatch(label) for label in labels)


def _is_nobodys(network: Network) -> bool:
    return network.is_loopback or network.is_multicast or network.is_unspecified


def _network(text: str) -> Network:
    address, slash, length = text.partition("/")
    try:
        network = ip_network(text, strict=False)
        begin = ip_address(address)
    except ValueError:
        raise ValueError(f"`{text}` is no CIDR such as `10.1.0.0/16`") from None
    if not slash:
        raise ValueError(f"`{text}` has no prefix length: write `{network}`")
    if not length.isdecimal() or network.network_address != begin:
        raise ValueError(f"`{text}` is not the address of a block: write `{network}`")
    return network


_FILE = WrittenFile(
    name="a map of environments",
    schema=ENVIRONMENT_SCHEMA,
    model=Environment,
    then=_EXAMPLES["namespaces"],
    examples=_EXAMPLES,
)


def load_environment(path: Path) -> Environment:
    """Return the map in file *path*; every failure is a `UsageError` with file, field and cause."""
    return parse_environment(_FILE.read(path), source=str(path))


def parse_environment(text: str, *, source: str = "map") -> Environment:
    """Return the map in *text*; `UsageError` names *source*, the field and the cause."""
    environment = _FILE.parse(text, source=source)
    if not any(environment.entries()):
        raise UsageError(
            f"map `{source}` maps nothing", hint=f"write what differs: `{_EXAMPLES['namespaces']}`"
        )
    return environment
