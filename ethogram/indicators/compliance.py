"""What rules of compliance a finding is evidence for: tags by class of behaviour.

The numbers of ISO 27001 changed between 2013 and 2022, those of the CIS benchmark for Kubernetes
between its versions: each tag has the version that it is of, and both are told. What is new in
2022, such as A.8.16 (monitoring), has no number of 2013.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "ACCESS",
    "BY_DIMENSION",
    "CHANGE",
    "CONTAINMENT",
    "EXECUTION",
    "KERNEL",
    "LOGS",
    "NAMESPACES",
    "NETWORK",
    "NETWORK_RAW",
    "PRIVILEGE",
    "PRIVILEGED",
    "SECRETS",
    "TOKENS",
    "TOOLS",
    "Tags",
    "tags_of",
]


@dataclass(frozen=True, slots=True)
class Tags:
    """The *requirements* of one *version* of a *standard*, by their ids."""

    standard: str
    version: str
    requirements: tuple[str, ...]


# 2022 -> 2013, as annex B of ISO/IEC 27002:2022 has it.
_BEFORE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "A.5.17": ("A.9.2.4", "A.9.3.1", "A.9.4.3"),
        "A.8.2": ("A.9.2.3",),
        "A.8.3": ("A.9.4.1",),
        "A.8.5": ("A.9.4.2",),
        "A.8.7": ("A.12.2.1",),
        "A.8.9": (),
        "A.8.15": ("A.12.4.1", "A.12.4.2", "A.12.4.3"),
        "A.8.16": (),
        "A.8.18": ("A.9.4.4",),
        "A.8.19": ("A.12.5.1", "A.12.6.2"),
        "A.8.20": ("A.13.1.1",),
        "A.8.32": ("A.12.1.2", "A.14.2.2", "A.14.2.3", "A.14.2.4"),
    }
)
# What is at another number in the benchmark of clusters up to 1.28 than in those since.
_CIS, _CIS_BEFORE = "1.12", "1.10"
_CIS_NUMBER_BEFORE: Mapping[str, str] = MappingProxyType(
    {"5.2.9": "5.2.10", "5.2.11": "5.2.12", "5.6.2": "5.7.2"}
)


def _tags(csf: str, iso: str, cis: str = "") -> tuple[Tags, ...]:
    """Return the tags of ids that are parted by spaces, with their older numbers."""
    new, checks = tuple(iso.split()), tuple(cis.split())
    old = tuple(number for one in new for number in _BEFORE[one])
    tags = [
        Tags("NIST CSF", "2.0", tuple(csf.split())),
        Tags("ISO/IEC 27001", "2022", new),
        Tags("ISO/IEC 27001", "2013", old),
        Tags("CIS Kubernetes Benchmark", _CIS, checks),
    ]
    if any(one in _CIS_NUMBER_BEFORE for one in checks):
        before = tuple(_CIS_NUMBER_BEFORE.get(one, one) for one in checks)
        tags.append(Tags("CIS Kubernetes Benchmark", _CIS_BEFORE, before))
    return tuple(one for one in tags if one.requirements)


def tags_of(csf: str, iso: str) -> tuple[Tags, ...]:
    """Return the tags of ids of NIST CSF 2.0 and ISO/IEC 27001:2022 that are parted by spaces."""
    return _tags(csf, iso)


# Software that nobody installed there.
EXECUTION = _tags("DE.CM-09 PR.PS-05", "A.8.7 A.8.16 A.8.19")
# Programs of administrators and attackers alike.
TOOLS = _tags("DE.CM-09 PR.PS-05", "A.8.16 A.8.18 A.8.19")
# Who talks to whom.
NETWORK = _tags("DE.CM-01 PR.IR-01", "A.8.16 A.8.20", "5.3.2")
NETWORK_RAW = _tags("DE.CM-01 PR.IR-01", "A.8.2 A.8.16 A.8.20", "5.2.8 5.2.9")
# A container that reaches for its host.
CONTAINMENT = _tags("DE.CM-09 PR.PS-01 PR.IR-01", "A.8.2 A.8.16", "5.2.2 5.2.11")
NAMESPACES = _tags("DE.CM-09 PR.PS-01 PR.IR-01", "A.8.2 A.8.16", "5.2.2 5.2.3 5.2.4 5.2.5")
PRIVILEGED = _tags("DE.CM-09 PR.PS-01 PR.AA-05", "A.8.2 A.8.9", "5.2.2 5.2.9")
# The kernel, and calls that a seccomp profile would refuse.
KERNEL = _tags("DE.CM-09 PR.PS-01", "A.8.2 A.8.16 A.8.18", "5.2.2 5.6.2")
# Rights that are gained or used.
PRIVILEGE = _tags("DE.CM-09 PR.AA-05", "A.8.2 A.8.16 A.8.18", "5.2.6")
# Passwords, keys, and what others hold in memory.
SECRETS = _tags("DE.CM-09 PR.AA-01 PR.DS-01", "A.5.17 A.8.3 A.8.16")
TOKENS = _tags("DE.CM-09 PR.AA-01 PR.DS-01", "A.5.17 A.8.3 A.8.16", "5.1.6")
# Files that decide what is executed or who may come in.
CHANGE = _tags("DE.CM-09 PR.PS-01", "A.8.9 A.8.16 A.8.32")
LOGS = _tags("DE.CM-09 PR.PS-04", "A.8.15 A.8.16")
# People in containers.
ACCESS = _tags("DE.CM-03 PR.AA-05", "A.8.2 A.8.15 A.8.16")

BY_DIMENSION: Mapping[str, tuple[Tags, ...]] = MappingProxyType(
    {
        "execs": EXECUTION,
        "files": _tags("DE.CM-09 PR.DS-01", "A.8.3 A.8.16"),
        "syscalls": _tags("DE.CM-09 PR.PS-01", "A.8.16", "5.6.2"),
        "peers": NETWORK,
        "listens": NETWORK,
        "dns": NETWORK,
        "capabilities": _tags("DE.CM-09 PR.AA-05", "A.8.2 A.8.16", "5.2.9"),
        "operations": PRIVILEGE,
        "rollout": _tags("DE.CM-09 PR.PS-01", "A.8.16 A.8.32"),
    }
)
