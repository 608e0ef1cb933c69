"""What CiliumNetworkPolicies would have done to the connections of a recording."""

from itertools import count

import pytest

from ethogram.contracts.recording import Recording
from ethogram.errors import ExportError
from exporters.replay.cilium import replayer
from exporters.replay.observations import Observations
from exporters.replay.protocol import Denied, Judged, Policy, Unjudged
from tests.recordings import make_recording
from tests.unit.test_replay_networkpolicy import (
    DATABASE,
    KNOWN,
    NODE,
    OUTSIDE,
    SERVICE,
    SERVICE_ROW,
    STRANGER,
    came,
    out,
)

pytestmark = pytest.mark.unit

NODE_ROW = {"addr": NODE, "kind": "node", "name": "node-1", "source": "inventory"}
TO_443 = [{"ports": [{"port": "443", "protocol": "TCP"}]}]
NAMED = [
    {"toFQDNs": [{"matchName": "pay.example.com"}], "toPorts": TO_443},
    {
        "toEntities": ["host"],
        "toPorts": [
            {
                "ports": [{"port": "53", "protocol": "UDP"}],
                "rules": {"dns": [{"matchPattern": "*"}]},
            }
        ],
    },
]


def policy(egress=None, ingress=None, enforce=True):
    spec = {
        "endpointSelector": {"matchLabels": {"app": "web"}},
        "enableDefaultDeny": {"ingress": enforce, "egress": enforce},
        "ingress": ingress or [{}],
        "egress": egress or [{}],
    }
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p", "namespace": "shop"}, "spec": spec}  # fmt: skip


def to_pods(port=5432, **labels):
    ports = [{"ports": [{"port": str(port), "protocol": "TCP"}]}]
    return [{"toEndpoints": [{"matchLabels": labels}], "toPorts": ports}]


@pytest.fixture
def replay(tmp_path):
    """Replay connections of the pod `web` through policies."""
    numbers = count()

    def replayed(found, *rows, addresses=KNOWN):
        path = make_recording(
            tmp_path / f"{next(numbers)}.rec",
            workloads=[{"workload": 1, "namespace": "shop", "kind": "Deployment", "name": "web",
                        "labels": {"app": "web"}, "source": "cri"}],
            instances=[{"instance": 1, "workload": 1}],
            network=rows,
            addresses=addresses,
        )  # fmt: skip
        seen = Observations(Recording.open(path), "r")
        outcomes = list(replayer().replay([Policy("p.yaml", found)], seen))
        return (
            [one for one in outcomes if isinstance(one, Denied)],
            [one for one in outcomes if isinstance(one, Unjudged)],
            sum(one.count for one in outcomes if isinstance(one, Judged)),
        )

    return replayed


def test_a_peer_that_a_rule_picks_is_let_through(replay):
    assert replay(policy(to_pods(app="database")), out(DATABASE, 5432)) == ([], [], 3)
    through_service = [*KNOWN, SERVICE_ROW]
    assert replay(policy(to_pods(app="database")), out(SERVICE, 80), addresses=through_service) == (
        [],
        [],
        3,
    )


def test_a_peer_that_no_rule_picks_is_denied(replay):
    [denied], [], judged = replay(policy(), out(DATABASE, 5432))
    assert (denied.rule, denied.count, judged) == ("out TCP 5432 to pod shop/database-0", 3, 3)
    assert denied.answer == "dropped: no rule of egress allows it"
    assert replay(policy(enforce=False), out(DATABASE, 5432)) == ([], [], 3)


def test_a_name_counts_where_a_resolver_answered_it(replay):
    row = out(OUTSIDE, 443, name="pay.example.com", name_trust="resolver")
    assert replay(policy(NAMED), row) == ([], [], 3)
    [denied], _, _ = replay(policy(NAMED), row | {"name_trust": "untrusted"})
    assert denied.rule == "out TCP 443 to 203.0.113.9 (pay.example.com)"


def test_a_node_is_both_the_own_one_and_another(replay):
    nodes = [*KNOWN, NODE_ROW]
    both = [{"toEntities": ["host", "remote-node"], "toPorts": TO_443}]
    assert replay(policy(both), out(NODE, 443), addresses=nodes) == ([], [], 3)
    host = [{"toEntities": ["host"], "toPorts": TO_443}]
    denied, [unjudged], _ = replay(policy(host), out(NODE, 443), addresses=nodes)
    assert denied == []
    assert "own node is not known" in unjudged.reason
    denied, [unjudged], _ = replay(policy(), came(NODE, 80), addresses=nodes)
    assert denied == []
    assert "whatever policies say" in unjudged.reason


def test_what_nobody_knows_is_no_verdict(replay):
    denied, [unjudged], _ = replay(policy(), out(STRANGER, 443))
    assert denied == []
    assert "nobody in the recording's inventory" in unjudged.reason


def test_echo_requests_are_what_icmp_is_taken_for(replay):
    ping = out(OUTSIDE, None, type=3, protocol=1)
    echo = [{"toEntities": ["world"], "icmps": [{"fields": [{"family": "IPv4", "type": 8}]}]}]
    assert replay(policy(echo), ping) == ([], [], 3)
    [denied], _, _ = replay(policy(), ping)
    assert denied.rule == "out ICMP to 203.0.113.9"


def test_what_stays_in_the_pod_is_nobodys_to_judge(replay):
    assert replay(policy(), out(bytes([127, 0, 0, 1]), 80)) == ([], [], 0)


def test_a_policy_that_is_malformed_is_named(replay):
    with pytest.raises(ExportError, match=r"`p\.yaml`: .*malformed"):
        replay(policy([{"toServices": [{}]}]), out(DATABASE, 5432))
