"""What NetworkPolicies would have done to the connections of a recording."""

from itertools import count

import pytest

from ethogram.contracts.recording import Recording
from ethogram.errors import ExportError
from exporters.replay.networkpolicy import replayer
from exporters.replay.observations import Observations
from exporters.replay.protocol import Denied, Judged, Policy, Unjudged
from tests.recordings import START_NS, WINDOW_NS, make_recording

pytestmark = pytest.mark.unit

WEB, DATABASE, OTHER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), bytes([10, 0, 0, 3])
SERVICE, NODE, STRANGER = bytes([10, 96, 0, 9]), bytes([10, 77, 0, 1]), bytes([10, 9, 9, 9])
OUTSIDE = bytes([203, 0, 113, 9])


def policy(egress=None, ingress=None, app="web", name="p"):
    spec = {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress", "Egress"]}
    spec |= {"egress": egress} if egress else {}
    spec |= {"ingress": ingress} if ingress else {}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec}  # fmt: skip


def to_pods(port=5432, **labels):
    return [{"to": [{"podSelector": {"matchLabels": labels}}],
             "ports": [{"protocol": "TCP", "port": port}]}]  # fmt: skip


def pod(addr, app, **row):
    made = {"addr": addr, "kind": "pod", "name": f"shop/{app}-0", "namespace": "shop"}
    return made | {"labels": {"app": app}, "selector": {"app": app}, "source": "inventory"} | row


SERVICE_ROW = {
    "addr": SERVICE, "kind": "service", "name": "shop/database", "namespace": "shop",
    "selector": {"app": "database"}, "source": "inventory",
    "ports": [{"port": 80, "target": "5432", "protocol": "TCP"}],
}  # fmt: skip


KNOWN = (pod(WEB, "web"), pod(DATABASE, "database"))


def out(addr, port, **row):
    who = {"workload": 1, "instance": 1, "direction": "out", "connections": 3}
    how = {"family": 2, "type": 1, "protocol": 6, "local_addr": WEB}
    return who | how | {"peer_addr": addr, "peer_port": port} | row


def came(addr, port, **row):
    return out(addr, None, direction="in", local_port=port) | row


@pytest.fixture
def replay(tmp_path):
    """Replay connections of the pod `web` through policies."""
    numbers = count()

    def replayed(policies, *rows, addresses=KNOWN, **instance):
        path = make_recording(
            tmp_path / f"{next(numbers)}.rec",
            workloads=[{"workload": 1, "namespace": "shop", "kind": "Deployment", "name": "web",
                        "labels": {"app": "web"}, "source": "cri"}],
            instances=[{"instance": 1, "workload": 1} | instance],
            network=rows,
            addresses=addresses,
        )  # fmt: skip
        seen = Observations(Recording.open(path), "r")
        given = [Policy(f"{number}.yaml", one) for number, one in enumerate(policies)]
        found = list(replayer().replay(given, seen))
        return (
            [one for one in found if isinstance(one, Denied)],
            [one for one in found if isinstance(one, Unjudged)],
            sum(one.count for one in found if isinstance(one, Judged)),
        )

    return replayed


def test_a_peer_that_a_rule_picks_is_let_through(replay):
    assert replay([policy(to_pods(app="database"))], out(DATABASE, 5432)) == ([], [], 3)


def test_a_peer_that_no_rule_picks_is_denied_with_the_rule_that_lacks(replay):
    [denied], [], judged = replay([policy(to_pods(app="other"))], out(DATABASE, 5432))
    assert (denied.rule, denied.count, judged) == ("out TCP 5432 to pod shop/database-0", 3, 3)
    [step] = denied.relaxation.patch
    assert step["path"] == "/spec/egress/-"
    document = policy([*to_pods(app="other"), step["value"]])
    assert document["spec"]["egress"][-1] == to_pods(app="database")[0]


def test_policies_are_a_union(replay):
    several = [policy(to_pods(app="other")), policy(to_pods(app="database"), name="q")]
    assert replay(several, out(DATABASE, 5432))[0] == []


def test_a_connection_to_a_service_is_judged_at_the_pod_behind_it(replay):
    addresses = [pod(DATABASE, "database"), SERVICE_ROW]
    assert replay([policy(to_pods(app="database"))], out(SERVICE, 80), addresses=addresses) == (
        [],
        [],
        3,
    )


def test_a_service_port_is_not_the_port_of_the_pod(replay):
    addresses = [pod(DATABASE, "database"), SERVICE_ROW]
    [denied], _, _ = replay(
        [policy(to_pods(80, app="database"))], out(SERVICE, 80), addresses=addresses
    )
    assert denied.rule == "out TCP 5432 to service shop/database"


def test_pods_of_a_service_that_are_judged_apart_leave_it_open(replay):
    one = pod(DATABASE, "database", labels={"app": "database", "role": "leader"})
    addresses = [one, pod(OTHER, "database"), SERVICE_ROW]
    document = policy(to_pods(app="database", role="leader"))
    denied, [left], judged = replay([document], out(SERVICE, 80), addresses=addresses)
    assert (denied, left.count, judged) == ([], 3, 0)
    assert "which pod answered" in left.reason


def test_a_service_whose_pods_nobody_knows_leaves_it_open(replay):
    document = policy(to_pods(app="database", role="leader"))
    denied, [left], _ = replay([document], out(SERVICE, 80), addresses=[SERVICE_ROW])
    assert denied == []
    assert "inventory" in left.reason


def test_where_a_connection_was_sent_counts_before_where_it_was_asked_to(replay):
    addresses = [
        pod(DATABASE, "database"),
        pod(OTHER, "database", labels={"app": "x"}),
        SERVICE_ROW,
    ]
    row = out(SERVICE, 80, nat_addr=OTHER, nat_port=5432)
    [denied], [], _ = replay([policy(to_pods(app="database"))], row, addresses=addresses)
    assert denied.count == 3


def test_an_address_is_whose_it_was_then(replay):
    """The database's address was another pod's before."""
    moved = START_NS + 2 * WINDOW_NS
    addresses = [
        pod(DATABASE, "other", valid_to=moved),
        pod(DATABASE, "database", valid_from=moved),
    ]
    rows = [out(DATABASE, 5432, window=0), out(DATABASE, 5432, window=3)]
    rows = [row | {"last": START_NS + row["window"] * WINDOW_NS} for row in rows]
    [denied], [], _ = replay([policy(to_pods(app="database"))], *rows, addresses=addresses)
    assert (denied.rule, denied.count) == ("out TCP 5432 to pod shop/other-0", 3)


def test_a_private_address_that_nobody_knows_may_be_a_pod(replay):
    denied, [left], _ = replay([policy(to_pods(app="database"))], out(STRANGER, 5432))
    assert (denied, left.count) == ([], 3)
    [denied], [], _ = replay([policy(to_pods(app="database"))], out(STRANGER, 80))
    assert denied.relaxation.patch[0]["value"]["to"] == [{"ipBlock": {"cidr": "10.9.9.9/32"}}]


def test_an_address_outside_is_no_pod(replay):
    [denied], [], _ = replay([policy(to_pods(app="database"))], out(OUTSIDE, 5432))
    assert denied.rule == "out TCP 5432 to 203.0.113.9"


def test_the_other_end_has_policies_too(replay):
    several = [policy(to_pods(app="database")), policy(app="database", name="db")]
    [denied], [], _ = replay(several, out(DATABASE, 5432))
    assert denied.answer == "dropped: no rule of ingress of pod shop/database-0 allows it"
    assert denied.policy == "1.yaml"


def test_who_comes_in_needs_a_rule(replay):
    rule = [{"from": [{"podSelector": {"matchLabels": {"app": "database"}}}],
             "ports": [{"protocol": "TCP", "port": 8080}]}]  # fmt: skip
    assert replay([policy(ingress=rule)], came(DATABASE, 8080))[0] == []
    [denied], [], _ = replay([policy(ingress=rule)], came(DATABASE, 9090))
    assert denied.rule == "in TCP 9090 from pod shop/database-0"
    assert denied.relaxation.patch[0]["value"]["from"][0]["podSelector"] == {
        "matchLabels": {"app": "database"}
    }


def test_a_node_reaches_its_own_pods(replay):
    addresses = [{"addr": NODE, "kind": "node", "name": "node-1", "source": "inventory"}]
    denied, [left], _ = replay([policy()], came(NODE, 8080), addresses=addresses)
    assert denied == []
    assert "a node reaches its own pods" in left.reason


def test_a_port_by_name_is_left_open(replay):
    document = policy(to_pods("sql", app="database"))
    denied, [left], _ = replay([document], out(DATABASE, 5432))
    assert denied == []
    assert "number of a port" in left.reason


@pytest.mark.parametrize(
    "row", [out(bytes([127, 0, 0, 1]), 80), out(WEB, 80), out(b"", 80, family=1)]
)
def test_what_stays_in_the_pod_is_no_connection(replay, row):
    assert replay([policy()], row) == ([], [], 0)


@pytest.mark.parametrize(
    "row", [out(DATABASE, 0, type=3, protocol=1), out(bytes([224, 0, 0, 251]), 5353)]
)
def test_what_a_policy_has_no_word_about_is_left_open(replay, row):
    denied, [left], judged = replay([policy()], row)
    assert (denied, left.count, judged) == ([], 3, 0)


def test_no_policy_applies_on_the_network_of_the_host(replay):
    denied, [left], _ = replay([policy()], out(DATABASE, 5432), host_namespaces=["net"])
    assert denied == []
    assert "host's network" in left.reason


def test_a_policy_of_other_pods_judges_nothing(replay):
    assert replay([policy(app="other")], out(DATABASE, 5432)) == ([], [], 0)


@pytest.mark.parametrize(
    "broken",
    [
        {"spec": {"podSelector": []}},
        {"spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "x"}}]}]}},
        {"spec": {"podSelector": {}, "egress": [7]}},
        {"spec": {"podSelector": {"matchExpressions": [{}]}}},
        {"spec": 7},
    ],
)
def test_a_malformed_policy_is_refused_by_name(replay, broken):
    with pytest.raises(ExportError, match=r"0\.yaml"):
        replay([policy() | broken], out(DATABASE, 5432))
