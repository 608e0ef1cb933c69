"""A NetworkPolicy as an API server takes it: its schema, and what it refuses beyond that.

By `pkg/apis/networking/validation` of Kubernetes. It is stricter where the specification is open
and a slip would open everything: a rule without peers or without ports is none of ours.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from exporters.kubernetes_objects import Cidr, LabelSelector, Metadata, PortNumber, Strict

__all__ = ["NetworkPolicy", "PortName"]

_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


def _port_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("no name of a port: IANA's, at most 15 characters")
    return text


PortName = Annotated[str, AfterValidator(_port_name)]


class IPBlock(Strict):
    """Addresses; we write no exceptions."""

    cidr: Cidr


class Peer(Strict):
    """Pods, or addresses."""

    podSelector: LabelSelector | None = None  # noqa: N815  Kubernetes' word
    namespaceSelector: LabelSelector | None = None  # noqa: N815  Kubernetes' word
    ipBlock: IPBlock | None = None  # noqa: N815  Kubernetes' word

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.ipBlock is None) == (self.podSelector is None):
            raise ValueError("either `podSelector` or `ipBlock`")
        if self.ipBlock is not None and self.namespaceSelector is not None:
            raise ValueError("`ipBlock` with a selector")
        return self


class Port(Strict):
    """A port or a range of them; the protocol always stands there."""

    protocol: Literal["TCP", "UDP", "SCTP"]
    port: PortNumber | PortName
    endPort: PortNumber | None = None  # noqa: N815  Kubernetes' word

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.endPort is not None and not (
            isinstance(self.port, int) and self.port <= self.endPort
        ):
            raise ValueError("`endPort` needs a number for `port` that is not above it")
        return self


Ports = Annotated[list[Port], Field(min_length=1)]
Peers = Annotated[list[Peer], Field(min_length=1)]


class IngressRule(Strict):
    """Who may come in, and to which ports."""

    from_: Peers = Field(alias="from")
    ports: Ports


class EgressRule(Strict):
    """Where it may go, and to which ports."""

    to: Peers
    ports: Ports


class Spec(Strict):
    """Both directions are listed: what has no rules is denied."""

    podSelector: LabelSelector  # noqa: N815  Kubernetes' word
    policyTypes: tuple[Literal["Ingress"], Literal["Egress"]] = Field(strict=False)  # noqa: N815
    ingress: Annotated[list[IngressRule], Field(min_length=1)] | None = None
    egress: Annotated[list[EgressRule], Field(min_length=1)] | None = None


class NetworkPolicy(Strict):
    """`networking.k8s.io/v1` NetworkPolicy."""

    apiVersion: Literal["networking.k8s.io/v1"]  # noqa: N815  Kubernetes' word
    kind: Literal["NetworkPolicy"]
    metadata: Metadata
    spec: Spec
