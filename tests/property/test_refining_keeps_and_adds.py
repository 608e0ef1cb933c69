"""Refined policies allow what was seen and what was allowed, and stay as they are."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.policy_network import Endpoint
from ethogram.contracts.policy_network import allows as network_allows
from ethogram.contracts.policy_seccomp import ARCHITECTURES, Host, read_profile
from exporters.networkpolicy import exporter as network_exporter
from exporters.protocol import Artifact, Options
from exporters.review.documents import dump, load
from exporters.review.protocol import Refining
from exporters.review.registry import reviewers
from exporters.seccomp import exporter as seccomp_exporter
from tests.baselines import make_baseline, syscall_rule
from tests.peers import connections, make_network_baseline
from tests.property.test_networkpolicy_allows_what_was_seen import rules as peer_rules

pytestmark = pytest.mark.property

CALLS = ("read", "write", "clone", "ptrace", "mount", "bpf", "openat", "socket")
CAPS = ("CAP_SYS_ADMIN", "CAP_CHOWN")
SECCOMP, NETWORK = seccomp_exporter(), network_exporter()
names = st.lists(st.sampled_from(CALLS), min_size=1, max_size=4, unique=True)
comparisons = st.fixed_dictionaries(
    {
        "index": st.integers(0, 1),
        "op": st.sampled_from(["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"]),
        "value": st.sampled_from([0, 1]),
    }
)
conditions = st.fixed_dictionaries(
    {},
    optional={
        "arches": st.lists(st.sampled_from(["amd64", "arm64"]), max_size=2),
        "caps": st.lists(st.sampled_from(CAPS), max_size=1),
    },
)
entries = st.fixed_dictionaries(
    {
        "names": names,
        "action": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]),
    },
    optional={
        "args": st.lists(comparisons, max_size=2),
        "includes": conditions,
        "excludes": conditions,
        "comment": st.just("mine"),
        "errnoRet": st.just(38),
    },
)
profiles = st.fixed_dictionaries(
    {
        "defaultAction": st.sampled_from(["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_LOG"]),
        "syscalls": st.lists(entries, max_size=5),
    },
    optional={
        "architectures": st.sampled_from(
            [["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]]
        ),
        "defaultErrnoRet": st.just(38),
    },
)


def refined(
    target: str, existing: list[dict[str, Any]], made: Artifact, baseline: Baseline
) -> list[dict[str, Any]]:
    """Return *existing* refined, and see that it stays so and says why it is as it is."""
    reviewer = reviewers()[target]
    assert isinstance(reviewer, Refining)
    first = reviewer.refine(existing, made, baseline)
    again = reviewer.refine(first.documents, made, baseline)
    assert again.documents == first.documents
    assert again.reasons == first.reasons
    assert load(dump(first.documents, made.path), made.path) == first.documents
    return first.documents


@settings(max_examples=60)
@given(profiles, names, st.booleans(), st.sets(st.sampled_from(CAPS)), st.booleans())
def test_profiles(
    existing: dict[str, Any], calls: list[str], enforce: bool, caps: set[str], narrow: bool
) -> None:
    seen = [*map(syscall_rule, calls), *([syscall_rule("read", arch="i386")] if narrow else [])]
    baseline = make_baseline(*seen)
    observation = baseline.observation.model_copy(update={"bounding": tuple(sorted(caps))})
    baseline = baseline.model_copy(update={"observation": observation})
    made, *_ = SECCOMP.export(baseline, Options(enforce=enforce))
    assert isinstance(made, Artifact)
    [profile] = refined("seccomp", [existing], made, baseline)
    before = read_profile(existing, Host("x86_64", frozenset(caps)))
    after = read_profile(profile)
    for rule in seen:
        assert after.verdict(rule.value.arch, str(rule.value.name)).is_permitted
    arguments = [{0: first, 1: second} for first in (0, 1, 2) for second in (0, 1)]
    for arch in (
        "x86_64",
        *(["i386"] if "SCMP_ARCH_X86" in existing.get("architectures", ()) else []),
    ):
        assert arch == "x86_64" or ARCHITECTURES[arch] in profile["architectures"]
        for call in CALLS:
            for given_ in arguments:
                old = before.verdict(arch, call, given_)
                if old.is_permitted and old.is_certain:
                    assert after.verdict(arch, call, given_).is_permitted, (call, given_)
    assert profile["defaultAction"] == existing["defaultAction"]


labels = st.sampled_from([{}, {"app": "web"}, {"app": "redis"}])
peers = st.one_of(
    st.builds(lambda one: {"podSelector": {"matchLabels": one} if one else {}}, labels),
    st.builds(
        lambda cidr: {"ipBlock": {"cidr": cidr}},
        st.sampled_from(["10.0.0.0/8", "10.1.0.1/32", "203.0.113.0/24", "::/0"]),
    ),
    st.builds(lambda one: {"namespaceSelector": {}, "podSelector": {"matchLabels": one}}, labels),
)
ports = st.fixed_dictionaries(
    {"protocol": st.sampled_from(["TCP", "UDP"])},
    optional={"port": st.sampled_from([53, 80, "web"])},
)
directions = st.lists(
    st.tuples(st.lists(peers, max_size=2), st.lists(ports, max_size=2)), max_size=2
)
SPEC = {"podSelector": {"matchLabels": {"app": "checkout"}}}
ENDS = [
    Endpoint(namespace=namespace, labels=found, address=address)
    for namespace in ("shop-staging", "other", None)
    for found in ({}, {"app": "web"}, {"app": "redis"})
    for address in ("10.1.0.1", "203.0.113.9", "fd00::1")
]


@settings(max_examples=60)
@given(
    st.lists(peer_rules(), max_size=4, unique_by=lambda rule: rule.id),
    directions,
    directions,
    st.sampled_from([None, ["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
)
def test_network_policies(seen: list[Any], into: Any, out_of: Any, types: list[str] | None) -> None:
    baseline = make_network_baseline(*seen)
    made = next(one for one in NETWORK.export(baseline, Options()) if isinstance(one, Artifact))
    [target] = load(made.content)
    spec: dict[str, Any] = {"podSelector": target["spec"]["podSelector"]}
    spec |= {"policyTypes": types} if types else {}
    spec["ingress"] = [{"from": who, "ports": where} for who, where in into]
    spec["egress"] = [{"to": who, "ports": where} for who, where in out_of]
    existing = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "mine", "namespace": "shop-staging", "labels": {"team": "x"}},
        "spec": spec,
    }
    [policy] = refined("networkpolicy", [existing], made, baseline)
    assert policy["metadata"]["name"] == "mine"
    assert policy["metadata"]["labels"] == {"team": "x"}
    labels_of = spec["podSelector"]["matchLabels"]
    named = {("TCP", "web"): 8080}
    pod = Endpoint(namespace="shop-staging", labels=labels_of, named_ports=named)
    for direction in ("in", "out"):
        for end in ENDS:
            peer = replace(end, named_ports=named)
            for protocol in ("TCP", "UDP"):
                for port in (53, 80, 443, 8080):
                    asked: dict[str, Any] = {
                        "direction": direction, "protocol": protocol, "port": port,
                    }  # fmt: skip
                    if any(network_allows([one], pod, peer, **asked) for one in (existing, target)):
                        assert network_allows([policy], pod, peer, **asked), (end, asked)
    for rule in seen:
        for it in connections(rule):
            if network_allows([target], pod, it.peer, direction=it.direction,
                              protocol=it.protocol, port=it.port):  # fmt: skip
                assert network_allows([policy], pod, it.peer, direction=it.direction,
                                      protocol=it.protocol, port=it.port)  # fmt: skip
