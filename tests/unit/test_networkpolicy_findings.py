"""What a NetworkPolicy cannot say is said beside it, and never written as a wider rule."""

from typing import Any

import pytest

from ethogram.contracts.baseline import Rule
from tests.networkpolicies import export, losses, one
from tests.peers import (
    API_SERVER,
    LOADGEN,
    NODE,
    REDIS,
    listen_rule,
    make_network_baseline,
    peer_rule,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "rule",
    [
        peer_rule("out", "tcp", "127.0.0.1", 80),
        peer_rule("out", "tcp", "0.0.0.0", 80),
        peer_rule("in", "tcp", "::1", 80),
        peer_rule("out", "tcp", "::ffff:127.0.0.1", 80),
        peer_rule("out", "unix", "/run/app.sock"),
        peer_rule("out", "netlink", ""),
    ],
    ids=lambda rule: f"{rule.value.protocol}-{rule.value.address}",
)
def test_what_never_leaves_the_pod_needs_no_rule(rule: Rule[Any]) -> None:
    policy, findings = export(make_network_baseline(rule))
    assert policy["spec"].keys() == {"podSelector", "policyTypes"}
    assert [found for found in findings if found.subject == rule.id] == []


@pytest.mark.parametrize(
    ("protocol", "severity"),
    [
        ("icmp", "warning"),
        ("icmpv6", "warning"),
        ("udplite", "warning"),
        ("protocol-47", "warning"),
        ("packet", "info"),
        ("family-40", "info"),
    ],
)
def test_what_no_policy_speaks_of_is_said(protocol: str, severity: str) -> None:
    rule = peer_rule("out", protocol, "10.1.0.9")
    _, findings = export(make_network_baseline(rule))
    [found] = [found for found in findings if found.subject == rule.id]
    assert found.severity == severity


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (peer_rule("in", "tcp", identity=LOADGEN), "own port"),
        (peer_rule("in", "tcp", port=0, identity=LOADGEN), "own port"),
        (peer_rule("out", "udp", "203.0.113.9"), "port is not known"),
        (peer_rule("out", "tcp", port=80, identity=REDIS | {"targets": ()}), "behind it"),
        (peer_rule("out", "tcp", port=80, identity=REDIS | {"targets": ("70000",)}), "70000"),
        (peer_rule("out", "tcp", port=80, identity=REDIS | {"targets": ("0",)}), "`0`"),
        (peer_rule("out", "tcp", port=80, identity=REDIS | {"targets": ("a--b",)}), "a--b"),
        (peer_rule("out", "tcp", port=80, identity=REDIS | {"targets": ("a\nb",)}), r"a\x0ab"),
        (peer_rule("out", "tcp", port=80, identity=REDIS | {"selector": {}}), "no labels"),
        (peer_rule("out", "tcp", port=80, identity=REDIS | {"namespace": "Shop"}), "`Shop`"),
        (peer_rule("in", "tcp", port=80, identity=LOADGEN | {"namespace": None}), "namespace"),
        (peer_rule("in", "tcp", port=80, identity=LOADGEN | {"selector": {}}), "nothing picks"),
        (
            peer_rule("in", "tcp", port=80, identity=LOADGEN | {"selector": {"job-name": "x"}}),
            "nothing picks",
        ),
        (
            peer_rule("in", "tcp", port=80, identity=LOADGEN | {"selector": {"app": "a b"}}),
            "`app: a b`",
        ),
        (peer_rule("out", "tcp", port=80, identity=NODE), "addresses are not known"),
        (peer_rule("out", "tcp", "", 80), "address is not known"),
        (peer_rule("out", "tcp", r"\x00\x01", 80), "no address"),
        (peer_rule("out", "tcp", "fe80::1%eth0", 80), "no address"),
        (peer_rule("out", "udp", "224.0.0.251", 5353), "group"),
        (peer_rule("out", "udp", "255.255.255.255", 67), "group"),
        (peer_rule("out", "tcp", "169.254.169.254", 80), "metadata"),
        (peer_rule("out", "tcp", "10.1.2.3", 80), "private address"),
        (
            peer_rule(
                "out", "tcp", port=80, identity=API_SERVER | {"addresses": ("127.0.0.1",)}
            ),
            "the pod itself",
        ),
        (
            peer_rule("out", "tcp", port=80, identity={**REDIS, "selector": {}, "targets": ("www",),
                "addresses": ("10.20.0.5",)}),
            "`www` has no number",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_a_loss_and_no_rule(rule: Rule[Any], word: str) -> None:
    [loss] = losses(rule)
    assert loss.subject == rule.id
    assert word in loss.message
    assert loss.message.isprintable()


@pytest.mark.parametrize(
    ("subject", "observation", "severity", "word"),
    [
        ({"namespace": None, "kind": "Unit"}, {}, "warning", "has no namespace"),
        ({}, {"host_namespaces": ("net", "pid")}, "warning", "host's network"),
        ({"container_kind": "ephemeral"}, {}, "warning", "added to a running pod"),
        ({"container": "POD", "container_kind": "none"}, {}, "warning", "sandbox"),
        ({"selector": {}}, {}, "loss", "nothing picks"),
        ({"selector": {"pod-template-hash": "5d4c"}}, {}, "loss", "nothing picks"),
        ({"selector": {"app": r"\x1b"}}, {}, "loss", "refuses the label"),
        ({"namespace": "../etc"}, {}, "loss", "refuses the namespace"),
    ],
)
def test_a_subject_that_no_policy_can_be_for(subject, observation, severity, word) -> None:
    policy, [found] = export(
        make_network_baseline(
            peer_rule("in", "tcp", port=80, identity=LOADGEN),
            subject=subject,
            observation=observation,
        )
    )
    assert policy is None
    assert found.severity == severity
    assert word in found.message


def test_sharing_other_namespaces_of_the_host_is_no_obstacle() -> None:
    policy, _ = export(make_network_baseline(observation={"host_namespaces": ("pid",)}))
    assert policy is not None


def test_a_port_that_nobody_came_to_gets_no_rule() -> None:
    listens = [
        listen_rule("tcp", "0.0.0.0", 80),
        listen_rule("tcp", "0.0.0.0", 8080),
        listen_rule("tcp", "::", 8080),
        listen_rule("udp", "10.1.0.9", 514),
        listen_rule("tcp", "127.0.0.1", 9000),
        listen_rule("unix", "/run/app.sock", None),
    ]
    rule = peer_rule("in", "tcp", port=80, identity=LOADGEN)
    policy, findings = export(make_network_baseline(rule, listens=listens))
    assert len(policy["spec"]["ingress"]) == 1
    said = one(findings, "it listens").message
    assert said.startswith("it listens on ports 8080/TCP, 514/UDP, and nobody")


@pytest.mark.parametrize("state", ["partial", "lossy", "enforced"])
def test_a_baseline_that_is_not_complete_gets_a_warning(state: str) -> None:
    policy, findings = export(make_network_baseline(observation={"state": state}))
    assert policy["metadata"]["annotations"]["ethogram.dev/state"] == state
    before = export(make_network_baseline())[1]
    [more] = [found for found in findings if found not in before]
    assert more.severity == "warning"


def test_containers_of_a_pod_add_up_and_that_is_said() -> None:
    _, findings = export(make_network_baseline())
    # Not the container's name: what all policies of a pod have in common is said once.
    assert "nginx" not in one(findings, "add up").message
    policy, findings = export(make_network_baseline(subject={"container": None}))
    assert policy["metadata"]["name"] == "ethogram.deployment.checkout"
    assert not any("add up" in found.message for found in findings)


def test_without_enforcement_it_says_that_a_policy_denies_all_the_same() -> None:
    baseline = make_network_baseline(peer_rule("in", "tcp", port=80, identity=LOADGEN))
    softly, findings = export(baseline, enforce=False)
    strictly, fewer = export(baseline)
    assert softly == strictly
    [more] = [found for found in findings if found not in fewer]
    assert "denies as soon as it is applied" in more.message


def test_many_ports_of_one_peer_may_be_chosen_anew() -> None:
    rules = [peer_rule("out", "tcp", "203.0.113.9", 40000 + port) for port in range(23)]
    _, findings = export(make_network_baseline(*rules))
    assert one(findings, "23 ports to `203.0.113.9/32`").severity == "warning"


def test_names_of_the_outside_do_not_fill_the_annotations() -> None:
    rules = [
        peer_rule("out", "tcp", f"203.0.113.{host}", 443, name=f"{host}.example.com")
        for host in range(200)
    ]
    rules.append(peer_rule("out", "tcp", "203.0.113.201", 443, name="x" * 30000))
    policy, _ = export(make_network_baseline(*rules))
    text = policy["metadata"]["annotations"]["ethogram.dev/external"]
    assert text.endswith("and 150 more")
    assert len(text) < 4096


def test_addresses_say_whose_they_are_by_the_inventory() -> None:
    outside = {"kind": "external", "namespace": "shop-staging", "name": "warehouse"}
    rules = [
        peer_rule("in", "tcp", "10.77.0.2", 80, identity=NODE),
        peer_rule("out", "tcp", port=443, identity=API_SERVER),
        peer_rule("out", "tcp", "10.20.0.5", 3306, identity=outside),
    ]
    policy, _ = export(make_network_baseline(*rules))
    assert policy["metadata"]["annotations"]["ethogram.dev/addresses"] == (
        "10.20.0.5/32=external shop-staging/warehouse, "
        "10.77.0.2/32=apiserver default/kubernetes, 10.77.0.2/32=node node-1, "
        "10.77.0.3/32=apiserver default/kubernetes"
    )


@pytest.mark.parametrize(
    ("owner", "word"),
    [("Pod", "give the pod a label"), ("CronJob", "by hand"), ("StatefulSet", "lists the owners")],
)
def test_what_helps_without_labels_depends_on_the_owner(owner: str, word: str) -> None:
    identity = LOADGEN | {"owner": owner, "selector": {}}
    [loss] = losses(peer_rule("in", "tcp", port=80, identity=identity))
    assert word in str(loss.hint)
    _, findings = export(make_network_baseline(subject={"kind": owner, "selector": {}}))
    assert word in str(one(findings, "nothing picks").hint)


def test_metadata_of_the_cloud_is_allowed_when_it_is_named() -> None:
    rule = peer_rule("out", "tcp", "169.254.169.254", 80)
    [loss] = losses(rule)
    assert "external-cidrs=169.254.169.254/32" in str(loss.hint)
    policy, _ = export(make_network_baseline(rule), ["external-cidrs=169.254.169.254/32"])
    assert policy["spec"]["egress"][0]["to"] == [{"ipBlock": {"cidr": "169.254.169.254/32"}}]


@pytest.mark.parametrize(
    ("direction", "port", "is_said"),
    [("out", 30080, True), ("out", 32768, False), ("out", 10250, False), ("in", 30080, False)],
)
def test_a_port_of_nodes_may_be_a_services(direction: str, port: int, is_said: bool) -> None:
    rule = peer_rule(direction, "tcp", "10.77.0.1", port, identity=NODE)
    policy, findings = export(make_network_baseline(rule))
    assert policy["spec"]["ingress" if direction == "in" else "egress"]
    said = [found.severity for found in findings if "NodePort" in found.message]
    assert said == ["warning"] * is_said


def test_what_only_a_session_talked_to_is_said() -> None:
    def seen(rule: Rule[Any], *phases: str) -> Rule[Any]:
        evidence = rule.evidence.model_copy(update={"phases": phases})
        return rule.model_copy(update={"evidence": evidence})

    rules = [
        seen(peer_rule("out", "tcp", "203.0.113.9", 443, name="get.example.com"), "exec"),
        seen(peer_rule("out", "tcp", "127.0.0.1", 80), "exec"),
        seen(peer_rule("out", "tcp", "203.0.113.7", 443), "steady", "exec"),
    ]
    policy, findings = export(make_network_baseline(*rules))
    finding = one(findings, "kubectl exec")
    assert finding.severity == "warning"
    assert finding.message.endswith("tcp to `203.0.113.9` (get.example.com) port 443")
    assert len(policy["spec"]["egress"][0]["to"]) == 2
