"""Asks network-config-analyzer, an engine of others, what NetworkPolicies let through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from demo.commands import run

__all__ = ["ANALYZER", "Connectivity", "Pod", "connectivity"]

ANALYZER = Path(__file__).parents[2] / ".venv-engines/nca/bin/nca"
_LINE = re.compile(r"(?P<source>\S+) => (?P<destination>\S+) : (?P<what>.*)")
_GROUP = re.compile(r"\{protocols:(?P<protocols>[A-Z, ]+?)(,dst_ports:(?P<ports>[0-9,-]+))?\}")


@dataclass(frozen=True)
class Pod:
    """A pod of the cluster that is asked about."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    address: str
    ports: Mapping[str, int]

    @property
    def object(self) -> dict[str, Any]:
        ports = [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in self.ports.items()
        ]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": dict(self.labels),
            },
            "spec": {"containers": [{"name": "main", "image": "any", "ports": ports}]},
            "status": {
                "phase": "Running",
                "podIP": self.address,
                "podIPs": [{"ip": self.address}],
                "hostIP": "10.77.0.1",
            },
        }


@dataclass(frozen=True)
class Connectivity:
    """What goes through: source, destination (pods or ranges of addresses), and how."""

    lines: tuple[tuple[str, str, str], ...]

    def of(self, *pods: str) -> dict[tuple[str, str], str]:
        """Return what goes through from or to one of *pods*, `namespace/name`."""
        return {
            (source, destination): what
            for source, destination, what in self.lines
            if source in pods or destination in pods
        }

    def goes(self, source: str, destination: str, protocol: str, port: int) -> bool:
        """Return whether a connection goes through; ends are pods, or addresses."""
        return any(
            _is_end(one, source) and _is_end(other, destination) and _says(what, protocol, port)
            for one, other, what in self.lines
        )


def connectivity(
    directory: Path, pods: Iterable[Pod], policies: Mapping[str, bytes]
) -> Connectivity:
    """Write *pods* and *policies*, files by name, into *directory*, and ask about them."""
    placed = list(pods)
    namespaces = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        }
        for name in sorted({pod.namespace for pod in placed})
    ]
    items = [*namespaces, *(pod.object for pod in placed)]
    cluster = {"apiVersion": "v1", "kind": "List", "items": items}
    (directory / "cluster.yaml").write_text(json.dumps(cluster))
    for name, content in policies.items():
        (directory / f"{name}.yaml").write_bytes(content)
    words = ("--connectivity", "--resource_list", directory, "-o", "txt_no_fw_rules")
    found = run(ANALYZER, *words, timeout_s=90)
    return Connectivity(tuple(_lines(found.stdout.decode())))


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            ends = [match[name].removesuffix("[Pod]") for name in ("source", "destination")]
            yield ends[0], ends[1], match["what"]


def _is_end(text: str, end: str) -> bool:
    """Return whether *end* is *text*: a pod by its name, an address within a range."""
    if "/" in text or "/" in end:
        return text == end
    first, _, last = text.partition("-")
    address = ip_address(end)
    low, high = ip_address(first), ip_address(last or first)
    return low.version == address.version and int(low) <= int(address) <= int(high)


def _says(what: str, protocol: str, port: int) -> bool:
    if what == "All connections":
        return True
    groups = list(_GROUP.finditer(what))
    if "".join(group[0] for group in groups) != what.replace(" {", "{").replace("},", "}"):
        raise ValueError(f"the analyzer says something new: {what}")
    return any(
        protocol in group["protocols"].split(", ")
        and any(
            int(first) <= port <= int(last or first)
            for first, _, last in (
                part.partition("-") for part in (group["ports"] or "1-65535").split(",")
            )
        )
        for group in groups
    )
