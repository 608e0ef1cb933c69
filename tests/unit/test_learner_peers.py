"""Whose an address was when it was talked to."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import PeerIdentity, PeerValue
from ethogram.contracts.matching import allows
from ethogram.contracts.recording import Recording
from ethogram.errors import RecordingError
from learner.dimensions import decode_value
from learner.learn import learn
from learner.summary import summarize
from tests.recordings import START_NS, WINDOW_NS, make_recording

pytestmark = pytest.mark.unit

UNIT = {"workload": 1, "kind": "Unit", "name": "web.service", "container_kind": "none"}
INSTANCE = {"instance": 1, "workload": 1, "runtime_id": "run-1"}
LATER = START_NS + 3 * WINDOW_NS
NAME = {"name": "db.example.com", "name_trust": "resolver"}


def packed(text: str) -> bytes:
    return ip_address(text).packed


def has(addr: str, kind: str, name: str, *ports: tuple[int, str], **more: Any) -> dict[str, Any]:
    """Return a row of `addresses`; *ports* are TCP, each with its target."""
    namespace = name.rpartition("/")[0] or None
    offered = [{"port": port, "target": target, "protocol": "TCP"} for port, target in ports]
    row = {"addr": packed(addr), "kind": kind, "name": name, "ports": offered}
    return row | {"namespace": namespace, "source": "inventory"} | more


def pod(addr: str, owner: str, kind: str = "Deployment", **more: Any) -> dict[str, Any]:
    owned = {"owner_kind": kind, "owner_name": owner, "selector": {"app": owner}}
    return has(addr, "pod", f"shop/{owner}-x", **(owned | more))


def to(addr: str, port: int | None, window: int = 0, **more: Any) -> dict[str, Any]:
    row = {"window": window, "workload": 1, "instance": 1, "direction": "out", "connections": 1}
    row |= {"family": 2, "type": 1, "protocol": 6, "peer_addr": packed(addr), "peer_port": port}
    return row | more


def come(addr: str, port: int | None, **more: Any) -> dict[str, Any]:
    return to(addr, None, direction="in", local_port=port, **more)


def peers(path: Path, *network: dict[str, Any], **tables: Any) -> list[PeerValue]:
    """Return the peers that a baseline of these rows allows."""
    tables = {"workloads": [UNIT], "instances": [INSTANCE]} | tables
    recording = make_recording(path / "recording", network=list(network), **tables)
    (baseline,) = learn(summarize(Recording.open(recording)))
    return [rule.value for rule in baseline.rules.peers]


def one(path: Path, row: dict[str, Any], **tables: Any) -> PeerValue:
    (value,) = peers(path, row, **tables)
    return value


def who(path: Path, row: dict[str, Any], *addresses: dict[str, Any]) -> PeerIdentity | None:
    return one(path, row, addresses=list(addresses)).identity


def test_a_pod_is_known_by_its_owner_wherever_it_is(tmp_path: Path) -> None:
    addresses = [pod("10.0.0.2", "redis"), pod("10.0.0.3", "redis"), pod("fd00::3", "redis")]
    rows = [to(row_addr, 6379, **NAME) for row_addr in ("10.0.0.2", "10.0.0.3")]
    rows.append(to("fd00::3", 6379, family=10, connections=5))
    (value,) = peers(tmp_path, *rows, addresses=addresses)
    identity = PeerIdentity(
        kind="pod", namespace="shop", owner="Deployment", name="redis", selector={"app": "redis"}
    )
    assert value == PeerValue(
        direction="out", protocol="tcp", address="", port=6379, identity=identity
    )


def test_what_went_to_several_addresses_of_one_peer_adds_up(tmp_path: Path) -> None:
    recording = make_recording(
        tmp_path / "recording",
        workloads=[UNIT],
        instances=[INSTANCE],
        addresses=[pod("10.0.0.2", "redis"), pod("fd00::3", "redis")],
        network=[to("10.0.0.2", 6379), to("fd00::3", 6379, window=1, family=10, connections=5)],
    )
    (baseline,) = learn(summarize(Recording.open(recording)))
    (rule,) = baseline.rules.peers
    assert (rule.evidence.calls, rule.evidence.windows) == (6, 2)


def test_who_came_counts_by_the_port_it_came_to(tmp_path: Path) -> None:
    rows = [come("10.0.0.2", 80), come("10.0.0.2", 443), come("10.9.9.9", 80)]
    values = peers(tmp_path, *rows, addresses=[pod("10.0.0.2", "loadgen")])
    assert [(value.address, value.port, value.identity is None) for value in values] == [
        ("", 80, False),
        ("", 443, False),
        ("10.9.9.9", 80, True),
    ]


def test_a_service_says_what_is_behind_the_port(tmp_path: Path) -> None:
    service = has(
        "10.96.0.9", "service", "shop/redis", (6379, "16379"), (6379, "6380"), (9121, "metrics"),
        selector={"app": "redis", "role": "main"},
    )  # fmt: skip
    identity = who(tmp_path, to("10.96.0.9", 6379), service)
    assert identity == PeerIdentity(
        kind="service",
        namespace="shop",
        name="redis",
        selector={"app": "redis", "role": "main"},
        targets=("16379", "6380"),
    )


def test_a_port_that_a_service_does_not_have_has_no_target(tmp_path: Path) -> None:
    service = has("10.96.0.9", "service", "shop/redis", (6379, "6379"), selector={"app": "r"})
    identity = who(tmp_path, to("10.96.0.9", 6379, type=2, protocol=17), service)
    assert identity is not None
    assert (identity.name, identity.targets) == ("redis", ())


def test_a_service_without_selector_has_its_endpoints(tmp_path: Path) -> None:
    identity = who(
        tmp_path,
        to("10.96.0.9", 5432),
        has("10.96.0.9", "service", "shop/db", (5432, "15432"), selector={}),
        has("198.51.100.10", "external", "shop/db", (15432, "15432")),
        has("198.51.100.9", "external", "shop/db", (15432, "15432")),
        has("198.51.100.8", "external", "shop/other", (15432, "15432")),
        has(
            "198.51.100.7",
            "external",
            "shop/db",
            (15432, "15432"),
            valid_from=START_NS - 9,
            valid_to=START_NS,
        ),
    )
    assert identity == PeerIdentity(
        kind="service",
        namespace="shop",
        name="db",
        targets=("15432",),
        addresses=("198.51.100.9", "198.51.100.10"),
    )


def test_an_endpoint_outside_keeps_its_address_and_name(tmp_path: Path) -> None:
    outside = has("198.51.100.9", "external", "shop/db", (5432, "5432"))
    value = one(tmp_path, to("198.51.100.9", 5432, **NAME), addresses=[outside])
    assert (value.address, value.name) == ("198.51.100.9", "db.example.com")
    assert value.identity == PeerIdentity(kind="external", namespace="shop", name="db")


def test_any_address_behind_a_name_is_the_same_peer(tmp_path: Path) -> None:
    row = to("203.0.113.7", 443, **NAME)
    tables = {"workloads": [UNIT], "instances": [INSTANCE], "network": [row]}
    (learnt,) = learn(summarize(Recording.open(make_recording(tmp_path / "r", **tables))))
    (rule,) = learnt.rules.peers
    tomorrow = rule.value.model_copy(update={"address": "198.51.100.3"})
    assert allows(learnt, "peers", tomorrow)
    for other in ({"name": None}, {"name": "other.example.com"}, {"port": 22}, {"protocol": "udp"}):
        assert not allows(learnt, "peers", tomorrow.model_copy(update=other))
    assert allows(learnt, "peers", rule.value.model_copy(update={"name": None}))
    beside = rule.value.model_copy(update={"name": None, "address": "203.0.113.8"})
    assert not allows(learnt, "peers", beside)


API_SERVER = (
    has("10.96.0.1", "apiserver", "default/kubernetes", (443, "6443"), selector={}),
    has("192.0.2.2", "apiserver", "default/kubernetes", (6443, "6443")),
    has("192.0.2.1", "apiserver", "default/kubernetes", (6443, "6443")),
)
NODE = has("192.0.2.1", "node", "n1")


@pytest.mark.parametrize(("addr", "port"), [("10.96.0.1", 443), ("192.0.2.1", 6443)])
def test_the_api_server_has_its_endpoints(tmp_path: Path, addr: str, port: int) -> None:
    value = one(tmp_path, to(addr, port), addresses=[*API_SERVER, NODE])
    assert value.address == addr
    assert value.identity == PeerIdentity(
        kind="apiserver",
        namespace="default",
        name="kubernetes",
        targets=("6443",),
        addresses=("192.0.2.1", "192.0.2.2"),
    )


def test_the_api_servers_own_service_is_no_endpoint_of_it(tmp_path: Path) -> None:
    same_port = (
        has("10.96.0.1", "apiserver", "default/kubernetes", (443, "443"), selector={}),
        has("192.0.2.1", "apiserver", "default/kubernetes", (443, "443")),
    )
    identity = who(tmp_path, to("10.96.0.1", 443), *same_port)
    assert identity is not None
    assert identity.addresses == ("192.0.2.1",)


@pytest.mark.parametrize("row", [to("192.0.2.1", 10250), come("192.0.2.1", 80)])
def test_what_the_api_server_does_not_offer_is_the_node(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    value = one(tmp_path, row, addresses=[*API_SERVER, NODE])
    assert value.address == "192.0.2.1"
    assert value.identity == PeerIdentity(kind="node", name="n1")


def test_of_services_that_share_an_address_the_port_decides(tmp_path: Path) -> None:
    shared = (
        has("203.0.113.7", "service", "shop/a", (80, "8080"), selector={"app": "a"}),
        has("203.0.113.7", "service", "shop/b", (443, "8443"), selector={"app": "b"}),
    )
    identity = who(tmp_path, to("203.0.113.7", 443), *shared)
    assert identity is not None
    assert (identity.name, identity.targets) == ("b", ("8443",))


def test_an_address_is_whose_it_was_at_the_time(tmp_path: Path) -> None:
    addresses = [
        pod("10.0.0.2", "first", valid_to=LATER),
        pod("10.0.0.2", "second", valid_from=LATER, valid_to=LATER + WINDOW_NS),
        pod("10.0.0.4", "young", valid_from=LATER),
    ]
    rows = [to("10.0.0.2", 80 + window, window) for window in (0, 3, 5)]
    rows += [to("10.0.0.4", 90, 0), to("10.0.0.4", 91, 3)]
    values = peers(tmp_path, *rows, addresses=addresses)
    found = {value.port: value.identity and value.identity.name for value in values}
    assert found == {80: "first", 83: "second", 85: None, 90: None, 91: "young"}


def test_of_two_that_are_open_the_later_one_counts(tmp_path: Path) -> None:
    addresses = [
        pod("10.0.0.2", "second", valid_from=LATER),
        pod("10.0.0.2", "first"),
        has("10.0.0.2", "node", "n1"),
    ]
    rows = [to("10.0.0.2", 80, 0), to("10.0.0.2", 80, 3)]
    names = [value.identity and value.identity.name for value in peers(
        tmp_path, *rows, addresses=addresses)]  # fmt: skip
    assert sorted(names, key=str) == ["first", "second"]


def test_a_recording_that_names_no_owner_may_know_the_workload(tmp_path: Path) -> None:
    redis = {"workload": 2, "kind": "StatefulSet", "name": "redis", "namespace": "shop"}
    value = one(
        tmp_path,
        to("10.0.0.2", 6379),
        workloads=[UNIT, redis | {"selector": {"app": "redis"}}],
        addresses=[has("10.0.0.2", "pod", "shop/redis-0", workload=2)],
    )
    assert value.identity == PeerIdentity(
        kind="pod", namespace="shop", owner="StatefulSet", name="redis", selector={"app": "redis"}
    )


def test_a_pod_of_nobody_known_keeps_its_address(tmp_path: Path) -> None:
    value = one(tmp_path, to("10.0.0.2", 6379), addresses=[has("10.0.0.2", "pod", "shop/redis-0")])
    assert (value.address, value.identity) == ("10.0.0.2", None)


def test_loopback_is_nobody_else(tmp_path: Path) -> None:
    addresses = [has("127.0.0.1", "node", "n1"), has("::1", "node", "n1")]
    rows = [to("127.0.0.1", 80), to("::1", 80, family=10), come("127.0.0.1", 90)]
    values = peers(tmp_path, *rows, addresses=addresses)
    assert [(v.direction, v.address, v.port) for v in values] == [
        ("in", "127.0.0.1", 90),
        ("out", "127.0.0.1", 80),
        ("out", "::1", 80),
    ]
    assert all(value.identity is None for value in values)


@pytest.mark.parametrize(
    ("trust", "name"), [("resolver", "db.example.com"), ("untrusted", None), (None, None)]
)
def test_a_name_counts_only_from_a_resolver_that_is_configured(
    tmp_path: Path, trust: str | None, name: str | None
) -> None:
    row = to("203.0.113.9", 443, name="db.example.com", name_trust=trust)
    assert one(tmp_path, row).name == name


def test_whoever_listens_is_no_peer(tmp_path: Path) -> None:
    row = come("10.0.0.2", 80, local_addr=packed("0.0.0.0")) | {"direction": "listen"}
    assert peers(tmp_path, row, to("10.0.0.9", 1), addresses=[pod("10.0.0.2", "x")])[0].port == 1


def test_hostile_rows_give_no_identity_or_one_that_is_escaped(tmp_path: Path) -> None:
    none = {"port": 6379, "target": None, "protocol": None}
    addresses = [
        has("10.0.0.2", "service", "shop/", selector={}),
        {"addr": b"xyz", "kind": "node", "name": "n"},
        has("10.0.0.3", "service", "shop/a\nb", selector={"k\x1b": "v\u202e"}, ports=[none]),
        has("10.0.0.4", "node", ""),
    ]
    rows = [to(addr, 6379) for addr in ("10.0.0.2", "10.0.0.3", "10.0.0.4")]
    rows.append(to("10.0.0.5", None) | {"peer_addr": b"xyz"})
    named = [v.identity for v in peers(tmp_path, *rows, addresses=addresses) if v.identity]
    assert named == [
        PeerIdentity(
            kind="service", namespace="shop", name=r"a\x0ab", selector={r"k\x1b": r"v\xe2\x80\xae"}
        )
    ]


@pytest.mark.parametrize(
    ("dimension", "key"),
    [
        ("syscalls", b"0"),
        ("peers", b'["out","tcp","10.0.0.2",6379,"redis"]'),
        ("peers", b'["out","tcp","",6379,null,{"kind":"pod"}]'),
        ("peers", b'["out","tcp","",6379,null,[]]'),
        ("execs", b"/bin/a"),
        ("execs", b'["/bin/a",null]'),
        ("execs", b'["/bin/a",1]'),
    ],
)
def test_keys_of_another_form_are_refused(dimension: Any, key: bytes) -> None:
    with pytest.raises(RecordingError, match="malformed key") as caught:
        decode_value(dimension, None, key)
    assert caught.value.hint == "summarize the recordings again with this version"
