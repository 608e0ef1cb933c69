"""How a NetworkPolicy is wanted: the exporter's settings, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from types import MappingProxyType

from ethogram.contracts.escape import escape
from ethogram.errors import UsageError
from exporters.networkpolicy_addresses import Network
from exporters.protocol import Options

__all__ = ["SETTINGS", "Choices", "read_choices"]

SETTINGS = MappingProxyType(
    {
        "dns": "`observed` (default), or `always` to allow the cluster's DNS where none was seen",
        "external-cidrs": "ranges, separated by commas, whose addresses get a rule although the"
        " inventory does not know them",
        "group-cidrs": "ranges, separated by commas: a rule for an address in one allows all of it",
    }
)
_DNS = ("observed", "always")


@dataclass(frozen=True, slots=True)
class Choices:
    """The settings of one export, read and checked."""

    is_dns_always: bool
    external: tuple[Network, ...]
    groups: tuple[Network, ...]


def read_choices(options: Options) -> Choices:
    """Return what *options* ask for; `UsageError` names a value that means nothing."""
    dns = options.settings.get("dns", "observed")
    if dns not in _DNS:
        known = ", ".join(f"`{word}`" for word in _DNS)
        raise UsageError(f"setting `dns` is `{escape(dns)}`", hint=f"it is one of {known}")
    return Choices(
        is_dns_always=dns == "always",
        external=_networks(options, "external-cidrs"),
        groups=_networks(options, "group-cidrs"),
    )


def _networks(options: Options, name: str) -> tuple[Network, ...]:
    words = [word.strip() for word in options.settings.get(name, "").split(",")]
    return tuple(_network(name, word) for word in words if word)


def _network(name: str, word: str) -> Network:
    try:
        network = ip_network(word)
    except ValueError as error:
        raise UsageError(
            f"setting `{name}`: `{escape(word)}` is no range: {escape(str(error))}",
            hint=f"write ranges as `{name}=10.20.0.0/16,fd00:20::/64`",
        ) from error
    if network.prefixlen == 0:
        raise UsageError(
            f"setting `{name}`: `{escape(word)}` is every address",
            hint="name the ranges that are meant",
        )
    return network
