"""What the reader of a NetworkPolicy has to know that the policy cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ethogram.contracts.baseline import Baseline, ListenValue, PeerValue, Rule, Subject
from ethogram.contracts.escape import printable
from ethogram.contracts.quality import states_of, was_told
from exporters.kubernetes import is_dns_label, refused_label, stable_selector
from exporters.networkpolicy_addresses import is_own, parse_address
from exporters.networkpolicy_peers import Block, Flow, describe, label_hint
from exporters.networkpolicy_ports import DNS_PORT, PROTOCOLS, Port
from exporters.protocol import Finding, Options, shown

__all__ = [
    "AnyFlow",
    "HasText",
    "about_containers",
    "findings_about",
    "findings_of_flows",
    "refusal",
]

_STATES: Mapping[str, str] = {
    "lossy": "the recorder lost events of this workload: peers may be missing from the policy",
    "enforced": "the workload was learnt under enforcement: what that kept it from is denied again",
    "partial": "the baseline is partial: peers that it has not seen yet are denied",
}
_MANY_PORTS = 20
_SHOWN = 5


class HasText(Protocol):
    """A peer of any target."""

    @property
    def text(self) -> str:
        """The peer for a message."""
        ...


class AnyFlow(Protocol):
    """A flow of any target."""

    @property
    def direction(self) -> str:
        """`in` or `out`."""
        ...

    @property
    def peer(self) -> HasText:
        """Who it is with."""
        ...

    @property
    def ports(self) -> frozenset[Port]:
        """The receiver's ports."""
        ...


def refusal(baseline: Baseline, kind: str = "NetworkPolicy") -> Finding | None:
    """Return why there can be no policy of *kind* for the subject of *baseline*, or None.

    A loss where somebody would believe that there is one, a warning where none can apply.
    """
    subject = baseline.subject
    if subject.namespace is None:
        return Finding(
            "warning",
            f"no policy: {printable(subject.kind)} `{printable(subject.name)}` has no namespace,"
            f" and a {kind} is for pods of Kubernetes",
            hint="if it is a pod, record with `--inventory`",
        )
    if subject.container is not None and subject.container_kind in ("ephemeral", "none"):
        what = (
            "was added to a running pod to look at it: what was done there is not the pod's to do"
            if subject.container_kind == "ephemeral"
            else "is the pod's sandbox, which talks to nobody"
        )
        return Finding(
            "warning",
            f"no policy: container `{printable(subject.container)}` {what}",
            hint="the policies of the pod's other containers are the ones that count",
        )
    if "net" in baseline.observation.host_namespaces:
        return Finding(
            "warning",
            f"no policy: `{printable(subject.name)}` is on its host's network, where a"
            f" {kind} does not apply",
            hint="protect the node instead, or give the pod a network of its own",
        )
    return _refused(subject.namespace, baseline.subject)


def _refused(namespace: str, subject: Subject) -> Finding | None:
    """Return what of *subject* Kubernetes would refuse, or take for every pod."""
    if not is_dns_label(namespace):
        return Finding(
            "loss", f"no policy: Kubernetes refuses the namespace `{printable(namespace)}`"
        )
    selector = stable_selector(subject.selector)
    if not selector:
        return Finding(
            "loss",
            f"no policy: nothing picks the pods of `{printable(subject.name)}`, and an empty"
            " selector is every pod of the namespace",
            hint=label_hint(subject.kind),
        )
    if refused := refused_label(selector):
        return Finding(
            "loss", f"no policy: Kubernetes refuses the label `{printable(refused)}` of `selector`"
        )
    return None


def findings_about(
    baseline: Baseline,
    flows: Sequence[Flow],
    options: Options,
    entered: Sequence[Rule[PeerValue]] = (),
) -> Iterator[Finding]:
    """Yield the findings of the policy that allows *flows*; *entered* are rules of sessions."""
    yield from _effect(flows, options)
    yield from about_containers(baseline)
    yield from findings_of_flows(baseline, flows, entered)


def findings_of_flows(
    baseline: Baseline, flows: Sequence[AnyFlow], entered: Sequence[Rule[PeerValue]] = ()
) -> Iterator[Finding]:
    """Yield what there is to know about *flows*, of whatever kind the policy is."""
    yield from _sessions(entered)
    yield from _addresses(flows)
    yield from _many_ports(flows)
    yield from _dns(flows)
    yield from _unused_ports(baseline, flows)
    yield from _baseline_state(baseline)


def _effect(flows: Sequence[Flow], options: Options) -> Iterator[Finding]:
    if not flows:
        yield Finding(
            "warning",
            "no connection is allowed: the policy cuts the pods off",
            hint="if they do talk to others, record them doing it and learn again",
            of_whole=True,
        )
    if not options.enforce:
        yield Finding(
            "info",
            "a NetworkPolicy denies as soon as it is applied: there is none that only logs",
            hint="`ethogram watch` shows what it would deny before you apply it",
        )


def about_containers(baseline: Baseline) -> Iterator[Finding]:
    """Yield that the policy is for more than the container that it was made from."""
    if baseline.subject.container:
        yield Finding(
            "info",
            "a policy is for the whole pod: its containers all get what one of them was seen to do,"
            " and the policies of its containers add up",
            hint="export and apply those of all containers together",
        )


def _sessions(entered: Sequence[Rule[PeerValue]]) -> Iterator[Finding]:
    if entered:
        yield Finding(
            "warning",
            "allowed, but seen only in what entered the container from outside, as `kubectl exec`"
            f" and exec probes do: {shown([describe(rule.value) for rule in entered])}",
            hint="where it was a person, take it out of the baseline, or learn without that time",
        )


def _addresses(flows: Sequence[AnyFlow]) -> Iterator[Finding]:
    if public := _shown(flows, "public"):
        yield Finding(
            "warning",
            f"addresses outside will be somebody else's in time: {public}",
            hint="export again when they change, or name their ranges:"
            " `--set group-cidrs=CIDR,...`",
        )
    if nodes := _shown(flows, "node"):
        yield Finding(
            "warning",
            f"addresses of nodes and of the API server are those of the recording: {nodes}",
            hint="where nodes come and go, name their network: `--set group-cidrs=CIDR`",
        )


def _shown(flows: Iterable[AnyFlow], reason: str) -> str:
    blocks = {
        flow.peer.cidr.partition("/")[0]: flow.peer.name
        for flow in flows
        if isinstance(flow.peer, Block) and flow.peer.rots == reason
    }
    texts = [
        f"{address} ({printable(name)})" if name else address for address, name in blocks.items()
    ]
    more = [f"and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return ", ".join(texts[:_SHOWN] + more)


def _many_ports(flows: Sequence[AnyFlow]) -> Iterator[Finding]:
    ports: dict[tuple[str, str], set[object]] = {}
    for flow in flows:
        ports.setdefault((flow.direction, flow.peer.text), set()).update(flow.ports)
    for (direction, who), found in sorted(ports.items()):
        if len(found) > _MANY_PORTS:
            way = "from" if direction == "in" else "to"
            yield Finding(
                "warning",
                f"{len(found)} ports {way} `{who}` were seen: if they are chosen anew each time,"
                " the next one is denied",
                hint="fix the ports in the application, or widen the rule by hand with `endPort`",
            )


def _dns(flows: Sequence[AnyFlow]) -> Iterator[Finding]:
    if not any(flow.direction == "out" and ("UDP", DNS_PORT) in flow.ports for flow in flows):
        yield Finding(
            "info",
            "no DNS was seen: the policy allows none",
            hint="`--set dns=always` allows the cluster's resolver all the same",
            of_whole=True,
        )


def _unused_ports(baseline: Baseline, flows: Sequence[AnyFlow]) -> Iterator[Finding]:
    used = {port for flow in flows if flow.direction == "in" for port in flow.ports}
    opened = {_open_port(rule) for rule in baseline.rules.listens}
    silent = sorted({port for port in opened if port is not None} - used)
    if silent:
        ports = [f"{number}/{protocol}" for protocol, number in silent]
        yield Finding(
            "info",
            f"it listens on {'port' if len(ports) == 1 else 'ports'} {shown(ports)}, and nobody was"
            " seen connecting: no rule allows it",
            hint="record it while it is used; probes of the kubelet need no rule",
            of_whole=True,
        )


def _open_port(rule: Rule[ListenValue]) -> tuple[str, int] | None:
    """Return what others could connect to, None where nobody outside of the pod can."""
    value = rule.value
    protocol, address = PROTOCOLS.get(value.protocol), parse_address(value.address)
    if protocol is None or not value.port:
        return None
    if address is not None and is_own(address) and not address.is_unspecified:
        return None
    return (protocol, value.port)


def _baseline_state(baseline: Baseline) -> Iterator[Finding]:
    for state in states_of(baseline.observation):
        if message := _STATES.get(state):
            yield Finding("warning", message)
    if told := was_told(baseline.observation):
        yield Finding("warning", told)
    count = sum(each.dimension == "peers" for each in baseline.quarantined)
    if count:
        yield Finding(
            "info",
            f"{count} quarantined {'peer is' if count == 1 else 'peers are'} not allowed",
            hint="a reviewed overlay in the baseline allows them",
        )
