"""The parts of Kubernetes objects that an inventory uses, checked; everything else is ignored."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

__all__ = [
    "Controller",
    "EndpointSlice",
    "Metadata",
    "Namespace",
    "Node",
    "OwnerReference",
    "PodObject",
    "Service",
    "TypeMeta",
    "packed",
]

T = TypeVar("T")
# The argument that tells NodeLocal DNSCache where to listen, which no field of an object says.
_LOCAL_IP = "-localip"


def packed(address: str) -> bytes:
    """Return the 4 or 16 bytes of *address*, v4-mapped folded to 4; ValueError if it is none."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).packed


def _is_address(text: str) -> str:
    packed(text)
    return text


def _is_address_or_none(text: str) -> str:
    return text if text in ("", "None") else _is_address(text)


def _ns(value: object) -> int | None:
    """Return nanoseconds UTC of a time as Kubernetes writes it; None for what is none.

    Nor is one that no table could hold: whoever writes the status of a pod chooses it.
    """
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    ns = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * 10**9
    return ns if 0 <= ns < 1 << 63 else None


def _where_it_listens(value: object) -> list[str]:
    """Return of a container's arguments `-localip` and the first of its addresses, or nothing.

    The others are of no use here, and may hold anything. What was kept is kept again as it is.
    """
    words = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        flag, _, joined = word.partition("=")
        if flag in (_LOCAL_IP, f"-{_LOCAL_IP}"):
            return [_LOCAL_IP, *_first_address(joined or after)]
    return []


def _first_address(text: str) -> list[str]:
    first = text.partition(",")[0].strip()
    try:
        packed(first)
    except ValueError:
        return []
    return [first]


# Go writes an absent map or list as `null` as often as it leaves it out.
Labels = Annotated[dict[str, str], BeforeValidator(lambda value: {} if value is None else value)]
Items = Annotated[list[T], BeforeValidator(lambda value: [] if value is None else value)]
Address = Annotated[str, AfterValidator(_is_address)]
Moment = Annotated[int | None, BeforeValidator(_ns)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Object(BaseModel):
    """Strict about the fields that are used, deaf to all others. Errors name Kubernetes' fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="ignore",
        frozen=True,
        strict=True,
        defer_build=True,  # most recorders read no inventory
    )


class OwnerReference(_Object):
    kind: str = Field(min_length=1)
    name: str = Field(min_length=1)
    controller: bool | None = None


class Metadata(_Object):
    name: str = Field(min_length=1)
    namespace: str | None = None
    uid: str | None = None
    labels: Labels = {}
    annotations: Labels = {}
    owner_references: Items[OwnerReference] = []
    creation_timestamp: Moment = None

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that made this object, of which there is at most one."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class TypeMeta(_Object):
    """What tells which model an item has."""

    api_version: str
    kind: str


class _ContainerPort(_Object):
    host_port: Annotated[int, Field(ge=0, le=65535)] | None = None


class ContainerObject(_Object):
    name: str = Field(min_length=1)
    image: str | None = None
    restart_policy: str | None = None
    ports: Items[_ContainerPort] = []
    args: Annotated[list[str], BeforeValidator(_where_it_listens)] = []


class _ContainerStatus(_Object):
    name: str = Field(min_length=1)
    image: str | None = None
    image_id: str | None = Field(default=None, alias="imageID")
    container_id: str | None = Field(default=None, alias="containerID")


class _PodIP(_Object):
    ip: Address


class _HostPath(_Object):
    path: str


class _Volume(_Object):
    host_path: _HostPath | None = None


class _PodSpec(_Object):
    containers: Items[ContainerObject]
    init_containers: Items[ContainerObject] = []
    ephemeral_containers: Items[ContainerObject] = []
    volumes: Items[_Volume] = []
    host_network: bool | None = None
    node_name: str | None = None

    @property
    def local_addresses(self) -> list[str]:
        """Where containers of it are told to listen beside the pod's own addresses."""
        return [address for one in self.containers for address in one.args[1:]]


class _PodStatus(_Object):
    phase: str | None = None
    start_time: Moment = None
    pod_ip: Address | None = Field(default=None, alias="podIP")
    pod_ips: Items[_PodIP] = Field(default=[], alias="podIPs")
    container_statuses: Items[_ContainerStatus] = []
    init_container_statuses: Items[_ContainerStatus] = []
    ephemeral_container_statuses: Items[_ContainerStatus] = []

    @property
    def statuses(self) -> list[_ContainerStatus]:
        return [
            *self.container_statuses,
            *self.init_container_statuses,
            *self.ephemeral_container_statuses,
        ]


class PodObject(_Object):
    metadata: Metadata
    spec: _PodSpec
    status: _PodStatus = _PodStatus()


class _ServicePort(_Object):
    name: str | None = None
    port: Port
    protocol: str = "TCP"
    target_port: int | str | None = None


class _ServiceSpec(_Object):
    cluster_ip: Annotated[str, AfterValidator(_is_address_or_none)] | None = Field(
        default=None, alias="clusterIP"
    )
    cluster_ips: Items[Annotated[str, AfterValidator(_is_address_or_none)]] = Field(
        default=[], alias="clusterIPs"
    )
    external_ips: Items[Address] = Field(default=[], alias="externalIPs")
    external_name: str | None = None
    ports: Items[_ServicePort] = []
    selector: Labels = {}


class _Ingress(_Object):
    ip: Address | None = None


class _LoadBalancer(_Object):
    ingress: Items[_Ingress] = []


class _ServiceStatus(_Object):
    load_balancer: _LoadBalancer = _LoadBalancer()


class Service(_Object):
    metadata: Metadata
    spec: _ServiceSpec
    status: _ServiceStatus = _ServiceStatus()


class _Target(_Object):
    kind: str | None = None
    name: str | None = None


class _Endpoint(_Object):
    addresses: Items[str]
    target_ref: _Target | None = None


class _EndpointPort(_Object):
    name: str | None = None
    port: Port | None = None
    protocol: str = "TCP"


class EndpointSlice(_Object):
    metadata: Metadata
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: Items[_Endpoint] = []
    ports: Items[_EndpointPort] = []

    @model_validator(mode="after")
    def _addresses_are_of_their_type(self) -> EndpointSlice:
        if self.address_type != "FQDN":
            for endpoint in self.endpoints:
                for address in endpoint.addresses:
                    packed(address)
        return self


class _NodeAddress(_Object):
    type: str
    address: str

    @model_validator(mode="after")
    def _internal_is_an_address(self) -> _NodeAddress:
        if self.type == "InternalIP":
            packed(self.address)
        return self


class _NodeStatus(_Object):
    addresses: Items[_NodeAddress] = []


class Node(_Object):
    metadata: Metadata
    status: _NodeStatus = _NodeStatus()


class Namespace(_Object):
    metadata: Metadata


class _Selector(_Object):
    match_labels: Labels = {}
    match_expressions: Items[object] = []


class _ControllerSpec(_Object):
    selector: _Selector | None = None


class Controller(_Object):
    """A ReplicaSet, Deployment, StatefulSet, DaemonSet, Job or CronJob."""

    metadata: Metadata
    spec: _ControllerSpec = _ControllerSpec()
