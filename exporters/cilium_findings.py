"""What the reader of a CiliumNetworkPolicy has to know that the policy cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ethogram.contracts.baseline import Baseline, PeerValue, Rule
from ethogram.contracts.cilium_labels import identity_labels
from ethogram.contracts.escape import printable
from exporters.cilium_peers import Entity, Fqdn, Reach
from exporters.kubernetes import stable_selector
from exporters.networkpolicy_findings import about_containers, findings_of_flows, refusal
from exporters.networkpolicy_ports import ranges_of
from exporters.protocol import Finding, Options, shown

__all__ = ["findings_about", "refused"]

# What the policy map of one pod holds, in each Cilium as it is installed: `bpf-policy-map-max`.
_MAP_ENTRIES = 16384


def refused(baseline: Baseline) -> Finding | None:
    """Return why there can be no policy for the subject of *baseline*, or None."""
    if reason := refusal(baseline, "CiliumNetworkPolicy"):
        return reason
    selector = stable_selector(baseline.subject.selector)
    if not identity_labels(selector):
        return Finding(
            "loss",
            f"no policy: Cilium leaves all labels out that pick the pods of"
            f" `{printable(baseline.subject.name)}`: {', '.join(selector)}",
            hint="add one of them to Cilium's `labels` setting, or another label to the pods",
        )
    return None


def findings_about(
    baseline: Baseline,
    reaches: Sequence[Reach],
    options: Options,
    entered: Sequence[Rule[PeerValue]],
    *,
    is_dns_added: bool,
) -> Iterator[Finding]:
    """Yield the findings of the policy that allows *reaches*; *entered* are rules of sessions."""
    yield from _effect(reaches, options)
    yield from about_containers(baseline)
    yield from _labels(baseline)
    yield from _names(reaches, is_dns_added=is_dns_added)
    yield from _nodes(reaches)
    yield from _types(reaches)
    yield from _entries(reaches)
    yield from findings_of_flows(baseline, reaches, entered)


def _effect(reaches: Sequence[Reach], options: Options) -> Iterator[Finding]:
    yield Finding(
        "info",
        "a CiliumNetworkPolicy needs Cilium 1.16 or later as the cluster's network plugin: with"
        " another plugin nothing is denied, and before 1.16 it denies without `--enforce` too",
        hint="for other plugins: `--to networkpolicy`",
    )
    if not reaches:
        yield Finding(
            "warning",
            "no connection is allowed: the policy cuts the pods off",
            hint="if they do talk to others, record them doing it and learn again",
        )
    if not options.enforce:
        yield Finding(
            "info",
            "the policy denies nothing (`enableDefaultDeny: false`), unless another policy of the"
            " same pods does",
            hint="`--enforce` makes it deny; `ethogram watch` shows what it would",
        )


def _labels(baseline: Baseline) -> Iterator[Finding]:
    selector = stable_selector(baseline.subject.selector)
    if unseen := selector.keys() - identity_labels(selector):
        yield Finding(
            "warning",
            f"Cilium leaves {', '.join(sorted(unseen))} out of what it knows of pods: the policy is"
            " for all that have the other labels",
            hint="check with `kubectl get pods -l` that these pick the workload alone",
        )


def _names(reaches: Sequence[Reach], *, is_dns_added: bool) -> Iterator[Finding]:
    names = sorted({each.peer.name for each in reaches if isinstance(each.peer, Fqdn)})
    if not names:
        return
    yield Finding(
        "info",
        f"allowed by name, whatever their addresses are: {printable(shown(names))}",
        hint="Cilium's DNS proxy has to see the answers: no DNS over HTTPS or TLS",
    )
    if is_dns_added:
        yield Finding(
            "warning",
            "names were looked up where no rule could be made for: the resolver of most clusters is"
            " allowed (`k8s-app: kube-dns` in `kube-system`)",
            hint="record with `--inventory`, so that the resolver is known",
        )


def _nodes(reaches: Sequence[Reach]) -> Iterator[Finding]:
    ports = {
        (each.direction, port)
        for each in reaches
        if isinstance(each.peer, Entity) and each.peer.name == "remote-node"
        for port in each.ports
    }
    if ports:
        found = sorted(f"{number}/{protocol} {way}" for way, (protocol, number) in ports)
        yield Finding(
            "info",
            f"Cilium has no rule for one node: all of them are allowed ({shown(found)})",
        )


def _types(reaches: Sequence[Reach]) -> Iterator[Finding]:
    if any(each.icmp for each in reaches):
        yield Finding(
            "info",
            "types of ICMP are not recorded: echo requests are allowed, other types are denied",
            hint="add what else it sends by hand; answers and errors pass without a rule",
        )


def _entries(reaches: Sequence[Reach]) -> Iterator[Finding]:
    entries = sum(len(list(ranges_of(each.ports))) or 1 for each in set(reaches))
    if entries > _MAP_ENTRIES:
        yield Finding(
            "warning",
            f"{entries} pairs of peer and port: Cilium holds {_MAP_ENTRIES} for a pod unless"
            " `bpf-policy-map-max` says more, and denies what does not fit",
            hint="name ranges: `--set group-cidrs=CIDR,...`",
        )
