"""How much of the possible exported policies still allow, a line for each workload, as markdown.

`python -m benchmarks.tightness DIR...` reads what `ethogram export` wrote to each DIR: profiles in
the form of OCI, and NetworkPolicies. Where there is none of a kind, everything is allowed.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ethogram.contracts.keys import parse_workload_key
from ethogram.contracts.policy_seccomp import ARCHITECTURES
from ethogram.contracts.syscall_names import names_of
from exporters.runtime_base import load_default_profile

__all__ = ["calls_of", "peers_of", "table"]

_MACHINES = {ARCHITECTURES[arch]: arch for arch in ("x86_64", "aarch64")}
_HEAD = ("workload", "calls", "of", "by argument", "default profile", "ingress", "egress")


def calls_of(profile: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Return how many calls *profile* allows, how many there are, how many it allows by argument.

    The last is how many the default profile allows.
    """
    machine = _MACHINES[profile["architectures"][0]]
    known = names_of(machine)
    entries = [one for one in profile["syscalls"] if one["action"] == "SCMP_ACT_ALLOW"]
    named = {name for one in entries for name in one["names"]} & known
    told = {name for one in entries if one.get("args") for name in one["names"]} & known
    default = load_default_profile()
    theirs = len(default.calls[machine]) + len(default.by_argument[machine])
    return len(named), len(known), len(told), theirs


def peers_of(policy: Mapping[str, Any], direction: str) -> str:
    """Return how many peers *policy* lets in or out, and to which ports.

    *direction* is `ingress` or `egress`.
    """
    spec = policy["spec"]
    if direction.capitalize() not in spec["policyTypes"]:
        return "all"
    peers: set[str] = set()
    ports: set[str] = set()
    for rule in spec.get(direction, ()):
        told = rule.get("from" if direction == "ingress" else "to")
        peers |= {json.dumps(one, sort_keys=True) for one in told} if told else {"every peer"}
        ports |= {_port(one) for one in rule["ports"]} if rule.get("ports") else {"every port"}
    if not peers:
        return "none"
    return f"{len(peers)} {'peer' if len(peers) == 1 else 'peers'}: {', '.join(sorted(ports))}"


def _port(port: Mapping[str, Any]) -> str:
    last = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{port['protocol']} {port.get('port', 'every')}{last}"


def table(directories: Sequence[Path]) -> Iterator[str]:
    """Yield the lines of the table: workloads in order, what two directories say together."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for directory in directories:
        for entry in json.loads((directory / "index.json").read_text()):
            text = (directory / entry["path"]).read_text()
            if entry["target"].startswith("seccomp") and entry["path"].endswith(".seccomp.json"):
                found[entry["workload_key"]]["seccomp"] = json.loads(text)
            elif entry["target"] == "networkpolicy":
                found[entry["workload_key"]]["networkpolicy"] = yaml.safe_load(text)
    yield _line(_HEAD)
    yield _line("---" for _ in _HEAD)
    for key, policies in sorted(found.items()):
        yield _line(_cells(key, policies))


def _cells(key: str, policies: Mapping[str, Any]) -> Iterator[object]:
    yield f"`{parse_workload_key(key).name}`"
    profile, policy = policies.get("seccomp"), policies.get("networkpolicy")
    yield from calls_of(profile) if profile else ("all", "", "", "")
    for direction in ("ingress", "egress"):
        yield peers_of(policy, direction) if policy else "all"


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    for line in table([Path(name) for name in sys.argv[1:]]):
        sys.stdout.write(f"{line}\n")
