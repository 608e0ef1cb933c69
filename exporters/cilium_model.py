"""A CiliumNetworkPolicy as Cilium takes it: what its CRD's schema allows of what we write.

The fields and their limits are those of the CRD `ciliumnetworkpolicies.cilium.io`, version v2, of
Cilium 1.19; what may stand together is what `pkg/policy/api/rule_validation.go` says. The API
server takes more than the latter, and Cilium then ignores the policy: both are asked here.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from exporters.kubernetes_objects import Cidr, LabelSelector, Metadata, Strict

__all__ = ["LONGEST_NAME", "MOST_PORTS", "CiliumNetworkPolicy", "is_name"]

# Ports of one item of `toPorts`, and fields of one of `icmps`.
MOST_PORTS = 40
LONGEST_NAME = 255
_NAME = re.compile(r"([-a-zA-Z0-9_]+\.)*[-a-zA-Z0-9_]+\.?", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}|(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_LAST_PORT = 65535
_PEERS = ("Endpoints", "Entities", "CIDR", "FQDNs")


def is_name(text: str) -> bool:
    """Return whether Cilium takes *text* for a name of DNS."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("no name of DNS: at most 255 of letters, digits, `-`, `_` and `.`")
    return text


def _port(text: str) -> str:
    if not _PORT.fullmatch(text) or (text.isdecimal() and int(text) > _LAST_PORT):
        raise ValueError("no port: from 1 to 65535, or a name of IANA's form")
    return text


class Port(Strict):
    """A port, as text, or a range of them."""

    port: Annotated[str, AfterValidator(_port)]
    protocol: Literal["TCP", "UDP", "SCTP"]
    endPort: Annotated[int, Field(ge=1, le=_LAST_PORT)] | None = None  # noqa: N815  Cilium's word

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.endPort is not None and not (
            self.port.isdecimal() and int(self.port) <= self.endPort
        ):
            raise ValueError("`endPort` needs a number for `port` that is not above it")
        return self


class MatchName(Strict):
    """A name of DNS."""

    matchName: Annotated[str, AfterValidator(_name)]  # noqa: N815  Cilium's word


class MatchPattern(Strict):
    """Every name of DNS; we write no other pattern."""

    matchPattern: Literal["*"]  # noqa: N815  Cilium's word


class DnsRules(Strict):
    """What may be asked for."""

    dns: Annotated[list[MatchName | MatchPattern], Field(min_length=1)]


class PortRule(Strict):
    """Ports, and what the DNS proxy lets through on them."""

    ports: Annotated[list[Port], Field(min_length=1, max_length=MOST_PORTS)]
    rules: DnsRules | None = None

    @model_validator(mode="after")
    def _has_no_range_for_names(self) -> Self:
        if self.rules is not None and any(port.endPort is not None for port in self.ports):
            raise ValueError("rules for names do not take ranges of ports")
        return self


class IcmpField(Strict):
    """A type of ICMP."""

    family: Literal["IPv4", "IPv6"]
    type: Annotated[int, Field(ge=0, le=255)]


class IcmpRule(Strict):
    """Types of ICMP."""

    fields_: Annotated[list[IcmpField], Field(min_length=1, max_length=MOST_PORTS)] = Field(
        alias="fields"
    )


Entity = Literal["host", "remote-node", "kube-apiserver"]
Endpoints = Annotated[list[LabelSelector], Field(min_length=1)]
Entities = Annotated[list[Entity], Field(min_length=1)]
Cidrs = Annotated[list[Cidr], Field(min_length=1)]


class _Rule(Strict):
    """One kind of peers, with ports or types of ICMP; or nothing, which lets nobody through."""

    toPorts: Annotated[list[PortRule], Field(min_length=1)] | None = None  # noqa: N815
    icmps: Annotated[list[IcmpRule], Field(min_length=1)] | None = None

    def check(self, side: str) -> None:
        """Raise `ValueError` for what may not stand together."""
        stated = [name for word in _PEERS if getattr(self, name := f"{side}{word}", None)]
        means = [name for name in ("toPorts", "icmps") if getattr(self, name)]
        if len(stated) > 1:
            raise ValueError(f"`{stated[0]}` with `{stated[1]}`")
        # Without peers it is everybody, without ports every port.
        if len(means) != len(stated) or len(means) > 1:
            raise ValueError("peers with either `toPorts` or `icmps`, or neither")


class IngressRule(_Rule):
    """Who may come in."""

    fromEndpoints: Endpoints | None = None  # noqa: N815  Cilium's word
    fromEntities: Entities | None = None  # noqa: N815  Cilium's word
    fromCIDR: Cidrs | None = None  # noqa: N815  Cilium's word

    @model_validator(mode="after")
    def _stands_together(self) -> Self:
        self.check("from")
        if any(ports.rules is not None for ports in self.toPorts or ()):
            raise ValueError("rules for names are for egress")
        return self


class EgressRule(_Rule):
    """Where it may go."""

    toEndpoints: Endpoints | None = None  # noqa: N815  Cilium's word
    toEntities: Entities | None = None  # noqa: N815  Cilium's word
    toCIDR: Cidrs | None = None  # noqa: N815  Cilium's word
    toFQDNs: Annotated[list[MatchName], Field(min_length=1)] | None = None  # noqa: N815

    @model_validator(mode="after")
    def _stands_together(self) -> Self:
        self.check("to")
        return self


class DefaultDeny(Strict):
    """Whether what no policy allows is denied; both directions are stated."""

    ingress: bool
    egress: bool


class Spec(Strict):
    """Both directions have rules: one without any is not held to the policy at all."""

    endpointSelector: LabelSelector  # noqa: N815  Cilium's word
    enableDefaultDeny: DefaultDeny  # noqa: N815  Cilium's word
    ingress: Annotated[list[IngressRule], Field(min_length=1)]
    egress: Annotated[list[EgressRule], Field(min_length=1)]


class CiliumNetworkPolicy(Strict):
    """`cilium.io/v2` CiliumNetworkPolicy."""

    apiVersion: Literal["cilium.io/v2"]  # noqa: N815  Kubernetes' word
    kind: Literal["CiliumNetworkPolicy"]
    metadata: Metadata
    spec: Spec
