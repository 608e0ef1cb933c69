"""How grave what a rule found is, and which requirements of which standard it is evidence for.

Numbers of the CIS benchmark for Kubernetes move between its versions: each id stands with the
version that it is of, and one that a version does not have is absent there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ethogram.contracts.finding import Severity
from ethogram.indicators.compliance import Tags, tags_of
from ethogram.posture.standards import Version

__all__ = [
    "BENCHMARKS",
    "CIS",
    "GRADES",
    "NOT_JUDGED",
    "Grade",
    "benchmark_of",
    "cis_of",
    "grade_of",
]

# Versions of the CIS Kubernetes Benchmark, and the last version of Kubernetes that each is for.
BENCHMARKS: Mapping[str, Version] = MappingProxyType(
    {"1.9": (1, 27), "1.10": (1, 28), "1.11": (1, 31), "1.12": (1, 34)}
)
# What nobody can judge from objects.
NOT_JUDGED: Mapping[str, str] = MappingProxyType(
    {
        "5.3.1": "whether the network plugin enforces policies is not in any object",
        "5.4.2": "whether secrets should be kept outside of the cluster is a person's decision",
        "5.5.1": "image provenance is configured on the command line of the API server",
        "5.6.1": "whether namespaces part what belongs apart is a person's decision (5.7.1 before)",
    }
)


def _cis(*ids: str) -> Mapping[str, str]:
    """Return the ids of a check by version: one for all of them, or one for each ("": none)."""
    every = ids if len(ids) == len(BENCHMARKS) else ids * len(BENCHMARKS)
    return {version: one for version, one in zip(BENCHMARKS, every, strict=True) if one}


_DROPPED = _cis("5.2.10", "5.2.10", "5.2.10", "5.2.9")
_ADDED = _cis("5.2.9", "5.2.9", "5.2.9", "")
_HOST_PATH = _cis("5.2.12", "5.2.12", "5.2.12", "5.2.11")
_SECCOMP = _cis("5.7.2", "5.7.2", "5.6.2", "5.6.2")
_CONTEXT = _cis("5.7.3", "5.7.3", "5.6.3", "5.6.3")
_ROOT = _cis("5.2.7")
# By rule, or by rule and detail where one rule stands for several checks.
CIS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "privileged": _cis("5.2.2"),
        "hostNamespaces/hostPID": _cis("5.2.3"),
        "hostNamespaces/hostIPC": _cis("5.2.4"),
        "hostNamespaces/hostNetwork": _cis("5.2.5"),
        "host-pid-ptrace": _cis("5.2.3"),
        "allowPrivilegeEscalation": _cis("5.2.6"),
        "runAsNonRoot": _ROOT,
        "runAsUser": _ROOT,
        "capabilities_baseline": _ADDED,
        "capabilities_baseline/NET_RAW": _cis("5.2.8"),
        "capabilities_restricted": _ADDED,
        "capabilities_restricted/NET_RAW": _cis("5.2.8"),
        "capabilities_restricted/drop": _DROPPED,
        "windowsHostProcess": _cis("5.2.11", "5.2.11", "5.2.11", "5.2.10"),
        "hostPathVolumes": _HOST_PATH,
        "dangerous-host-path": _HOST_PATH,
        "runtime-socket": _HOST_PATH,
        "hostPorts": _cis("5.2.13", "5.2.13", "5.2.13", "5.2.12"),
        "seccompProfile_baseline": _SECCOMP,
        "seccompProfile_restricted": _SECCOMP,
        "appArmorProfile": _CONTEXT,
        "seLinuxOptions": _CONTEXT,
        "procMount": _CONTEXT,
        "procMount_restricted": _CONTEXT,
        "default-namespace": _cis("5.7.4", "5.7.4", "5.6.4", "5.6.4"),
        "namespace-without-enforcement": _cis("5.2.1"),
        "namespace-without-network-policy": _cis("5.3.2"),
        "secret-in-environment": _cis("5.4.1"),
        "default-service-account": _cis("5.1.5"),
        "token-automount": _cis("5.1.6"),
        "rbac-cluster-admin": _cis("5.1.1"),
        "rbac-secrets": _cis("5.1.2"),
        "rbac-wildcard": _cis("5.1.3"),
        "rbac-create-pods": _cis("5.1.4"),
        "rbac-system-masters": _cis("5.1.7"),
        "rbac-escalation": _cis("5.1.8"),
        "rbac-persistent-volumes": _cis("5.1.9"),
        "rbac-node-proxy": _cis("5.1.10"),
        "rbac-certificate-approval": _cis("5.1.11"),
        "rbac-webhook-configuration": _cis("5.1.12"),
        "rbac-token-creation": _cis("5.1.13"),
    }
)


@dataclass(frozen=True, slots=True)
class Grade:
    """The severity of what a rule found, and what else than CIS it is evidence for."""

    severity: Severity
    tags: tuple[Tags, ...]


_CONTAINED = tags_of("PR.PS-01 PR.IR-01", "A.8.2 A.8.9")
_LEAST = tags_of("PR.PS-01 PR.AA-05", "A.8.2 A.8.9")
_CONFIGURED = tags_of("PR.PS-01", "A.8.9")
_NETWORK = tags_of("PR.PS-01 PR.IR-01", "A.8.9 A.8.20")
_SECRET = tags_of("PR.AA-01 PR.DS-01", "A.5.17 A.8.3")
_ACCESS = tags_of("PR.AA-05", "A.8.2 A.8.3")

GRADES: Mapping[str, Grade] = MappingProxyType(
    {
        "malformed": Grade("medium", _CONFIGURED),
        "malformed-exemption": Grade("medium", _CONFIGURED),
        "too-many": Grade("high", _CONFIGURED),
        "privileged": Grade("high", _LEAST),
        "hostNamespaces": Grade("high", _CONTAINED),
        "hostNamespaces/hostIPC": Grade("medium", _CONTAINED),
        "hostPathVolumes": Grade("medium", _CONTAINED),
        "hostPorts": Grade("low", _NETWORK),
        "hostProbesAndHostLifecycle": Grade("low", _NETWORK),
        "capabilities_baseline": Grade("high", _LEAST),
        "capabilities_baseline/NET_RAW": Grade("medium", _LEAST),
        "appArmorProfile": Grade("medium", _CONFIGURED),
        "seLinuxOptions": Grade("medium", _CONFIGURED),
        "procMount": Grade("medium", _CONTAINED),
        "procMount_restricted": Grade("low", _CONTAINED),
        "seccompProfile_baseline": Grade("high", _CONFIGURED),
        "sysctls": Grade("medium", _CONFIGURED),
        "windowsHostProcess": Grade("high", _LEAST),
        "restrictedVolumes": Grade("low", _CONFIGURED),
        "allowPrivilegeEscalation": Grade("medium", _LEAST),
        "runAsNonRoot": Grade("medium", _LEAST),
        "runAsUser": Grade("medium", _LEAST),
        "seccompProfile_restricted": Grade("medium", _CONFIGURED),
        "capabilities_restricted": Grade("low", _LEAST),
        "runtime-socket": Grade("critical", _CONTAINED),
        "dangerous-host-path": Grade("high", _CONTAINED),
        "dangerous-host-path/writable": Grade("critical", _CONTAINED),
        "host-pid-ptrace": Grade("critical", _CONTAINED),
        "shared-processes": Grade("low", _CONTAINED),
        "token-automount": Grade("low", _SECRET),
        "default-service-account": Grade("low", _ACCESS),
        "secret-in-environment": Grade("low", _SECRET),
        "default-namespace": Grade("low", _CONFIGURED),
        "namespace-without-enforcement": Grade("medium", _CONFIGURED),
        "namespace-without-network-policy": Grade("medium", _NETWORK),
        "webhook-blocks-itself": Grade("high", _CONFIGURED),
        "webhook-fails-open": Grade("low", _CONFIGURED),
        "webhook-timeout": Grade("low", _CONFIGURED),
        "webhook-misses-ephemeral-containers": Grade("medium", _CONFIGURED),
        "webhook-without-ca": Grade("medium", _CONFIGURED),
        "webhook-certificate": Grade("high", _CONFIGURED),
        "webhook-without-backend": Grade("high", _CONFIGURED),
        "rbac-cluster-admin": Grade("high", _ACCESS),
        "rbac-secrets": Grade("medium", _ACCESS),
        "rbac-wildcard": Grade("medium", _ACCESS),
        "rbac-create-pods": Grade("low", _ACCESS),
        "rbac-system-masters": Grade("critical", _ACCESS),
        "rbac-escalation": Grade("high", _ACCESS),
        "rbac-persistent-volumes": Grade("medium", _ACCESS),
        "rbac-node-proxy": Grade("high", _ACCESS),
        "rbac-certificate-approval": Grade("medium", _ACCESS),
        "rbac-webhook-configuration": Grade("medium", _ACCESS),
        "rbac-token-creation": Grade("medium", _ACCESS),
    }
)


def grade_of(check: str, detail: str) -> Grade:
    """Return the grade of what *check* found, where *detail* says which of its things it is."""
    return GRADES.get(f"{check}/{detail}") or GRADES[check]


def cis_of(check: str, detail: str) -> tuple[tuple[str, str], ...]:
    """Return the (version, id) of every CIS check that this is, the oldest version first."""
    found = CIS.get(f"{check}/{detail}")
    return tuple((CIS.get(check, {}) if found is None else found).items())


def benchmark_of(version: Version) -> str:
    """Return the version of the CIS benchmark for Kubernetes *version*: the newest for newer."""
    return next((name for name, last in BENCHMARKS.items() if version <= last), "1.12")
