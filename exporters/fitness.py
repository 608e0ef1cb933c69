"""Whether exported policies can do on a host what they are for; pure, the host is handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ethogram.contracts.policy_host import Fitness, PolicyHost, Verdict
from exporters.fitness_seccomp import SeccompFitness
from exporters.replay.protocol import Policy

__all__ = ["fitness_of", "names_asked", "worst"]

# What each plugin makes of policies. Whoever is in neither list is not known.
_ENFORCING = frozenset(
    {"calico", "cilium-cni", "antrea", "weave-net", "kube-router", "canal", "ovn-k8s-cni-overlay"}
)
_IGNORING = frozenset({"flannel", "bridge", "ptp", "macvlan", "ipvlan", "host-device", "noop"})
_ORDER: Sequence[Verdict] = ("does not start", "cannot tell", "starts but", "starts")


def worst(found: Sequence[Fitness]) -> Verdict:
    """Return the gravest verdict in *found*, `starts` where there is none."""
    return min((one.verdict for one in found), key=_ORDER.index, default="starts")


def fitness_of(target: str, policy: Policy, host: PolicyHost, seccomp: SeccompFitness) -> Fitness:
    """Return what becomes of *policy*, of *target*, on *host*; *seccomp* judges profiles."""
    match target:
        case "seccomp":
            verdict, reasons = seccomp.judge(policy, host)
        case "networkpolicy":
            verdict, reasons = _network(host)
        case "cilium":
            verdict, reasons = _cilium(host)
        case "admission" | "kyverno" | "gatekeeper":
            verdict = "cannot tell"
            reasons = ("the API server decides about it, and that is not asked",)
        case _:
            verdict, reasons = "cannot tell", (f"nothing here looks at policies for `{target}`",)
    return Fitness(policy.path, target, verdict, tuple(reasons))


def _network(host: PolicyHost) -> tuple[Verdict, Sequence[str]]:
    plugins = host.network_plugins
    if not plugins:
        return "cannot tell", ("no CNI configuration is in `/etc/cni/net.d`",)
    if enforcing := [name for name in plugins if name in _ENFORCING]:
        return "starts", (f"`{enforcing[0]}` enforces it",)
    if ignoring := [name for name in plugins if name in _IGNORING]:
        return "starts but", (f"nothing enforces it: `{ignoring[0]}` does not",)
    return "cannot tell", (f"whether `{plugins[0]}` enforces it is not known",)


def _cilium(host: PolicyHost) -> tuple[Verdict, Sequence[str]]:
    plugins = host.network_plugins
    if not plugins:
        return "cannot tell", ("no CNI configuration is in `/etc/cni/net.d`",)
    if "cilium-cni" in plugins:
        return "starts", ("`cilium-cni` enforces it",)
    return "starts but", (f"nothing enforces it: the plugin is `{plugins[0]}`, not Cilium",)


def names_asked(document: Mapping[str, Any]) -> set[str]:
    """Return the names of calls in a seccomp profile, of whatever dialect."""
    body = document.get("spec") if isinstance(document.get("spec"), Mapping) else document
    entries = body.get("syscalls") if isinstance(body, Mapping) else None
    found: set[str] = set()
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping):
            names = entry.get("names")
            found |= {each for each in names or () if isinstance(each, str)}
            found |= {entry["name"]} if isinstance(entry.get("name"), str) else set()
    return found
