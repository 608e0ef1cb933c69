"""Models of the Kubernetes objects that exporters write: nothing unknown, nothing refused later.

An API server refuses more than its schemas say, and a file is refused whole. What goes into one is
held against these before it is written; what does not fit is an error of ours, never a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_network
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ethogram.contracts.escape import printable
from ethogram.errors import ExportError
from exporters.kubernetes import is_dns_label, is_label_key, is_label_value, is_subdomain

__all__ = [
    "Cidr",
    "LabelSelector",
    "Labels",
    "Metadata",
    "PortNumber",
    "Strict",
    "check_object",
]

# Of all annotations together, by `k8s.io/apimachinery/pkg/api/validation`.
_ANNOTATION_BYTES = 256 * 1024
# `k8s:` and `any:` say in policies of Cilium where a label comes from.
_SOURCES = ("k8s:", "any:")
ModelT = TypeVar("ModelT", bound=BaseModel)


class Strict(BaseModel):
    """A part of an object: no field but its own, no conversion of what stands in one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _subdomain(text: str) -> str:
    if not is_subdomain(text):
        raise ValueError("no name of an object: RFC 1123, at most 253 characters")
    return text


def _namespace(text: str) -> str:
    if not is_dns_label(text):
        raise ValueError("no name of a namespace: RFC 1123, at most 63 characters")
    return text


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        bare = key.partition(":")[2] if key.startswith(_SOURCES) else key
        if not is_label_key(bare) or not is_label_value(value):
            raise ValueError(f"no label: {key}: {value}")
    return labels


def _annotations(annotations: dict[str, str]) -> dict[str, str]:
    for key in annotations:
        if not is_label_key(key.lower()):
            raise ValueError(f"no key of an annotation: {key}")
    size = sum(len(f"{key}{value}".encode()) for key, value in annotations.items())
    if size > _ANNOTATION_BYTES:
        raise ValueError(f"{size} bytes of annotations: more than {_ANNOTATION_BYTES}")
    return annotations


def _cidr(text: str) -> str:
    # Newer API servers refuse what is not in its plain form, and all of them IPv4 inside of IPv6.
    network = ip_network(text)
    if str(network) != text:
        raise ValueError(f"the plain form is {network}")
    address = network.network_address
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id):
        raise ValueError("an IPv4 address inside of IPv6, or one of an interface")
    return text


Labels = Annotated[dict[str, str], AfterValidator(_labels)]
Cidr = Annotated[str, AfterValidator(_cidr)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class Metadata(Strict):
    """The metadata of an object in a namespace."""

    name: Annotated[str, AfterValidator(_subdomain)]
    namespace: Annotated[str, AfterValidator(_namespace)]
    labels: Labels
    annotations: Annotated[dict[str, str], AfterValidator(_annotations)]


class LabelSelector(Strict):
    """A selector; never an empty one, which picks everything."""

    matchLabels: Annotated[Labels, Field(min_length=1)]  # noqa: N815  Kubernetes' word


def check_object(model: type[ModelT], document: Mapping[str, Any]) -> ModelT:
    """Return *document* as *model*; `ExportError` says what a cluster would refuse in it."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ExportError(
            f"a cluster would refuse the {model.__name__}: {printable(place)}:"
            f" {printable(first['msg'])}",
            hint="this is a fault of the exporter, or of names that the workload made up",
        ) from error
